"""One run to one host, over as many connections as the line makes necessary, and nothing twice."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tram.bundle import Content, build, centre_key, pack, sign
from tram.core.canonical import digest
from tram.core.errors import TramError
from tram.core.frames import BrokenWire
from tram.core.order import Order
from tram.delivery.contact import ComeAfresh, Contact, Need, Refused
from tram.delivery.greeting import Greeting, read_greeting
from tram.delivery.install import install, site_files
from tram.delivery.line import Barred, Carrier, Line, LineLost, NoRunner
from tram.delivery.memory import TreeMemory, runtime
from tram.delivery.policy import Policy, policy_for
from tram.delivery.progress import Phase, Tell, Teller
from tram.delivery.ssh import SshCarrier
from tram.ledger import Ended, Job, Ledger, Outcome
from tram.register import Host, Province, Site, load

# --no-wait: nobody of ours stays to confirm, so a change that needs it waits for the next contact so long.
_CONFIRM_LATER = timedelta(hours=12)
# A host that asks for the same again and again, or never takes a fresh connection as one, is not argued with for ever.
_MOST_REPEATS = 5


class Held(TramError):
    """Nothing is sent now, by the site's own rules. `until` is when it may be (None: not over this line)."""

    def __init__(self, message: str, until: datetime | None = None, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.until = until


@dataclass(frozen=True, slots=True)
class Delivered:
    """How a delivery ended. `unheard`: the host has the order and will carry it out, its result was not heard yet; that
    counts as *not reached* until it is, and nothing is sent again. `sent`, `received`: bytes of payload on the line.
    `files` came back into the secrets directory."""

    run: str
    host: str
    site: str
    ended: Ended
    unheard: bool = False
    contacts: int = 0
    sent: int = 0
    received: int = 0
    seconds: float = 0.0
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Way:
    """How a delivery goes about it. `carrier` and `content` are made when they are not given; `wait`: until the result,
    not only until the host has the order; `install`: put the runtime there when it is missing, or (`anew`) in any case;
    `now_anyway`: the line's hours and cap do not hold."""

    carrier: Carrier | None = None
    content: Content | None = None
    policy: Policy | None = None
    runtime: str | None = None
    wait: bool = True
    install: bool = True
    anew: bool = False
    now_anyway: bool = False
    memory: TreeMemory | None = None
    sleep: Callable[[float], None] = time.sleep


def deliver_job(job: Job) -> Ended:
    """Carry one run to one host to its end. Called with the host's lease held; what a rollout hands to its workers.

    Raises: TramError for what is wrong with the bundle or with this machine; nothing was sent then.
    """
    province = load(Path(job.inventory))
    return deliver_host(job, province, Ledger(job.ledger)).ended


def deliver_host(
    job: Job, province: Province, ledger: Ledger, way: Way | None = None, tell: Tell = lambda _progress: None
) -> Delivered:
    """As `deliver_job`, with progress told as it comes and everything said about how it went.

    Raises: as `deliver_job`.
    """
    delivery = _Delivery(job, province, ledger, way or Way(), tell)
    try:
        return delivery.go()
    finally:
        delivery.teller.write()


def find_host(province: Province, name: str) -> tuple[Site, Host]:
    """The host of that inventory name, with its site. Raises: KeyError."""
    return next((site, host) for site in province.sites for host in site.hosts if host.inventory_name == name)


class _Delivery:
    def __init__(self, job: Job, province: Province, ledger: Ledger, way: Way, tell: Tell) -> None:
        self.job, self.province, self.ledger, self.way = job, province, ledger, way
        self.site, self.host = find_host(province, job.host)
        self.policy = way.policy or policy_for(self.site.link, province)
        self.carrier = way.carrier or SshCarrier(province, self.host, self.policy)
        self.memory = way.memory or TreeMemory()
        self.teller = Teller(ledger, job.run, job.host, tell)
        self.began = time.monotonic()
        self.accepted = self.contacted = self.fresh = self.everything = self.installed = False
        self.used_before = ledger.host(job.run, job.host).bytes_down
        self.contacts = self.sent = self.received = self.repeats = 0
        self.mark: tuple[object, ...] = ()
        self.order: Order | None = None
        self.files: tuple[str, ...] = ()
        self._packs: dict[frozenset[str], bytes] = {}
        self._content = way.content
        self._runtime = way.runtime

    @property
    def content(self) -> Content:
        if self._content is None:
            secrets = self.province.secrets_dir
            playbook = Path(self.job.playbook)
            self._content = build(playbook, self.province, self.host, secrets=secrets, check=self.job.check)
        return self._content

    @property
    def runtime(self) -> str:
        if self._runtime is None:
            self._runtime = runtime().id
        return self._runtime

    def go(self) -> Delivered:
        """Connect as often as it takes."""
        try:
            self._held_back()
            self.teller.tell(phase=Phase.BUILDING)
            self.memory.keep(self.content)
            return self._keep_on()
        except Held as held:
            hint = f"; {held.hint}" if held.hint else ""
            return self._delivered(Ended(Outcome.NOT_REACHED, held.message + hint, held.until))
        except Refused as refused:
            return self._delivered(Ended(Outcome.FAILED, f"refused ({refused.reason}): {refused.message}"))
        except Barred as barred:
            return self._delivered(Ended(Outcome.FAILED, f"{barred.message} ({barred.hint})"))

    def _keep_on(self) -> Delivered:
        failures, last_step, chance = 0, time.monotonic(), random.Random()  # noqa: S311 (only shakes pauses)
        while True:
            row = self.ledger.host(self.job.run, self.job.host)
            if row.outcome and row.outcome is not Outcome.NOT_REACHED:
                return self._delivered(Ended(row.outcome, row.reason))
            failures += 1
            self.teller.tell(phase=Phase.CALLING, attempt=failures)
            before = self.mark
            try:
                if self._contact():
                    continue
                return self._delivered(self._unheard(f"the order is at the host, {self.job.host} carries it out"))
            except ComeAfresh:
                self.fresh = True
                self._count_repeat()
                failures = 0
                continue
            except (LineLost, BrokenWire) as error:
                problem = error.message
            if self.mark != before:
                failures, last_step = 1, time.monotonic()
            bound = self.policy.stall if self.contacted else self.policy.reach
            pause = self.policy.pause(failures, chance)
            if time.monotonic() + pause.total_seconds() - last_step > bound.total_seconds():
                return self._delivered(self._given_up(problem, bound))
            self.teller.tell(phase=Phase.CALLING, note=problem)
            self.way.sleep(pause.total_seconds())

    def _contact(self) -> bool:
        """One connection. True: look at the ledger again; False: accepted, and nobody waits for more.

        Raises: LineLost, BrokenWire, ComeAfresh, Refused, Barred, Held.
        """
        if self.way.anew and not self.installed:
            self._install()
        try:
            with self.carrier.open(fresh=self.fresh) as line:
                try:
                    return self._talk(line)
                finally:
                    self._count(line)
        except NoRunner as missing:
            if not self.way.install or self.installed:
                raise Barred(missing.message, hint=missing.hint) from missing
            self._install()
            return True

    def _talk(self, line: Line) -> bool:
        line.patience = self.policy.connect + self.policy.answer
        greeting = read_greeting(line, self.province, self.site, self.host)
        line.patience = self.policy.answer
        self.contacted = True
        self.contacts += 1
        self.teller.tell(heard=True, note="")
        told = greeting.runs.get(self.job.run)
        self.accepted = told is not None
        self.mark = (self.accepted, told and told.next_seq, told and told.state, sum(greeting.partial.values()))
        if not self.accepted and self.runtime not in greeting.runtimes:
            if not self.way.install or self.installed:
                have = ", ".join(greeting.runtimes) or "none"
                raise Barred(
                    f"{self.job.host}: has not the runtime {self.runtime}, only {have}", hint="tram deliver --install"
                )
            line.finish()
            self._install()
            return True
        contact = Contact(line, greeting, run=self.job.run, host=self.job.host, ledger=self.ledger, teller=self.teller)
        if told is not None and told.state == "confirming" and not line.fresh:
            raise ComeAfresh("the host waits for a fresh contact")
        if not self.accepted:
            self._hand_over(contact)
            self.accepted = True
        else:
            contact.ask_others()
            if self.way.wait:
                contact.watch(confirm=told is not None and told.state == "confirming")
        if self.way.wait:
            contact.until_result()
            if self.content.returns and not self.job.check:
                found = contact.fetch_files(self.province.secrets_dir, self.content.returns)
                self.files = (*self.files, *found)
        contact.part()
        self.fresh = False
        return self.way.wait

    def _hand_over(self, contact: Contact) -> None:
        """Send the order, and what the host lacks; returns once it has them for good."""
        offset: int | None = None
        while True:
            order, signature = self._order(contact.greeting)
            name, data = self._pack(contact.greeting)
            if offset is None:
                offset = min(contact.greeting.partial.get(name or "", 0), len(data))
            self._cap(len(data) - offset)
            contact.order(order, signature, name, data, offset)
            contact.ask_others()
            if self.way.wait:
                contact.watch(confirm=False)
            try:
                contact.until_accepted()
                return
            except Need as need:
                self._count_repeat()
                self.everything = self.everything or need.everything
                offset = 0 if need.everything else need.offset
            except Refused as refused:
                if refused.reason not in ("replayed", "damaged"):
                    raise
                self._count_repeat(refused)
                raise LineLost(f"{self.job.host}: {refused.message}; asked again") from refused

    def _order(self, greeting: Greeting) -> tuple[Order, str]:
        """The order, with a number above the last that the host accepted, signed."""
        now = datetime.now(UTC)
        if self.order is None or self.order.serial <= greeting.serial or self.order.expires <= now:
            last = self.ledger.last(self.job.host, before=self.job.run)
            confirm = self.policy.confirm if self.way.wait else _CONFIRM_LATER
            if last is not None and last.attempts > 2:  # a line with such a history is given more time
                confirm *= 2
            self.order = Order(
                province=self.province.code,
                site=self.site.code,
                host=self.job.host,
                run=self.job.run,
                serial=self.ledger.assign(self.job.host, run=self.job.run, above=greeting.serial),
                playbook=_shown(Path(self.job.playbook)),
                tree=self.content.tree.digest,
                bytes=self.content.tree.bytes,
                runtime=self.runtime,
                issued=now,
                expires=now + self.policy.order_valid,
                after=last.run if last else None,
                check=self.job.check,
                confirm_seconds=None if self.job.check else round(confirm.total_seconds()),
            )
        return self.order, sign(self.order, centre_key(self.province))

    def _pack(self, greeting: Greeting) -> tuple[str | None, bytes]:
        """What the host lacks, by digest; (None, nothing) when it lacks nothing."""
        tree = self.content.tree.digest
        if tree in greeting.trees and not self.everything:
            return None, b""
        have = frozenset() if self.everything else frozenset(self.memory.objects(greeting.trees))
        if have not in self._packs:
            self._packs[have] = pack(self.content, have)
        data = self._packs[have]
        return digest(data), data

    def _install(self) -> None:
        self.teller.tell(phase=Phase.INSTALLING)
        built = runtime()
        self._cap(built.bytes)
        with self.carrier.install() as line:
            line.patience = self.policy.connect + self.policy.answer
            try:
                install(line, site_files(self.province, self.site, self.host), built, self.teller)
            finally:
                self._count(line)
        self.installed = True
        self._runtime = built.id
        self.mark = (*self.mark, "installed")

    def _held_back(self) -> None:
        opens = self.policy.hours.opens(datetime.now(UTC)) if self.policy.hours else None
        if opens is not None and not self.way.now_anyway:
            raise Held(f"the line of {self.site.code} may be used from {opens.astimezone():%H:%M} on", opens)

    def _cap(self, more: int) -> None:
        """Hold before the cap, not after it."""
        cap = self.policy.cap_bytes
        if cap is None or self.way.now_anyway:
            return
        used = self.used_before + self.sent
        if used + more > cap:
            raise Held(
                f"{more} bytes more would make {used + more}, the line of {self.site.code} allows {cap} a run",
                hint=f"carry it on a stick: tram courier pack {self.job.host}",
            )

    def _count(self, line: Line) -> None:
        self.sent, self.received = self.sent + line.sent, self.received + line.received
        self.teller.carried(line.sent, line.received)

    def _count_repeat(self, why: TramError | None = None) -> None:
        self.repeats += 1
        if self.repeats > _MOST_REPEATS:
            raise why or Barred(
                f"{self.job.host}: asks for the same again and again", hint="look at it: tram-site status"
            )

    def _given_up(self, problem: str, bound: timedelta) -> Ended:
        if self.accepted:
            return self._unheard(f"accepted, result not heard yet: {problem}")
        return Ended(Outcome.NOT_REACHED, f"nothing went forward for {bound.total_seconds() / 60:.0f} min: {problem}")

    def _unheard(self, reason: str) -> Ended:
        return Ended(Outcome.NOT_REACHED, reason)

    def _delivered(self, ended: Ended) -> Delivered:
        unheard = self.accepted and ended.outcome is Outcome.NOT_REACHED
        self.teller.tell(phase=Phase.OVER, note=ended.reason)
        seconds = time.monotonic() - self.began
        return Delivered(
            self.job.run, self.job.host, self.site.code, ended, unheard,
            self.contacts, self.sent, self.received, seconds, self.files,
        )  # fmt: skip


def _shown(playbook: Path) -> str:
    """A playbook's name as an order carries it: from `playbooks/` on, or its own name."""
    parts = playbook.parts
    return "/".join(parts[-2:]) if len(parts) > 1 and parts[-2] == "playbooks" else playbook.name
