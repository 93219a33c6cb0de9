"""A plan put down in the ledger, and found there again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tram.core.errors import BadInput
from tram.ledger import Ledger, RolloutRow, new_run_id, utc_now
from tram.ledger.rolloutbook import NewWave
from tram.rollout.plan import Wave
from tram.rollout.policy import Policy


class NoRollout(BadInput):
    """There is no rollout of this stack."""


def put_down(
    ledger: Ledger, waves: Sequence[Wave], policy: Policy, *, province: str, stack: str, playbook: Path, inventory: Path
) -> str:
    """Write the whole plan down before anything of it is done; returns the run's name.

    Raises: RolloutUnderWay when one of this stack is not over yet.
    """
    run = new_run_id(utc_now())
    planned = [
        NewWave(
            name=wave.name,
            soak=wave.soak,
            needs_approval=wave.needs_approval,
            hosts=[
                (place.host, place.site, [reason.plain() for reason in place.why], place.forecast.plain())
                for place in wave.places
            ],
        )
        for wave in waves
    ]
    ledger.rollouts.create(
        run,
        province=province,
        stack=stack,
        playbook=str(playbook),
        inventory=str(inventory),
        policy=policy.plain(),
        planned=planned,
    )
    return run


def newest(ledger: Ledger, stack: str) -> RolloutRow:
    """The newest rollout of a stack.

    Raises: NoRollout.
    """
    found = ledger.rollouts.newest(stack)
    if not found:
        raise NoRollout(f"there is no rollout of {stack}", hint=f"tram rollout start {stack}")
    return found[0]
