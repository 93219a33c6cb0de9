"""How many bytes a delivery would put on a host's line now: what it lacks of its bundle and of the runtime."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from tram.bundle import Content, build_all, pack
from tram.core.errors import TramError
from tram.delivery.memory import HostMemory, TreeMemory, lacking_bytes, runtime
from tram.ledger import HostRow, Ledger
from tram.register import Province
from tram.rollout.forecast import GUESS_UP, ORDER_BYTES, Traffic
from tram.rollout.targets import Targets

# A host keeps so many of the trees it was given (docs/contracts/exchange.md, `trees`).
_KEPT_TREES = 5


class Measure:
    """Bytes by host. `problem` is why no bundle could be built; then nothing is known of any host.

    Secrets that must exist need not yet: the hub's wave may be what makes them.
    """

    def __init__(
        self,
        province: Province,
        playbook: Path,
        found: Targets,
        ledger: Ledger,
        *,
        runtime_bytes: Callable[[tuple[str, ...]], int] | None = None,
    ) -> None:
        """`runtime_bytes`: what travels to a host with these runtimes to bring it to this installation's."""
        self.problem: TramError | None = None
        self._lasts = ledger.lasts()
        self._down: dict[str, int] = {}
        hosts = [host for _, host in found.hosts]
        try:
            contents = build_all(playbook, province, hosts, secrets=province.secrets_dir, check=True)
        except TramError as error:
            self.problem = error
            return
        given, memory, hosts_had = ledger.given(_KEPT_TREES), TreeMemory(), HostMemory(province.code)
        packs = _Packs(contents)
        lacking = runtime_bytes or _of_this_installation()
        for name, content in contents.items():
            trees = given.get(name, ())
            bundle = 0 if content.tree.digest in trees else packs.bytes(content, memory.objects(trees))
            self._down[name] = ORDER_BYTES + bundle + lacking(hosts_had.runtimes(name))

    def last(self, name: str) -> HostRow | None:
        """The host in its newest run."""
        return self._lasts.get(name)

    def __call__(self, name: str) -> Traffic | None:
        """What goes down is measured; what comes up is as the last time."""
        down, last = self._down.get(name), self.last(name)
        if down is None:
            return None
        return Traffic(down, last.bytes_up if last and last.bytes_up else GUESS_UP, "bundle")


class _Packs:
    """Sizes of packs. Hosts that lack the same, beside what is theirs alone, get the same: to press each would cost
    20 ms a host, and the difference is some tens of bytes."""

    def __init__(self, contents: Mapping[str, Content]) -> None:
        uses = Counter(digest for content in contents.values() for digest in content.objects)
        self._shared = frozenset(digest for digest, count in uses.items() if count > 1)
        self._sizes: dict[frozenset[str], int] = {}

    def bytes(self, content: Content, have: set[str]) -> int:
        """What the host gets that has these objects."""
        kind = frozenset(content.objects.keys() & self._shared) - have
        if kind not in self._sizes:
            self._sizes[kind] = len(pack(content, have))
        return self._sizes[kind]


def _of_this_installation() -> Callable[[tuple[str, ...]], int]:
    built, known = runtime(), dict[tuple[str, ...], int]()

    def lacking(had: tuple[str, ...]) -> int:
        if had not in known:
            known[had] = lacking_bytes(built, had)
        return known[had]

    return lacking
