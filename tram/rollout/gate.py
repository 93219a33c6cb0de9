"""Whether a wave may go on: evidence from the ledger, nothing else. What is not shown is not assumed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from tram.core.events import Event
from tram.ledger import HostRow, Ledger, Outcome
from tram.rollout.policy import Policy
from tram.rollout.reason import Reason


def objections(
    ledger: Ledger, run: str, policy: Policy, *, wave: int, before: Sequence[str], own: Sequence[str], last: bool
) -> list[Reason]:
    """Everything that speaks against going on after this wave; empty: it has passed.

    `own` are the hosts of the wave, `before` those of the waves before it: their failures count too, because a host
    that was not reached then may have been since. After the `last` wave nothing waits for those not reached.
    """
    rows = {row.host: row for row in ledger.show(run).hosts}
    failed = [rows[name] for name in (*before, *own) if rows[name].outcome is Outcome.FAILED]
    found = []
    if len(failed) > policy.max_failed:
        found += [Reason("failed", {"host": row.host, "reason": row.reason}) for row in failed]
    if not last:
        found += _reached([rows[name] for name in own], wave, policy)
    for name in own:
        if rows[name].outcome is Outcome.DONE:
            found += _evidence(ledger, rows[name], policy)
    return found


def _reached(own: Sequence[HostRow], wave: int, policy: Policy) -> Iterator[Reason]:
    reached = sum(row.outcome in (Outcome.DONE, Outcome.FAILED) for row in own)
    needed = math.ceil(round(policy.min_reached * len(own), 6))
    if reached < needed:
        yield Reason("too_few", {"wave": wave, "reached": reached, "total": len(own), "needed": needed})


def _evidence(ledger: Ledger, row: HostRow, policy: Policy) -> Iterator[Reason]:
    """What the host itself told of its run."""
    results = ledger.events(row.run, row.host, kind="result")
    if not results:
        # Done, and still something to say: it took no bundle and was pushed to.
        yield (
            Reason("pushed", {"host": row.host, "reason": row.reason})
            if row.reason
            else Reason("no_evidence", {"host": row.host})
        )
        return
    result = results[-1].body
    checks = [check for check in result.get("verify") or [] if isinstance(check, dict)]
    if policy.need_verify and not checks:
        yield Reason("nothing_verified", {"host": row.host})
    for check in checks:
        if check.get("ok") is not True:
            role, message = str(check.get("role", "")), str(check.get("message", ""))[:200]
            yield Reason("verify_failed", {"host": row.host, "role": role, "message": message})
    # A failed task inside a block that rescued it is no error; which of them that was, the events do not say.
    rescued = int((result.get("stats") or {}).get("rescued") or 0)
    errors = sum(_is_error(event) for event in ledger.events(row.run, row.host, kind="task"))
    if errors and not rescued:
        yield Reason("errors", {"host": row.host, "count": errors})


def _is_error(event: Event) -> bool:
    return event.body.get("status") in ("failed", "unreachable")
