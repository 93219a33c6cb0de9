"""Many hosts at once: threads of this process, or workers of a dask cluster; the unit of work is one host either way.

What keeps a host from being delivered twice is its lease in the ledger, not the scheduler: a worker may die, a task may
be given to two workers, a controller may be started twice.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache

from tram.core.errors import BadInput, TramError
from tram.ledger import Ended, Job, Lease, Ledger, LedgerFailed, Outcome, State, new_owner, utc_now

# The one seam to delivery: carries one run to one host, returns how that ended. Called with the lease held.
Deliver = Callable[[Job], Ended]

# While somebody else has the host: how often it is looked whether it is free.
_LOOK_AGAIN = timedelta(seconds=1)

_LOCAL = re.compile(r"(\w+://)?(127\.|localhost\b|\[::1\])")


class SchedulerAway(TramError):
    """The dask scheduler does not answer."""


@dataclass(frozen=True, slots=True)
class Work:
    """Delivery of one host under its lease; picklable, so that it runs here or on a worker.

    `ttl` is how long a lease outlives a worker that vanished on another machine. A host not reached is to be tried
    again after `retry_first`, doubled with each attempt up to `retry_most`, give or take a fifth.
    """

    deliver: Deliver
    ttl: timedelta = timedelta(seconds=60)
    retry_first: timedelta = timedelta(minutes=10)
    retry_most: timedelta = timedelta(hours=2)

    def __call__(self, job: Job) -> Ended:
        """Take the host, deliver, write down how it ended, give it back.

        Raises: LedgerFailed when that cannot be written down; the host is then taken up again once its lease ends.
        """
        ledger = _ledger(job.ledger)
        taken = self._take(ledger, job)
        if isinstance(taken, Ended):
            return taken
        with _held(ledger, taken, self.ttl):
            ended = self._deliver(job)
        next_try = ended.next_try
        if ended.outcome is Outcome.NOT_REACHED and next_try is None:
            next_try = utc_now() + self._pause(taken.attempt)
        if not ledger.finish(job.run, job.host, ended.outcome, ended.reason, next_try=next_try, lease=taken):
            row = ledger.host(job.run, job.host)  # the site's own word stands, or another took over and is heard
            return Ended(row.outcome, row.reason) if row.outcome else self(job)
        return replace(ended, next_try=next_try)

    def _take(self, ledger: Ledger, job: Job) -> Lease | Ended:
        """The lease; or how it ended in the hands of another while we waited for it."""
        owner = new_owner()
        seen = ledger.host(job.run, job.host).attempts
        while True:
            lease = ledger.lease(job.run, job.host, owner, self.ttl)
            if lease:
                return lease
            row = ledger.host(job.run, job.host)
            if row.outcome and (row.outcome is not Outcome.NOT_REACHED or row.attempts > seen):
                return Ended(row.outcome, row.reason, row.next_try)
            time.sleep(_LOOK_AGAIN.total_seconds())

    def _deliver(self, job: Job) -> Ended:
        """An error of delivery itself is the host's failure: it stops the wave, and says what went wrong."""
        try:
            return self.deliver(job)
        except LedgerFailed:
            raise
        except TramError as error:
            return Ended(Outcome.FAILED, f"{error.message} ({error.hint})" if error.hint else error.message)
        except Exception as error:
            return Ended(Outcome.FAILED, f"delivery broke: {type(error).__name__}: {error}")

    def _pause(self, attempt: int) -> timedelta:
        doublings = min(attempt - 1, 20)
        return min(self.retry_most, self.retry_first * (1 << doublings)) * random.uniform(0.8, 1.2)  # noqa: S311


@contextmanager
def fan_out(scheduler: str | None, parallel: int, ledger: str) -> Iterator[tuple[Executor, int]]:
    """What runs the work, and how many hosts at once: `parallel` threads here, or every thread of the workers at
    `scheduler` (dask's own configuration for TLS).

    Raises: SchedulerAway; BadInput for workers that could not reach the ledger at this address.
    """
    if scheduler is None:
        with ThreadPoolExecutor(parallel, thread_name_prefix="deliver") as pool:
            yield pool, parallel
        return
    if ledger.startswith("sqlite") and not _LOCAL.match(scheduler):
        raise BadInput(
            f"workers at {scheduler} cannot write a ledger that is a file of this machine",
            hint="put the ledger into PostgreSQL: TRAM_LEDGER=postgresql://user@host/name",
        )
    from distributed import Client  # noqa: PLC0415  half a second to import, and few need it

    try:
        client = Client(scheduler, timeout="5s", set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise SchedulerAway(
            f"no dask scheduler answers at {scheduler}", hint="start one (dask scheduler), or leave --scheduler out"
        ) from error
    with client, client.get_executor(pure=False) as executor:  # type: ignore[no-untyped-call]
        threads = client.nthreads()  # type: ignore[no-untyped-call]
        yield executor, max(1, sum(threads.values()))


@contextmanager
def _held(ledger: Ledger, lease: Lease, ttl: timedelta) -> Iterator[None]:
    """Renew the lease while the work goes on."""
    over = threading.Event()

    def keep() -> None:
        while not over.wait(ttl.total_seconds() / 3):
            try:
                if not ledger.renew(lease, ttl):
                    return  # another has it; `finish` will say so
            except LedgerFailed:
                continue  # two more tries before it ends

    keeper = threading.Thread(target=keep, name=f"lease of {lease.host}", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()


@cache
def _ledger(url: str) -> Ledger:
    """Opened once a process: whether its schema is the right one need not be asked for every host."""
    return Ledger(url)


def is_open(state: State) -> bool:
    """Whether a host in this state is still to be delivered to."""
    return state in (State.WAITING, State.RUNNING, State.NOT_REACHED)
