"""What goes to a host: a signed order, and as much of its content as the host lacks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tram.bundle import Content, build, centre_key, pack, sign
from tram.core.canonical import digest
from tram.core.order import Order
from tram.delivery.greeting import Greeting
from tram.delivery.memory import TreeMemory, runtime
from tram.ledger import Job, Ledger
from tram.register import Host, Province, Site


def find_host(province: Province, name: str) -> tuple[Site, Host]:
    """The host of that inventory name, with its site. Raises: KeyError when the register has none."""
    found = {host.inventory_name: (site, host) for site in province.sites for host in site.hosts}
    return found[name]


class Parcel:
    """One job's content, order and packs; each is made once, and only when it is asked for.

    `confirm`: how long the host waits for the centre's word after a change (None: it does not), `valid`: how long the
    order may be on its way.
    """

    def __init__(
        self,
        job: Job,
        province: Province,
        ledger: Ledger,
        *,
        confirm: timedelta | None,
        valid: timedelta,
        content: Content | None = None,
        runtime_id: str | None = None,
        memory: TreeMemory | None = None,
    ) -> None:
        self.job, self.province, self.ledger = job, province, ledger
        self.site, self.host = find_host(province, job.host)
        self.confirm, self.valid = confirm, valid
        self.everything = False  # the host has said that it lacks what it was thought to have
        self._memory = memory or TreeMemory()
        self._content, self._runtime = content, runtime_id
        self._order: Order | None = None
        self._packs: dict[frozenset[str], bytes] = {}

    @property
    def content(self) -> Content:
        """What the host is to be given.

        Raises: BadInput with everything that is wrong with it.
        """
        if self._content is None:
            secrets, check = self.province.secrets_dir, self.job.check
            self._content = build(Path(self.job.playbook), self.province, self.host, secrets=secrets, check=check)
        return self._content

    @property
    def runtime(self) -> str:
        """The runtime that must carry it out."""
        if self._runtime is None:
            self._runtime = runtime().id
        return self._runtime

    @runtime.setter
    def runtime(self, given: str) -> None:
        self._runtime, self._order = given, None

    def remember(self) -> None:
        """Keep the tree in mind, so that the next one to this host need not carry what is in it."""
        self._memory.keep(self.content)

    def order(self, above: int) -> tuple[Order, str]:
        """The order, numbered above the last that the host accepted, with its signature."""
        now = datetime.now(UTC)
        if self._order is None or self._order.serial <= above or self._order.expires <= now:
            last = self.ledger.last(self.job.host, before=self.job.run)
            troubled = last is not None and last.attempts > 2  # a line with such a history is given more time
            wait = self.confirm * 2 if self.confirm and troubled else self.confirm
            self._order = Order(
                province=self.province.code,
                site=self.site.code,
                host=self.job.host,
                run=self.job.run,
                serial=self.ledger.assign(self.job.host, run=self.job.run, tree=self.content.tree.digest, above=above),
                playbook=_shown(Path(self.job.playbook)),
                tree=self.content.tree.digest,
                bytes=self.content.tree.bytes,
                runtime=self.runtime,
                issued=now,
                expires=now + self.valid,
                after=last.run if last else None,
                check=self.job.check,
                confirm_seconds=None if self.job.check or wait is None else round(wait.total_seconds()),
            )
        return self._order, sign(self._order, centre_key(self.province))

    def pack(self, greeting: Greeting) -> tuple[str | None, bytes]:
        """What the host lacks, named by digest; (None, nothing) when it lacks nothing.

        The same for the same host, so that an upload goes on where it stopped, also in another process.
        """
        if self.content.tree.digest in greeting.trees and not self.everything:
            return None, b""
        return self.pack_beside(() if self.everything else greeting.trees)

    def pack_beside(self, trees: tuple[str, ...]) -> tuple[str, bytes]:
        """What a host lacks that has these trees."""
        have = frozenset(self._memory.objects(trees)) - {self.content.tree.digest}
        if have not in self._packs:
            self._packs[have] = pack(self.content, have)
        data = self._packs[have]
        return digest(data), data


def _shown(playbook: Path) -> str:
    """A playbook's name as an order carries it: from `playbooks/` on, or its own name."""
    parts = playbook.parts
    return "/".join(parts[-2:]) if len(parts) > 1 and parts[-2] == "playbooks" else playbook.name
