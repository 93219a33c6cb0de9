"""The words for how far a host is in a run, and the three that are said in public."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """The three ways a host's run ends. Only *failed* stops a wave; *not reached* is tried again."""

    DONE = "done"
    FAILED = "failed"
    NOT_REACHED = "not reached"


class State(StrEnum):
    """How far a host is. The first two are no outcome yet; `reverted` and `refused` are said in public as *failed*."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    REVERTED = "reverted"
    REFUSED = "refused"
    NOT_REACHED = "not reached"

    @property
    def outcome(self) -> Outcome | None:
        """The public outcome; None while there is none."""
        return _PUBLIC.get(self)


_PUBLIC = {
    State.DONE: Outcome.DONE,
    State.FAILED: Outcome.FAILED,
    State.REVERTED: Outcome.FAILED,
    State.REFUSED: Outcome.FAILED,
    State.NOT_REACHED: Outcome.NOT_REACHED,
}

# Nothing is done to a host again once it is in one of these; a host not reached may still be.
FINAL = (State.DONE, State.FAILED, State.REVERTED, State.REFUSED)


@dataclass(frozen=True, slots=True)
class Ended:
    """How work on one host ended. `reason` is for people: empty for done; `next_try` only for *not reached*: not
    before then (None: the caller's own rule); `returned`: something came back that the centre did not have."""

    outcome: Outcome
    reason: str = ""
    next_try: datetime | None = None
    returned: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """All that is needed to deliver one run to one host, from any process: plain values, so that it can travel.

    `playbook` and `inventory` are absolute paths on the controller's (or a worker's) disk.
    """

    run: str
    host: str
    site: str
    playbook: str
    inventory: str
    ledger: str
    check: bool = False
