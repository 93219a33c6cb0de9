"""When to try again, and when to stop."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from tram.delivery.policy import Policy


class Patience:
    """Counts failures against the policy's bounds. What goes forward is reason for more patience."""

    def __init__(self, policy: Policy, sleep: Callable[[float], None] = time.sleep) -> None:
        self.failures = 0
        self.contacted = False
        self._policy = policy
        self._sleep = sleep
        self._last_step = time.monotonic()
        self._mark: object = None
        self._chance = random.Random()  # noqa: S311 (it only shakes pauses)

    def heard(self, mark: object) -> None:
        """The host answered, and this is how far things are; another mark than the last is a step forward."""
        self.contacted = True
        if mark != self._mark:
            self._mark = mark
            self.went_on()

    def went_on(self) -> None:
        """Up to now things went forward; from here on it counts."""
        self._last_step = time.monotonic()
        self.failures = 0

    @property
    def bound(self) -> float:
        """How long, in seconds, may pass without a step forward."""
        return (self._policy.stall if self.contacted else self._policy.reach).total_seconds()

    def again(self) -> bool:
        """After a failure: wait and True, or False when it is enough."""
        self.failures += 1
        pause = self._policy.pause(self.failures, self._chance).total_seconds()
        if time.monotonic() + pause - self._last_step > self.bound:
            return False
        self._sleep(pause)
        return True
