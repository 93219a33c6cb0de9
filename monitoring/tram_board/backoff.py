"""Wrong passwords: each further one waits longer, by who tries whom from where. In memory: a restart forgives."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

# So many are free: people mistype.
FREE = 4
_MOST_KEPT = 10_000


@dataclass(slots=True)
class _Count:
    wrong: int = 0
    free_at: float = 0.0


class Backoff:
    """How long somebody has to wait before the next try counts.

    One name from one address waits up to 15 minutes, one address up to 15 minutes whatever names it tries, one name
    from anywhere at most 30 seconds: a stranger who hammers an operator's name does not lock the operator out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()
        self._lock = Lock()

    def wait(self, name: str, address: str) -> float:
        """Seconds to wait from now; 0: try."""
        with self._lock:
            counts = [count for key, _most, _free in _keys(name, address) if (count := self._counts.get(key))]
            return max([0.0, *(count.free_at - self._clock() for count in counts)])

    def wrong(self, name: str, address: str) -> None:
        """Count a wrong password."""
        with self._lock:
            for key, most, free in _keys(name, address):
                count = self._counts.setdefault(key, _Count())
                self._counts.move_to_end(key)
                count.wrong += 1
                if count.wrong > free:
                    count.free_at = self._clock() + min(most, 2.0 ** min(count.wrong - free, 20))
            while len(self._counts) > _MOST_KEPT:
                self._counts.popitem(last=False)

    def right(self, name: str, address: str) -> None:
        """Forget what this name did wrong from this address; the address' other tries stay counted."""
        self.unknown(name, address)
        with self._lock:
            self._counts.pop((name, address), None)
            self._counts.pop((name, ""), None)

    def unknown(self, name: str, address: str) -> None:
        """Nobody could tell, or it was right after all: this try is not counted (an office may share an address)."""
        with self._lock:
            for key, _most, free in _keys(name, address):
                if count := self._counts.get(key):
                    count.wrong -= 1
                    count.free_at = 0.0 if count.wrong <= free else count.free_at


def _keys(name: str, address: str) -> tuple[tuple[tuple[str, str], float, int], ...]:
    return ((name, address), 900.0, FREE), (("", address), 900.0, 5 * FREE), ((name, ""), 30.0, 5 * FREE)
