"""What must happen before a bundle can be built: a playbook delivered to the host, then one run at the centre.

A role says so in meta/tram.yml (docs/contracts/bundle.md). The host's part is a run of its own in the ledger; nothing
is lost when it is broken off, because what it returned is what tells that it has been.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from tram.bundle import Content, First, build
from tram.core.errors import BadInput, TramError
from tram.delivery.parcel import find_host
from tram.ledger import Ended, Job, Ledger, Outcome, new_owner, new_run_id, utc_now
from tram.push.playbook import run_playbook
from tram.register import Province

# How long the host's part may take before another controller may think that this one is gone.
_LEASE = timedelta(days=1)


class CentreFailed(TramError):
    """What the centre has to do before a delivery did not work."""


class NotYet(TramError):
    """The host's part has not been done; `ended` is how it ended."""

    def __init__(self, ended: Ended, playbook: Path) -> None:
        super().__init__(f"{playbook.name} comes first: {ended.reason or ended.outcome}")
        self.ended = replace(ended, reason=self.message)


def due(content: Content, job: Job) -> bool:
    """Whether something must come before this delivery; nothing does before what is itself such a step."""
    return not job.check and bool(content.first) and all(step.host != Path(job.playbook) for step in content.first)


def prepare(
    job: Job, province: Province, ledger: Ledger, content: Content, carry: Callable[[Job, Content], Ended] | None = None
) -> Content:
    """Do what `content` says must come first, and build it again; `carry` delivers the host's part (None: no line).

    Raises: NotYet; CentreFailed; BadInput when a bundle cannot be built, or a part of the host's cannot be had.
    """
    for step in content.first:
        if step.host and not step.answered:
            if carry is None:
                hint = f"tram courier pack {job.host} --playbook {step.host}; when its answer is here, this again"
                raise BadInput(f"{job.host}: {step.host.name} comes first, for what it returns", hint=hint)
            ended = _ask(job, province, ledger, step.host, carry)
            if ended.outcome is not Outcome.DONE:
                raise NotYet(ended, step.host)
        _at_the_centre(step, job, province)
    _site, host = find_host(province, job.host)
    found = build(Path(job.playbook), province, host, secrets=province.secrets_dir)
    if found.first:
        raise CentreFailed(
            f"{found.first[0].centre}: ran, and is still to be run for role {found.first[0].role} on {job.host}",
            hint=f"look at first: in roles/{found.first[0].role}/meta/tram.yml",
        )
    return found


def _ask(job: Job, province: Province, ledger: Ledger, playbook: Path, carry: Callable[[Job, Content], Ended]) -> Ended:
    """The host's part, as a run of its own."""
    run = new_run_id(utc_now())
    ledger.begin(run, province=province.code, playbook=str(playbook), hosts=[(job.host, job.site)])
    lease = ledger.lease(run, job.host, new_owner(), _LEASE)
    _site, host = find_host(province, job.host)
    asking = replace(job, run=run, playbook=str(playbook))
    try:
        ended = carry(asking, build(playbook, province, host, secrets=province.secrets_dir))
    except BaseException as problem:
        # Also a mistake of ours, and Ctrl-C: a run nobody is at is not under way.
        reason = problem.message if isinstance(problem, TramError) else f"{type(problem).__name__}: {problem}"
        ledger.finish(run, job.host, Outcome.FAILED, reason, lease=lease)
        raise
    ledger.finish(run, job.host, ended.outcome, ended.reason, next_try=ended.next_try, lease=lease)
    return ended


def _at_the_centre(step: First, job: Job, province: Province) -> None:
    """Run a playbook here, for one host, over no line; one at a time, for what it makes may be there for all hosts.

    Raises: CentreFailed with what failed; ProgramFailed.
    """
    inventory = Path(job.inventory)
    env = {"TRAM_SECRETS": str(province.secrets_dir)}
    province.secrets_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(province.secrets_dir / ".centre.lock", os.O_RDWR | os.O_CREAT, 0o600)) as lock:  # noqa: PTH123
        fcntl.flock(lock, fcntl.LOCK_EX)
        recap = run_playbook(step.centre, inventory, extra=["--limit", job.host], env=env)
    if recap.code:
        raise CentreFailed(
            "; ".join(recap.failures()) or f"{step.centre} ended with {recap.code}",
            hint=f"ansible-playbook -i {inventory} {step.centre} --limit {job.host}",
        )
