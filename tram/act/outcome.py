"""How an act on a host ended, and the reasons it may give."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tram.core.errors import TramError


class Outcome(StrEnum):
    """The three ways an act ends. *Not reached* is not *failed*: the link may be down, trying again is all it takes."""

    DONE = "done"
    FAILED = "failed"
    NOT_REACHED = "not reached"


class NotReached(TramError):
    """The host did not answer, or stopped answering."""


class IdentityUnknown(TramError):
    """The host was never seen before and nobody vouched for the key it shows."""


class IdentityChanged(TramError):
    """The host shows another key than the one that is pinned or was given."""


class LoginRefused(TramError):
    """The host answers but lets none of our keys or the password in."""


class StepFailed(TramError):
    """The host let us in, but a step of the work ended with an error there."""


@dataclass(frozen=True, slots=True)
class HostResult:
    """One host's end. `changes` are the steps that changed something (with a dry run: would), in their order.

    Steps: identity (pinned), packages, account, sudo, key. `fingerprint` is the host key's, when one was accepted.
    """

    name: str
    address: str
    outcome: Outcome
    changes: tuple[str, ...] = ()
    fingerprint: str = ""
    problem: TramError | None = None
