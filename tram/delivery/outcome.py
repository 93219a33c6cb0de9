"""How a delivery ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tram.core.errors import TramError
from tram.ledger import Ended


class Held(TramError):
    """Nothing is sent now, by the site's own rules. `until` is when it may be (None: not over this line)."""

    def __init__(self, message: str, until: datetime | None = None, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.until = until


@dataclass(frozen=True, slots=True)
class Delivered:
    """How a delivery ended. `unheard`: the host has the order and will carry it out, its result was not heard yet; that
    counts as *not reached* until it is, and nothing is sent again. `sent`, `received`: bytes of payload on the line.
    `files` came back into the secrets directory."""

    run: str
    host: str
    site: str
    ended: Ended
    unheard: bool = False
    contacts: int = 0
    sent: int = 0
    received: int = 0
    seconds: float = 0.0
    files: tuple[str, ...] = ()
