"""One run to one host, over as many connections as the line makes necessary, and nothing twice."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from tram.core.errors import TramError
from tram.core.frames import BrokenWire
from tram.delivery.contact import ComeAfresh, Contact, Need, Refused
from tram.delivery.greeting import Told, read_greeting
from tram.delivery.install import install, site_files
from tram.delivery.line import Barred, Carrier, Line, LineLost, NoRunner
from tram.delivery.memory import HostMemory, lacking_bytes, runtime
from tram.delivery.outcome import Delivered, Held
from tram.delivery.parcel import Parcel
from tram.delivery.patience import Patience
from tram.delivery.policy import Policy
from tram.delivery.progress import Phase, Teller
from tram.ledger import Ended, Job, Ledger, Outcome
from tram.register import Province

# A host that asks for the same again and again, or never takes a fresh connection as one, is not argued with for ever.
_MOST_REPEATS = 5
# A host that works long says nothing new for long; while the line stands that is no reason to lose patience.
_STOOD_SECONDS = 60.0


class Delivery:
    """The work of one job. `wait`: until the result, not only until the host has the order; `may_install`: put the
    runtime there when it is missing; `now_anyway`: the line's hours and cap do not hold."""

    def __init__(
        self,
        job: Job,
        province: Province,
        ledger: Ledger,
        *,
        parcel: Parcel,
        carrier: Carrier,
        policy: Policy,
        teller: Teller,
        patience: Patience,
        wait: bool,
        may_install: bool,
        now_anyway: bool,
    ) -> None:
        self.job, self.province, self.ledger = job, province, ledger
        self.parcel, self.carrier, self.policy = parcel, carrier, policy
        self.site, self.host = parcel.site, parcel.host
        self.teller, self.patience = teller, patience
        self.wait, self.may_install, self.now_anyway = wait, may_install, now_anyway
        self.hosts = HostMemory(province.code)
        self.began = time.monotonic()
        self.met = 0.0  # when the host spoke first on the connection of now
        before = ledger.host(job.run, job.host)
        self.used_before = before.bytes_down
        self.accepted = before.site_state is not None  # the host has spoken of this run
        self.fresh = self.installed = False
        self.contacts = self.sent = self.received = self.repeats = 0
        self.files: tuple[str, ...] = ()

    def go(self) -> Delivered:
        """Connect as often as it takes.

        Raises: TramError for what is wrong with the bundle or with this machine.
        """
        try:
            self._mind_the_hours()
            self.teller.tell(phase=Phase.BUILDING)
            self.parcel.remember()
            return self._keep_on()
        except Held as held:
            return self._delivered(Ended(Outcome.NOT_REACHED, _sentence(held), held.until))
        except Refused as refused:
            return self._delivered(Ended(Outcome.FAILED, f"refused ({refused.reason}): {refused.message}"))
        except Barred as barred:
            return self._delivered(Ended(Outcome.FAILED, _sentence(barred)))

    def _keep_on(self) -> Delivered:
        while True:
            row = self.ledger.host(self.job.run, self.job.host)
            if row.outcome and row.outcome is not Outcome.NOT_REACHED:
                return self._delivered(Ended(row.outcome, row.reason))
            self.teller.tell(phase=Phase.CALLING, attempt=self.patience.failures + 1)
            try:
                if not self._contact():
                    return self._delivered(Ended(Outcome.NOT_REACHED, "the host has the order and carries it out"))
            except ComeAfresh:
                self.fresh = True
                self._count_repeat()
            except (LineLost, BrokenWire, Barred) as problem:
                # Let in before and not any more: the change itself may have locked us out. The host finds that out and
                # goes back, and says so when it is asked then.
                if isinstance(problem, Barred) and not self.accepted:
                    raise
                self.teller.tell(phase=Phase.CALLING, note=problem.message)
                if self.met and time.monotonic() - self.met > _STOOD_SECONDS:
                    self.patience.went_on()  # a connection that stood so long was no failure
                self.met = 0.0
                if not self.patience.again():
                    return self._delivered(self._given_up(problem.message))

    def _contact(self) -> bool:
        """One connection. True: look at the ledger again; False: accepted, and nobody waits for more.

        Raises: LineLost, BrokenWire, ComeAfresh, Refused, Barred, Held.
        """
        try:
            with self.carrier.open(fresh=self.fresh) as line:
                try:
                    return self._talk(line)
                finally:
                    self._count(line)
        except NoRunner as missing:
            self._install(missing)
            return True

    def _talk(self, line: Line) -> bool:
        line.patience = self.policy.connect + self.policy.answer
        greeting = read_greeting(line, self.province, self.site, self.host)
        line.patience = self.policy.answer
        self.contacts += 1
        self.met = time.monotonic()
        self.teller.tell(heard=True, note="")
        told = greeting.runs.get(self.job.run)
        self.accepted = told is not None
        self.hosts.keep(self.job.host, greeting.runtimes)
        self.patience.heard((told, tuple(sorted(greeting.partial.items())), greeting.runtimes))
        if not self.accepted and self.parcel.runtime not in greeting.runtimes:
            have = ", ".join(greeting.runtimes) or "none"
            line.finish()
            self._install(Barred(f"{self.job.host}: has runtime {have}, not {self.parcel.runtime}"))
            return True
        contact = Contact(line, greeting, run=self.job.run, host=self.job.host, ledger=self.ledger, teller=self.teller)
        contact.told_every = round(self.policy.told_every.total_seconds())
        if told is None:
            self._hand_over(contact)
            self.accepted = True
        else:
            self._ask(contact, told, fresh=line.fresh)
        if self.wait:
            contact.until_result()
            if self.parcel.content.returns and not self.job.check:
                self.files += tuple(contact.fetch_files(self.province.secrets_dir, self.parcel.content.returns))
        contact.part()
        self.fresh = False
        return self.wait

    def _ask(self, contact: Contact, told: Told, *, fresh: bool) -> None:
        """The host has the order already: ask how it goes, and confirm the change if that is what it waits for."""
        confirming = told.state == "confirming"
        if confirming and not fresh:
            raise ComeAfresh("the host waits for a fresh contact")
        contact.ask_others()
        if self.wait:
            contact.watch(confirm=confirming)

    def _hand_over(self, contact: Contact) -> None:
        """Send the order, and what the host lacks; returns once it has them for good."""
        greeting, offset = contact.greeting, -1
        while True:
            order, signature = self.parcel.order(greeting.serial)
            name, data = self.parcel.pack(greeting)
            if offset < 0:
                offset = min(greeting.partial.get(name or "", 0), len(data))
            self._mind_the_cap(len(data) - offset)
            contact.order(order, signature, name, data, offset)
            contact.ask_others()
            if self.wait:
                contact.watch(confirm=False)
            try:
                contact.until_accepted()
                return
            except Need as need:
                self._count_repeat()
                self.parcel.everything = self.parcel.everything or need.everything
                offset = 0 if need.everything else min(max(need.offset, 0), len(data))
            except Refused as refused:
                if refused.reason not in ("replayed", "damaged"):
                    raise
                self._count_repeat(refused)  # another centre's order, or a torn pack: look at the host anew
                raise LineLost(f"{refused.message}; asked again") from refused

    def _install(self, missing: TramError) -> None:
        """Put the runtime there, once; `missing` is what to say when that is not to be, or was in vain.

        Raises: NotInstalled; LineLost.
        """
        if not self.may_install or self.installed:
            raise Barred(missing.message, hint=f"tram deliver --install --limit {self.job.host}")
        self.teller.tell(phase=Phase.INSTALLING)
        built = runtime()
        self._mind_the_cap(lacking_bytes(built, self.hosts.runtimes(self.job.host)))
        with self.carrier.install() as line:
            line.patience = self.policy.connect + self.policy.answer
            try:
                install(line, site_files(self.province, self.site, self.host), built, self.teller)
            finally:
                self._count(line)
                self.patience.heard(self.teller.now.sent)
        self.installed = True
        self.hosts.keep(self.job.host, [built.id])
        self.parcel.runtime = built.id

    def _mind_the_hours(self) -> None:
        opens = self.policy.hours.opens(datetime.now(UTC)) if self.policy.hours else None
        if opens is not None and not self.now_anyway:
            raise Held(f"the line of {self.site.code} is free for this from {opens.astimezone():%H:%M} on", opens)

    def _mind_the_cap(self, more: int) -> None:
        """Hold before the cap, not after it."""
        cap, used = self.policy.cap_bytes, self.used_before + self.sent
        if cap is not None and used + more > cap and not self.now_anyway:
            raise Held(
                f"{used + more} bytes are needed, the line of {self.site.code} allows {cap} a run",
                hint=f"carry it on a stick: tram courier pack {self.job.host} --to DIR",
            )

    def _count(self, line: Line) -> None:
        self.sent, self.received = self.sent + line.sent, self.received + line.received
        self.teller.carried(line.sent, line.received)

    def _count_repeat(self, why: TramError | None = None) -> None:
        self.repeats += 1
        if self.repeats > _MOST_REPEATS:
            raise why or Barred(
                f"{self.job.host}: asks for the same again and again", hint="see there: tram-site status"
            )

    def _given_up(self, problem: str) -> Ended:
        if self.accepted:
            return Ended(Outcome.NOT_REACHED, f"the host has the order, its result was not heard yet: {problem}")
        bound = self.patience.bound
        span = f"{bound / 60:.0f} min" if bound >= 120 else f"{bound:.0f} s"
        return Ended(Outcome.NOT_REACHED, f"nothing went forward for {span}: {problem}")

    def _delivered(self, ended: Ended) -> Delivered:
        self.teller.tell(phase=Phase.OVER, note=ended.reason)
        return Delivered(
            run=self.job.run,
            host=self.job.host,
            site=self.site.code,
            ended=ended,
            unheard=self.accepted and ended.outcome is Outcome.NOT_REACHED,
            contacts=self.contacts,
            sent=self.sent,
            received=self.received,
            seconds=time.monotonic() - self.began,
            files=self.files,
        )


def _sentence(error: TramError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message
