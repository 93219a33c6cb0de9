"""How far a delivery is, for whoever looks on and for the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from tram.ledger import Ledger


class Phase(StrEnum):
    """What is going on with a host."""

    BUILDING = "building"
    CALLING = "calling"
    INSTALLING = "installing"
    SENDING = "sending"
    APPLYING = "applying"
    CONFIRMING = "confirming"
    WAITING = "waiting"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Progress:
    """One host's progress. `sent` of `total` bytes were handed to the line (None: not known yet); `done` of `of` tasks;
    `heard` is when the host last said anything; `note` is the last trouble, in a sentence."""

    host: str
    phase: Phase = Phase.BUILDING
    sent: int = 0
    total: int | None = None
    done: int | None = None
    of: int | None = None
    task: str = ""
    attempt: int = 0
    heard: datetime | None = None
    note: str = ""

    @property
    def percent(self) -> int | None:
        """How much of what is to be sent was sent, 0 to 100."""
        return min(100, 100 * self.sent // self.total) if self.total else None


Tell = Callable[[Progress], None]


class Teller:
    """Keeps one host's progress, tells it, and writes it down (in the ledger, if any) now and then for `tram runs`."""

    _WRITE_EVERY = 2.0  # seconds; an old controller's disk has better to do

    def __init__(self, ledger: Ledger | None, run: str, host: str, tell: Tell) -> None:
        self.now = Progress(host)
        self._ledger, self._run, self._tell = ledger, run, tell
        self._written = 0.0
        self._down = self._up = 0
        self._unwritten = False

    def tell(self, *, heard: bool = False, **changes: Any) -> None:
        """Change what changed; `heard`: the host said something."""
        if heard:
            changes["heard"] = datetime.now(UTC)
        self.now = replace(self.now, **changes)
        self._unwritten = self._unwritten or heard
        self._tell(self.now)
        if time.monotonic() - self._written >= self._WRITE_EVERY:
            self.write()

    def carried(self, down: int, up: int) -> None:
        """Count bytes of payload to the host and from it."""
        self._down += down
        self._up += up

    def write(self) -> None:
        """Write down what was not written yet."""
        now, self._written = self.now, time.monotonic()
        if self._ledger is None:
            return
        self._ledger.heard(
            self._run, now.host, bytes_down=self._down, bytes_up=self._up, bytes_total=now.total,
            task=now.task or None, tasks_done=now.done, tasks_total=now.of, contact=self._unwritten,
        )  # fmt: skip
        self._down = self._up = 0
        self._unwritten = False
