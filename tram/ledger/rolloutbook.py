"""Rollouts on record: the plan, how far each wave is, what was wished and approved, and who conducts it now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, insert, or_, select, update

from tram.core.canonical import dumps
from tram.core.errors import BadInput
from tram.ledger import journal, leases
from tram.ledger.clock import Clock
from tram.ledger.database import Database, upsert
from tram.ledger.owner import is_gone
from tram.ledger.rows import ApprovalRow, PlaceRow, RolloutRow, WaveRow, row_of
from tram.ledger.schema import approvals, rollouts, runs, wave_hosts, waves

# A rollout in one of these goes on no more.
OVER = ("done", "aborted")


class RolloutUnderWay(BadInput):
    """There is a rollout of this stack that is not over."""


@dataclass(frozen=True, slots=True)
class NewWave:
    """A wave as planned: its name, soak time, and its hosts in order: (host, site, why, forecast)."""

    name: str
    soak: timedelta
    needs_approval: bool
    hosts: Sequence[tuple[str, str, Sequence[Mapping[str, Any]], Mapping[str, Any]]]


class RolloutBook:
    """The rollouts of a ledger. A rollout is a run (`kind` rollout) with waves; it shares the run's name."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def create(
        self,
        run: str,
        *,
        province: str,
        stack: str,
        playbook: str,
        inventory: str,
        policy: Mapping[str, Any],
        planned: Iterable[NewWave],
    ) -> None:
        """Write the whole plan down before anything of it is done.

        Raises: RolloutUnderWay when one of this stack is not over yet.
        """
        with self._db.write() as c:
            journal.add_run(c, run, province=province, playbook=playbook, kind="rollout", at=self._clock())
            mine = {"run": run, "stack": stack, "inventory": inventory, "state": "planned", "policy": _text(policy)}
            # The unique index on unfinished rollouts of a stack decides when two controllers start at once.
            added = upsert(c, rollouts).values(**mine).on_conflict_do_nothing().returning(rollouts.c.run)
            if c.execute(added).scalar_one_or_none() is None:
                raise RolloutUnderWay(
                    f"a rollout of {stack} is under way already",
                    hint=f"tram rollout show {stack}; resume it, or abort it first",
                )
            for number, wave in enumerate(planned, start=1):
                c.execute(insert(waves).values(run=run, number=number, state="waiting", **_columns(wave)))
                journal.add_hosts(c, run, [(host, site) for host, site, _, _ in wave.hosts])
                for place, (host, _, why, forecast) in enumerate(wave.hosts, start=1):
                    c.execute(
                        insert(wave_hosts).values(
                            run=run, host=host, wave=number, place=place, why=_text(list(why)), forecast=_text(forecast)
                        )
                    )

    def get(self, run: str) -> RolloutRow:
        """One rollout.

        Raises: UnknownRun.
        """
        with self._db.read() as c:
            row = c.execute(select(rollouts).where(rollouts.c.run == run)).one_or_none()
        if row is None:
            raise journal.UnknownRun(f"no rollout {run} in the ledger", hint="tram runs lists every run")
        return row_of(RolloutRow, row)

    def newest(self, stack: str | None = None) -> list[RolloutRow]:
        """The rollouts (of a stack), newest first."""
        query = select(rollouts).join(runs, runs.c.run == rollouts.c.run)
        if stack is not None:
            query = query.where(rollouts.c.stack == stack)
        with self._db.read() as c:
            found = c.execute(query.order_by(runs.c.started.desc(), runs.c.run.desc())).all()
        return [row_of(RolloutRow, row) for row in found]

    def waves(self, run: str) -> tuple[WaveRow, ...]:
        """The waves in order."""
        with self._db.read() as c:
            found = c.execute(select(waves).where(waves.c.run == run).order_by(waves.c.number)).all()
        return tuple(row_of(WaveRow, row) for row in found)

    def places(self, run: str) -> tuple[PlaceRow, ...]:
        """The hosts in the order of the plan."""
        query = select(wave_hosts).where(wave_hosts.c.run == run).order_by(wave_hosts.c.wave, wave_hosts.c.place)
        with self._db.read() as c:
            return tuple(row_of(PlaceRow, row) for row in c.execute(query))

    def set_state(self, run: str, state: str) -> None:
        """How the rollout stands."""
        with self._db.write() as c:
            c.execute(update(rollouts).where(rollouts.c.run == run).values(state=state))

    def set_wave(self, run: str, number: int, state: str, *, objections: Sequence[Mapping[str, Any]] = ()) -> None:
        """How a wave stands, and what speaks against going on; dates its first start, its settling and its end."""
        values: dict[str, Any] = {"state": state, "objections": _text(list(objections))}
        stamp = {"running": "started", "soaking": "settled", "passed": "ended"}.get(state)
        with self._db.write() as c:
            wave = and_(waves.c.run == run, waves.c.number == number)
            c.execute(update(waves).where(wave).values(values))
            if stamp:
                column = waves.c[stamp]
                c.execute(update(waves).where(wave, column.is_(None)).values({stamp: self._clock()}))

    def wish(self, run: str, what: str | None) -> None:
        """Ask whoever conducts it to "pause" or "abort"; None: nothing any more."""
        with self._db.write() as c:
            c.execute(update(rollouts).where(rollouts.c.run == run).values(wish=what))

    def approve(self, run: str, number: int, who: str, accepted: Iterable[str]) -> None:
        """Put down that `who` lets a wave go on in spite of the objections with these keys."""
        values = {"run": run, "wave": number, "who": who, "accepted": _text(sorted(accepted)), "at": self._clock()}
        with self._db.write() as c:
            c.execute(insert(approvals).values(**values))

    def approved(self, run: str) -> tuple[ApprovalRow, ...]:
        """The approvals in order of time."""
        with self._db.read() as c:
            found = c.execute(select(approvals).where(approvals.c.run == run).order_by(approvals.c.at)).all()
        return tuple(row_of(ApprovalRow, row) for row in found)

    def take(self, run: str, owner: str, ttl: timedelta) -> bool:
        """Become the one who conducts it, or stay it for `ttl` more; False while somebody else is.

        An owner whose process is known to be dead is nobody.
        """
        with self._db.write() as c:
            now = leases.now(c, self._clock)
            holder = c.execute(select(rollouts.c.controller).where(rollouts.c.run == run)).scalar_one_or_none()
            free: list[ColumnElement[bool]] = [
                rollouts.c.controller.is_(None),
                rollouts.c.controller == owner,
                rollouts.c.controller_until <= now,
            ]
            if holder and is_gone(holder):
                free.append(rollouts.c.controller == holder)
            statement = update(rollouts).where(rollouts.c.run == run, or_(*free))
            return c.execute(statement.values(controller=owner, controller_until=now + ttl)).rowcount == 1

    def let_go(self, run: str, owner: str) -> None:
        """Stop conducting."""
        mine = (rollouts.c.run == run, rollouts.c.controller == owner)
        with self._db.write() as c:
            c.execute(update(rollouts).where(*mine).values(controller=None, controller_until=None))


def _columns(wave: NewWave) -> dict[str, Any]:
    return {
        "name": wave.name,
        "soak_seconds": wave.soak.total_seconds(),
        "needs_approval": int(wave.needs_approval),
        "objections": "[]",
    }


def _text(data: object) -> str:
    return dumps(data).decode()
