"""A rollout from plan to end: each step is in the ledger before the next begins, so any controller can go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from tram.core.errors import TramError
from tram.ledger import Ended, HostRow, Job, Ledger, LedgerFailed, Outcome, PlaceRow, State, WaveRow, new_owner, utc_now
from tram.rollout.fanout import Work, is_open
from tram.rollout.gate import objections
from tram.rollout.policy import Policy
from tram.rollout.reason import Reason

# How long a controller that vanished on another machine keeps others from going on.
CONTROL = timedelta(seconds=30)
# How often wishes (pause, abort) and windows are looked at while nothing else happens.
_LOOK = timedelta(seconds=1)


class Standing(StrEnum):
    """How a rollout stands. `resting`: nothing is due before a time (a window opens, a site is tried again);
    `held`: evidence or a person's word is missing; `stopped`: something failed. All but the last two may be resumed."""

    PLANNED = "planned"
    RUNNING = "running"
    RESTING = "resting"
    PAUSED = "paused"
    HELD = "held"
    STOPPED = "stopped"
    ABORTED = "aborted"
    DONE = "done"


GOES_ON = (Standing.PLANNED, Standing.RUNNING, Standing.RESTING, Standing.HELD)
"""What a timer goes on with; the rest is left to a person."""


class ConductedElsewhere(TramError):
    """Another controller conducts this rollout now."""


class WorkersLost(TramError):
    """The cluster gave a host up: workers died under it again and again."""


class RolloutOver(TramError):
    """The rollout ended before; there is nothing to go on with."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class News:
    """What a conductor tells while it goes on. `what`: wave, begin, host, soak, passed, held, stopped, rest, follow;
    with the wave's number and, for it, the host, how it ended, the reasons, until when."""

    what: str
    wave: int
    host: str = ""
    ended: Ended | None = None
    reasons: tuple[Reason, ...] = ()
    until: datetime | None = None


class Conductor:
    """Conducts one rollout of the ledger, as long as it is the only one who does."""

    def __init__(
        self,
        ledger: Ledger,
        run: str,
        work: Work,
        executor: Executor,
        *,
        width: int,
        link_class_of: Callable[[str], str],
        tell: Callable[[News], None] = lambda _news: None,
        follow: Callable[[], Sequence[Job]] = tuple,
        stay: bool = False,
    ) -> None:
        """`width`: how many hosts go at once; `link_class_of`: the class of a site's line, by the site's code;
        `follow`: what is to be delivered besides, because of what hosts returned; `stay`: wait for windows and for
        hosts not reached rather than rest."""
        self._ledger = ledger
        self._book = ledger.rollouts
        self._run = run
        self._work = work
        self._executor = executor
        self._width = width
        self._link_class_of = link_class_of
        self._tell = tell
        self._follow = follow
        self._stay = stay
        self._owner = new_owner()
        self._lost = threading.Event()
        self._rollout = self._book.get(run)
        self._policy = Policy.of(self._rollout.policy, run)
        self._places = self._book.places(run)
        self._wave_of = {place.host: place.wave for place in self._places}
        shown = ledger.show(run)
        self._playbook = shown.run.playbook
        # What came back while another conducted it may not have been followed up.
        self._returned = any(row.outcome is Outcome.DONE for row in shown.hosts)

    def conduct(self) -> Standing:
        """Go on from where the ledger says it stands, to its end or until it may not go on.

        Raises: ConductedElsewhere; RolloutOver; LedgerFailed, and then `conduct` again goes on.
        """
        if self._rollout.state in (Standing.DONE, Standing.ABORTED):
            raise RolloutOver(f"rollout {self._run} is {self._rollout.state}", hint="start a new one")
        with self._control():
            if self._book.get(self._run).wish == "pause":
                self._book.wish(self._run, None)
            self._book.set_state(self._run, Standing.RUNNING)
            try:
                standing = self._go_on()
            except KeyboardInterrupt:
                self._book.set_state(self._run, Standing.PAUSED)
                raise
            if standing in (Standing.PAUSED, Standing.ABORTED):
                self._book.wish(self._run, None)
            self._book.set_state(self._run, standing)
        return standing

    def _go_on(self) -> Standing:
        for wave in self._book.waves(self._run):
            if wave.state == "passed":
                continue
            standing = self._conduct_wave(wave)
            if standing is not Standing.RUNNING:
                return standing
        last = len(self._book.waves(self._run))
        while True:
            standing = self._deliver(last)
            if standing is not Standing.RUNNING:
                return standing
            owed = [row for row in self._rows(last).values() if self._owed(row)]
            if not owed:
                return Standing.DONE
            standing = self._rest(last, owed)
            if standing is not Standing.RUNNING:
                return standing

    def _conduct_wave(self, wave: WaveRow) -> Standing:
        """One wave: begin, deliver, soak, judge. RUNNING: it has passed."""
        approval = Reason("approval", {"wave": wave.number})
        if wave.needs_approval and approval.key not in self._accepted():
            return self._end_wave(wave, [approval])
        self._book.set_wave(self._run, wave.number, "running")
        self._tell(News("wave", wave.number))
        while True:
            standing = self._deliver(wave.number)
            if standing is Standing.STOPPED:
                return self._end_wave(wave, self._objections(wave.number))
            if standing is not Standing.RUNNING:
                return standing
            waiting = [row for row in self._rows(wave.number).values() if row.outcome is None]
            if not waiting:
                break
            standing = self._rest(wave.number, waiting)
            if standing is not Standing.RUNNING:
                return standing
        self._book.set_wave(self._run, wave.number, "soaking")
        standing = self._soak(wave.number)
        if standing is not Standing.RUNNING:
            return standing
        return self._end_wave(wave, self._objections(wave.number))

    def _end_wave(self, wave: WaveRow, found: Sequence[Reason]) -> Standing:
        """Write down what the gate says."""
        state, standing = "passed", Standing.RUNNING
        if found:
            stops = any(reason.stops for reason in found)
            standing = Standing.STOPPED if stops else Standing.HELD
            state = str(standing)
        self._book.set_wave(self._run, wave.number, state, objections=[reason.plain() for reason in found])
        self._tell(News(state, wave.number, reasons=tuple(found)))
        return standing

    def _deliver(self, number: int) -> Standing:
        """Deliver to every host of the waves up to this one that is due, each at most once.

        RUNNING: nothing is due any more; STOPPED: too many failed. What is under way is always waited for.
        """
        under_way: dict[Future[Ended], str] = {}
        due: list[HostRow] = []
        tried: set[str] = set()
        wish: Standing | None = None
        halted, look = False, 0.0
        while True:
            # The ledger is not asked about every host each time one of them ends, but for news now and then.
            looked = time.monotonic() >= look
            if looked:
                wish, rows = self._wish(), self._rows(number)
                halted = wish is not None or self._too_many_failed(rows)
                due = [] if halted else [row for row in rows.values() if row.host not in tried and self._due(row)]
                look = time.monotonic() + _LOOK.total_seconds()
            free = self._width - len(under_way)
            for row in due[:free]:
                tried.add(row.host)
                self._tell(News("begin", self._wave_of[row.host], host=row.host))
                under_way[self._executor.submit(self._work, self._job(row))] = row.host
            due = due[free:]
            if under_way:
                ready, _ = wait(under_way, timeout=_LOOK.total_seconds(), return_when=FIRST_COMPLETED)
                for future in ready:
                    host, ended = under_way.pop(future), _result(future)
                    self._returned |= ended.returned
                    look = 0.0 if ended.outcome is Outcome.FAILED else look
                    self._tell(News("host", self._wave_of[host], host=host, ended=ended))
            elif looked:
                if not wish:
                    self._follow_up(number)
                return wish or (Standing.STOPPED if halted else Standing.RUNNING)
            else:
                look = 0.0

    def _follow_up(self, number: int) -> None:
        """Deliver what hosts returned makes necessary elsewhere. Until this is over the wave is not, so nothing of it
        is forgotten; hosts that are not reached now are owed it as any delivery."""
        if not self._returned:
            return
        self._returned = False
        jobs = self._follow()
        if jobs:
            self._tell(News("follow", number, host=", ".join(job.host for job in jobs)))
        for job, ended in zip(jobs, self._executor.map(self._work, jobs), strict=True):
            self._tell(News("host", number, host=job.host, ended=ended))

    def _soak(self, number: int) -> Standing:
        """Let the wave stand for its time, counted from when it settled, also across controllers."""
        wave = self._book.waves(self._run)[number - 1]
        until = (wave.settled or utc_now()) + timedelta(seconds=wave.soak_seconds)
        if until > utc_now():
            self._tell(News("soak", number, until=until))
        return self._wait(until)

    def _rest(self, number: int, owed: Sequence[HostRow]) -> Standing:
        """Until the first of these is due: wait when told to stay, otherwise leave it to a later `resume`; but do go
        on with one that was never tried and whose line's hours have begun. Who was called in vain just now is not
        called again and again, however soon it is due."""
        now, until = utc_now(), min(self._when(row) for row in owed)
        if until <= now and (self._stay or any(row.outcome is None and self._due(row) for row in owed)):
            return Standing.RUNNING
        self._tell(News("rest", number, until=max(now, until)))
        return self._wait(until) if self._stay else Standing.RESTING

    def _wait(self, until: datetime) -> Standing:
        """RUNNING when the time has come; or what was wished meanwhile."""
        while (left := until - utc_now()) > timedelta(0):
            wish = self._wish()
            if wish is not None:
                return wish
            self._lost.wait(min(left, _LOOK).total_seconds())
        return Standing.RUNNING

    # What the ledger says

    def _rows(self, number: int) -> dict[str, HostRow]:
        """The hosts of the waves up to this one, in the order of the plan."""
        rows = {row.host: row for row in self._ledger.show(self._run).hosts}
        return {place.host: rows[place.host] for place in self._places if place.wave <= number}

    def _objections(self, number: int) -> list[Reason]:
        before = [place.host for place in self._places if place.wave < number]
        own = [place.host for place in self._places if place.wave == number]
        last = number == max(self._wave_of.values())
        found = objections(self._ledger, self._run, self._policy, wave=number, before=before, own=own, last=last)
        accepted = self._accepted()
        return [reason for reason in found if reason.key not in accepted]

    def _too_many_failed(self, rows: dict[str, HostRow]) -> bool:
        failed = [host for host, row in rows.items() if row.outcome is Outcome.FAILED]
        accepted = self._accepted() if failed else frozenset()
        fresh = [host for host in failed if Reason("failed", {"host": host}).key not in accepted]
        return bool(fresh) and len(failed) > self._policy.max_failed

    def _accepted(self) -> frozenset[str]:
        return frozenset(key for approval in self._book.approved(self._run) for key in approval.accepted)

    def _due(self, row: HostRow) -> bool:
        return self._owed(row) and self._when(row) <= utc_now()

    def _owed(self, row: HostRow) -> bool:
        """Whether it is still to be delivered to; a host not reached only up to the age limit."""
        if row.state is State.NOT_REACHED:
            return utc_now() - (row.started or utc_now()) <= self._policy.age_limit
        return is_open(row.state)

    def _when(self, row: HostRow) -> datetime:
        """When its line may be used next, not before it is to be tried again; never, for one that has ended."""
        now = utc_now()
        if not is_open(row.state):
            return datetime.max.replace(tzinfo=now.tzinfo)
        earliest = max(now, row.next_try or now)
        hours = self._policy.link(self._link_class_of(row.site)).hours
        return hours.opens(earliest, self._policy.utc_offset) if hours else earliest

    def _job(self, row: HostRow) -> Job:
        # The playbook is kept as the operator named it; workers may stand in another directory.
        playbook, inventory = Path(self._playbook).resolve(), Path(self._rollout.inventory).resolve()
        return Job(self._run, row.host, row.site, str(playbook), str(inventory), self._ledger.url)

    def _wish(self) -> Standing | None:
        """What an operator asked for meanwhile.

        Raises: ConductedElsewhere when control was lost.
        """
        if self._lost.is_set():
            raise ConductedElsewhere(f"another controller took over rollout {self._run}")
        wish = self._book.get(self._run).wish
        return {"pause": Standing.PAUSED, "abort": Standing.ABORTED}.get(wish or "")

    @contextmanager
    def _control(self) -> Iterator[None]:
        """Be the only one who conducts it, and stay that."""
        if not self._book.take(self._run, self._owner, CONTROL):
            row = self._book.get(self._run)
            until = f" until {row.controller_until:%H:%M:%S} UTC at least" if row.controller_until else ""
            raise ConductedElsewhere(
                f"rollout {self._run} is conducted by {row.controller}{until}",
                hint="tram rollout show; or wait, if that controller is dead",
            )
        over = threading.Event()

        def keep() -> None:
            while not over.wait(CONTROL.total_seconds() / 3):
                try:
                    if not self._book.take(self._run, self._owner, CONTROL):
                        self._lost.set()
                        return
                except LedgerFailed:
                    continue

        keeper = threading.Thread(target=keep, name="control of the rollout", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()
            self._book.let_go(self._run, self._owner)


def _result(future: Future[Ended]) -> Ended:
    try:
        return future.result()
    except TramError:
        raise
    except Exception as error:
        raise WorkersLost(
            f"the workers did not end their work: {type(error).__name__}: {error}", hint="tram rollout resume goes on"
        ) from error


def approve(ledger: Ledger, run: str, who: str) -> tuple[Reason, ...]:
    """Let the wave at which the rollout stands go on, in spite of what is on record against it now; what that is."""
    accepted = frozenset(key for approval in ledger.rollouts.approved(run) for key in approval.accepted)
    for wave in ledger.rollouts.waves(run):
        if wave.state == "passed":
            continue
        found = [Reason.of(reason) for reason in wave.objections]
        if wave.needs_approval:
            found.append(Reason("approval", {"wave": wave.number}))
        fresh = {reason.key: reason for reason in found if reason.key not in accepted}
        if fresh:
            ledger.rollouts.approve(run, wave.number, who, fresh)
        return tuple(fresh.values())
    return ()


def ask(ledger: Ledger, run: str, wish: Standing) -> bool:
    """Ask for PAUSED or ABORTED. True: nobody conducts it, so that is how it stands now; False: its controller will
    do so as soon as what is under way has ended."""
    words = {Standing.PAUSED: "pause", Standing.ABORTED: "abort"}
    owner = new_owner()
    if not ledger.rollouts.take(run, owner, CONTROL):
        ledger.rollouts.wish(run, words[wish])
        return False
    ledger.rollouts.wish(run, None)
    ledger.rollouts.set_state(run, wish)
    ledger.rollouts.let_go(run, owner)
    return True


def rows_in_order(places: Sequence[PlaceRow], rows: Sequence[HostRow]) -> list[tuple[PlaceRow, HostRow]]:
    """The hosts of a rollout in the order of its plan."""
    by_name = {row.host: row for row in rows}
    return [(place, by_name[place.host]) for place in places]
