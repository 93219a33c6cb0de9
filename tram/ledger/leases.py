"""Taking a host for work, by compare-and-set: one statement looks and takes, so two controllers never both have it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, func, literal, or_, select, update

from tram.ledger import journal
from tram.ledger.clock import Clock, utc_now
from tram.ledger.owner import is_gone
from tram.ledger.rows import Lease
from tram.ledger.schema import Moment, run_hosts, runs
from tram.ledger.states import FINAL, State


def now(c: Connection, clock: Clock) -> datetime:
    """The clock leases go by: the server's, so that controllers need not agree on the time; SQLite has none."""
    if c.dialect.name == "postgresql" and clock is utc_now:
        found: datetime = c.execute(select(func.clock_timestamp())).scalar_one()
        return found
    return clock()


def take(c: Connection, run: str, host: str, *, owner: str, at: datetime, ttl: timedelta) -> Lease | None:
    """Take the host unless it is final or somebody's; an owner whose process is known dead has lost it."""
    dead = _dead(c, run, host)
    free = or_(
        run_hosts.c.lease_owner.is_(None),
        run_hosts.c.lease_until <= at,
        *([run_hosts.c.lease_owner == dead] if dead else []),
    )
    taken = c.execute(
        update(run_hosts)
        .where(journal.of(run, host), run_hosts.c.state.not_in(FINAL), free)
        .values(
            state=State.RUNNING,
            reason="",
            attempts=run_hosts.c.attempts + 1,
            started=func.coalesce(run_hosts.c.started, literal(at, Moment())),
            ended=None,
            next_try=None,
            lease_owner=owner,
            lease_until=at + ttl,
        )
        .returning(run_hosts.c.attempts)
    ).scalar_one_or_none()
    if taken is None:
        return None
    c.execute(update(runs).where(runs.c.run == run).values(ended=None))
    return Lease(run, host, owner, at + ttl, int(taken))


def renew(c: Connection, lease: Lease, until: datetime) -> bool:
    """Move the end of a lease that is still its owner's."""
    mine = (journal.of(lease.run, lease.host), run_hosts.c.lease_owner == lease.owner)
    return c.execute(update(run_hosts).where(*mine).values(lease_until=until)).rowcount == 1


def release(c: Connection, lease: Lease) -> None:
    """Give it back: the host waits again unless it has ended meanwhile."""
    mine = (journal.of(lease.run, lease.host), run_hosts.c.lease_owner == lease.owner)
    running = run_hosts.c.state == State.RUNNING
    c.execute(update(run_hosts).where(*mine, running).values(state=State.WAITING))
    c.execute(update(run_hosts).where(*mine).values(lease_owner=None, lease_until=None))


def _dead(c: Connection, run: str, host: str) -> str | None:
    """The owner of the lease when its process is known to have ended."""
    owner = c.execute(select(run_hosts.c.lease_owner).where(journal.of(run, host))).scalar_one_or_none()
    return owner if owner and is_gone(owner) else None
