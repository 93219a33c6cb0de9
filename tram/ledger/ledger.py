"""The ledger: which host was given what, how far it is, how it ended, and everything it told, each thing once."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import and_, exists, func, or_, select, update

from tram.core.errors import BadInput
from tram.core.events import Event
from tram.ledger import journal, leases
from tram.ledger.clock import Clock, utc_now
from tram.ledger.database import Database, upsert
from tram.ledger.migrations import STEPS, Step
from tram.ledger.rolloutbook import RolloutBook
from tram.ledger.rows import Carried, HostRow, Lease, RunRow, Shown, row_of
from tram.ledger.schema import run_hosts, runs, serials, settings
from tram.ledger.states import FINAL, Outcome, State


class OtherProvince(BadInput):
    """The ledger belongs to another province."""


def new_run_id(at: datetime) -> str:
    """A name for a run that sorts by time: 20261121T190500Z-3f9a1c."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def default_url(province: str) -> str:
    """Where the province's ledger is: $TRAM_LEDGER (a URL), or a file under the operator's own state directory.

    Source: XDG Base Directory Specification (~/.local/state).
    """
    chosen = os.environ.get("TRAM_LEDGER")
    return chosen or f"sqlite:///{Path.home() / '.local' / 'state' / 'tram' / province / 'ledger.db'}"


def open_ledger(province: str) -> Ledger:
    """The province's ledger, made when there is none.

    Raises: OtherProvince; LedgerFailed; BadInput for an address that is none.
    """
    ledger = Ledger(default_url(province))
    ledger.belong(province)
    return ledger


class Ledger:
    """One province's ledger. Any number of threads and processes may use it together; it pickles as its address."""

    def __init__(self, url: str, *, clock: Clock = utc_now, steps: Sequence[Step] = STEPS) -> None:
        """Open `url` (sqlite:////path or postgresql://…), and bring it to this version's schema.

        Raises: BadInput, LedgerTooNew, LedgerFailed.
        """
        self.url = url
        self._clock = clock
        self._db = Database(url, steps)
        self.rollouts = RolloutBook(self._db, clock)

    def __reduce__(self) -> tuple[type[Ledger], tuple[str]]:
        return Ledger, (self.url,)

    def close(self) -> None:
        """Give the connections back."""
        self._db.close()

    def belong(self, province: str) -> None:
        """Make it this province's ledger, for good.

        Raises: OtherProvince when it is another's already.
        """
        with self._db.write() as c:
            c.execute(upsert(c, settings).values(name="province", value=province).on_conflict_do_nothing())
            found = c.execute(select(settings.c.value).where(settings.c.name == "province")).scalar_one()
        if found != province:
            raise OtherProvince(
                f'the ledger is of province "{found}", not of "{province}"',
                hint="one ledger a province: another file or database in TRAM_LEDGER",
            )

    # Runs

    def begin(
        self, run: str, *, province: str, playbook: str, hosts: Iterable[tuple[str, str]], kind: str = "deliver"
    ) -> None:
        """Write down a run and its hosts, (inventory name, site), before anything is sent. Again changes nothing.

        `kind` is what for: deliver, check, rollout.
        """
        with self._db.write() as c:
            journal.add_run(c, run, province=province, playbook=playbook, kind=kind, at=self._clock())
            journal.add_hosts(c, run, hosts)

    def runs(self, *, limit: int = 50, playbook: str | None = None) -> list[RunRow]:
        """The newest runs first."""
        query = select(runs).order_by(runs.c.started.desc(), runs.c.run.desc()).limit(limit)
        if playbook is not None:
            query = query.where(runs.c.playbook == playbook)
        with self._db.read() as c:
            found = c.execute(query).all()
            counts = journal.counts(c, [row.run for row in found])
        return [row_of(RunRow, row, counts=counts.get(row.run, {})) for row in found]

    def show(self, run: str) -> Shown:
        """One run with its hosts.

        Raises: UnknownRun.
        """
        with self._db.read() as c:
            row = c.execute(select(runs).where(runs.c.run == run)).one_or_none()
            if row is None:
                raise journal.UnknownRun(f"no run {run} in the ledger", hint="tram runs lists them")
            hosts = c.execute(select(run_hosts).where(run_hosts.c.run == run).order_by(run_hosts.c.host)).all()
            counts = journal.counts(c, [run])
        return Shown(row_of(RunRow, row, counts=counts.get(run, {})), tuple(row_of(HostRow, host) for host in hosts))

    def host(self, run: str, host: str) -> HostRow:
        """One host of a run.

        Raises: UnknownRun.
        """
        with self._db.read() as c:
            return journal.host(c, run, host)

    def outcome(self, run: str, host: str) -> Outcome | None:
        """How the host's run ended; None while it has not.

        Raises: UnknownRun.
        """
        return self.host(run, host).outcome

    def last(self, host: str, *, playbook: str | None = None, before: str = "") -> HostRow | None:
        """The host in its newest run that was tried at all (of this playbook; not `before`'s own run); None: never."""
        query = (
            select(run_hosts)
            .join(runs, runs.c.run == run_hosts.c.run)
            .where(run_hosts.c.host == host, run_hosts.c.run != before, run_hosts.c.attempts > 0)
            .order_by(runs.c.started.desc(), runs.c.run.desc())
            .limit(1)
        )
        if playbook is not None:
            query = query.where(runs.c.playbook == playbook)
        with self._db.read() as c:
            row = c.execute(query).one_or_none()
        return row_of(HostRow, row) if row else None

    def lasts(self) -> dict[str, HostRow]:
        """As `last`, of every host that was ever tried."""
        newest = func.row_number().over(
            partition_by=run_hosts.c.host, order_by=(runs.c.started.desc(), runs.c.run.desc())
        )
        ranked = (
            select(run_hosts, newest.label("rank"))
            .join(runs, runs.c.run == run_hosts.c.run)
            .where(run_hosts.c.attempts > 0)
            .subquery()
        )
        with self._db.read() as c:
            return {row.host: row_of(HostRow, row) for row in c.execute(select(ranked).where(ranked.c.rank == 1))}

    def tally(self) -> list[tuple[str, str, State, int, datetime | None]]:
        """Host, site and state of all runs: how many hosts' runs stand so, and when the last of them ended."""
        columns = (run_hosts.c.host, run_hosts.c.site, run_hosts.c.state)
        query = select(*columns, func.count(), func.max(run_hosts.c.ended)).group_by(*columns).order_by(*columns)
        with self._db.read() as c:
            return [(host, site, State(state), count, ended) for host, site, state, count, ended in c.execute(query)]

    # What a host is given

    def given(self, limit: int) -> dict[str, tuple[str, ...]]:
        """The digests of what every host was given and took, newest first, from at most `limit` runs of each."""
        newest = func.row_number().over(
            partition_by=run_hosts.c.host, order_by=(runs.c.started.desc(), runs.c.run.desc())
        )
        ranked = (
            select(run_hosts.c.host, run_hosts.c.tree, newest.label("rank"))
            .join(runs, runs.c.run == run_hosts.c.run)
            .where(run_hosts.c.tree.is_not(None), run_hosts.c.site_state.is_not(None))
            .subquery()
        )
        query = select(ranked).where(ranked.c.rank <= limit).order_by(ranked.c.host, ranked.c.rank)
        found: dict[str, tuple[str, ...]] = {}
        with self._db.read() as c:
            for row in c.execute(query):
                found[row.host] = (*found.get(row.host, ()), row.tree)
        return found

    def assign(self, host: str, *, run: str | None = None, tree: str | None = None, above: int = 0) -> int:
        """The next serial number for an order to this host: larger than any given before, and than `above`.

        `above` is what the site says it accepted last, so that a ledger made anew is not refused as a replay. With
        `run` the number is written down at the host in that run too, and the digest of what it is given.
        """
        with self._db.write() as c:
            statement = upsert(c, serials).values(host=host, serial=above + 1)
            larger = func.max if c.dialect.name == "sqlite" else func.greatest
            done = statement.on_conflict_do_update(
                index_elements=[serials.c.host], set_={"serial": larger(serials.c.serial, above) + 1}
            ).returning(serials.c.serial)
            serial = int(c.execute(done).scalar_one())
            if run is not None:
                c.execute(update(run_hosts).where(*journal.of(run, host)).values(serial=serial, tree=tree))
        return serial

    # Leases

    def lease(self, run: str, host: str, owner: str, ttl: timedelta) -> Lease | None:
        """Take the host for `owner` for `ttl`: None when it is final already or another one's (who is not known dead).

        Each time it is taken counts as an attempt.

        Raises: UnknownRun.
        """
        with self._db.write() as c:
            journal.host(c, run, host)
            return leases.take(c, run, host, owner=owner, at=leases.now(c, self._clock), ttl=ttl)

    def renew(self, lease: Lease, ttl: timedelta) -> bool:
        """Hold on to it for `ttl` from now; False when it is no longer ours."""
        with self._db.write() as c:
            return leases.renew(c, lease, leases.now(c, self._clock) + ttl)

    def release(self, lease: Lease) -> None:
        """Give the host back without an outcome: it waits again. Nothing happens when it is no longer ours."""
        with self._db.write() as c:
            leases.release(c, lease)

    # What is heard, and how it ends

    def heard(
        self,
        run: str,
        host: str,
        *,
        bytes_down: int = 0,
        bytes_up: int = 0,
        bytes_total: int | None = None,
        task: str | None = None,
        tasks_done: int | None = None,
        tasks_total: int | None = None,
        contact: bool = True,
    ) -> None:
        """Write down progress. Bytes are added to those before; the rest replaces what it says.

        `contact=False` for bytes sent into a line that has not answered: it leaves `last_heard` as it is.
        """
        values: dict[str, object] = {
            "bytes_down": run_hosts.c.bytes_down + bytes_down,
            "bytes_up": run_hosts.c.bytes_up + bytes_up,
        }
        given = {"bytes_total": bytes_total, "task": task, "tasks_done": tasks_done, "tasks_total": tasks_total}
        values |= {name: value for name, value in given.items() if value is not None}
        if contact:
            values["last_heard"] = self._clock()
        with self._db.write() as c:
            c.execute(update(run_hosts).where(*journal.of(run, host)).values(values))

    def record(self, events: Iterable[Event], *, source: str | None = None) -> int:
        """Insert what is new of these events, in any order and any number of times; returns how many were new.

        A new result decides the host's state, whatever the centre thought before. Events of a run the ledger has
        nothing of are kept too. With `source`, events of another host than that one are refused: a site speaks for
        itself only.

        Raises: BadEvent, and then none was recorded.
        """
        with self._db.write() as c:
            return journal.record(c, list(events), self._clock(), source)

    def events(self, run: str, host: str | None = None, *, after: int = 0, kind: str | None = None) -> list[Event]:
        """The events of a run by host and number; those above `after` only."""
        with self._db.read() as c:
            return journal.read(c, run, host, after, kind)

    def next_seq(self, run: str, host: str) -> int:
        """The first event number that is missing: where to ask the host to go on."""
        with self._db.read() as c:
            return journal.next_seq(c, run, host)

    def finish(
        self,
        run: str,
        host: str,
        outcome: Outcome,
        reason: str = "",
        *,
        next_try: datetime | None = None,
        lease: Lease | None = None,
    ) -> bool:
        """Write down how the work ended and give the host back.

        What the site itself said (a recorded result) stands over the centre's word; a final state is never changed.
        With `lease`, only its holder is heard: False, and nothing written, when it is no longer his.

        Raises: UnknownRun.
        """
        now = self._clock()
        with self._db.write() as c:
            values = {"state": State(outcome.value), "reason": reason, "ended": now, "next_try": None}
            if outcome is Outcome.NOT_REACHED:
                values |= {"next_try": next_try}
            free = {"lease_owner": None, "lease_until": None}
            mine = [run_hosts.c.lease_owner == lease.owner] if lease else []
            statement = update(run_hosts).where(journal.of(run, host), run_hosts.c.state.not_in(FINAL), *mine)
            if c.execute(statement.values(values | free)).rowcount:
                journal.close_run(c, run, now)
                return True
            found = journal.host(c, run, host)
            if found.state in FINAL:
                c.execute(update(run_hosts).where(journal.of(run, host), *mine).values(free))
            return found.state in FINAL and found.outcome is outcome

    def carried_over(self, age_limit: timedelta, *, run: str | None = None) -> list[Carried]:
        """The hosts not reached that are still owed their newest run of a playbook, first due first.

        `too_old` marks those first tried longer ago than `age_limit`: they are reported, not tried again. A host
        that a newer run of the same playbook names is not listed for the older one.
        """
        now = self._clock()
        newer_run, newer = runs.alias(), run_hosts.alias()
        superseded = exists().where(
            newer.c.run == newer_run.c.run,
            newer.c.host == run_hosts.c.host,
            newer_run.c.playbook == runs.c.playbook,
            or_(
                newer_run.c.started > runs.c.started,
                and_(newer_run.c.started == runs.c.started, newer_run.c.run > runs.c.run),
            ),
        )
        query = (
            select(run_hosts, runs.c.playbook, func.coalesce(run_hosts.c.started, runs.c.started).label("since"))
            .join(runs, runs.c.run == run_hosts.c.run)
            .where(run_hosts.c.state == State.NOT_REACHED, ~superseded)
            .order_by(func.coalesce(run_hosts.c.next_try, ""), run_hosts.c.run, run_hosts.c.host)
        )
        if run is not None:
            query = query.where(run_hosts.c.run == run)
        with self._db.read() as c:
            found = c.execute(query).all()
        return [
            row_of(
                Carried,
                row,
                due=row.next_try is None or row.next_try <= now,
                too_old=now - row.since > age_limit,
            )
            for row in found
        ]
