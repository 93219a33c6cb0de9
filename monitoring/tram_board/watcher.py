"""The province's state, asked again when it is a few seconds old; everybody who looks meanwhile sees the same.

Where it is asked ahead (`begin`) nobody waits for the store: often while somebody looks, seldom while nobody does. A
state older than an interval is never shown: a store that hangs is *unknown*.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event, Lock, Thread

from tram.register.model import Province
from tram_board.asking import NotAnswered, Series, Source
from tram_board.places import Plate, plates
from tram_board.readings import ABROAD, BY_HOST, Answers, Readings, ask
from tram_board.state import ProvinceState, look, state_of, window

FRESH = timedelta(seconds=10)
# For so long after the last look it is asked ahead as often as while somebody looks.
LOOKED = timedelta(minutes=3)
# So much of an interval old it is asked again, whoever looks: there is time for the answer until it may not be shown.
_SELDOM = 0.6
# Who looks when there is no state young enough waits so long for the store, in seconds.
_WAITS = 3.0
HISTORY = timedelta(hours=24)
_STEP = timedelta(minutes=5)

# What a site's page draws: metric by host, its unit and by what a value is multiplied for people.
CHARTS = {
    "rtt": ("min by (host) (tram_link_rtt_seconds{site='$s',quantile='0.5'})", "ms", 1000.0),
    "loss": ("min by (host) (tram_link_loss_ratio{site='$s'})", "%", 100.0),
    "risk": ("max by (host) (tram_host_risk_ratio{site='$s'})", "%", 100.0),
    "queue": ("max by (host) (tram_mail_queue_messages{site='$s'})", "", 1.0),
}


class Watcher:
    """One province, one source of time series."""

    def __init__(
        self,
        province: Province,
        source: Source,
        *,
        verbs: Sequence[str],
        interval: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        fresh: timedelta = FRESH,
    ) -> None:
        self.province = province
        self.source = source
        self.interval = interval
        self.plates: tuple[Plate, ...] = plates(province)
        self._verbs = tuple(verbs)
        self._now = now
        self._fresh, self._ahead = fresh.total_seconds(), False
        self._lock, self._wanted = Lock(), Event()
        self._state: ProvinceState | None = None
        self._abroad: Answers = ({}, {})
        self._asked = self._looked = float("-inf")

    def begin(self) -> None:
        """Ask ahead from now on, in a thread of its own."""
        self._ahead = True
        Thread(target=self._keep_fresh, daemon=True).start()

    def end(self) -> None:
        """Ask ahead no more."""
        self._ahead = False
        self._wanted.set()

    def state(self) -> ProvinceState:
        """The whole province. Who comes when it is too old waits for the answer, but not for a store that hangs."""
        self._looked = time.monotonic()
        self._wanted.set()
        state = self._state
        # Asked ahead, it may be shown until the next samples are due; otherwise we ask ourselves.
        may_be = self.interval.total_seconds() if self._ahead else self._fresh
        return state if state and self._age() <= may_be else self._ask(may_be, _WAITS)

    def abroad(self) -> Answers:
        """What single views ask for on top, of the same moment as the state."""
        self.state()
        return self._abroad

    def _ask(self, unless_younger: float, waits: float = -1) -> ProvinceState:
        if not self._lock.acquire(timeout=waits):
            why = f"{self.source.url}: has been asked, and has not answered yet"
            return state_of(self.province, Readings(self._now(), {}, dict.fromkeys(BY_HOST, why)), verbs=self._verbs)
        try:
            if self._state is None or self._age() > unless_younger:
                now = self._now()
                self._abroad = ask(self.source, ABROAD, now, window(self.interval))
                self._state = look(self.province, self.source, now, verbs=self._verbs, interval=self.interval)
                self._asked = time.monotonic()
            return self._state
        finally:
            self._lock.release()

    def _keep_fresh(self) -> None:
        while self._ahead:
            self._wanted.clear()
            looked = time.monotonic() - self._looked < LOOKED.total_seconds()
            pause = self._fresh if looked else _SELDOM * self.interval.total_seconds()
            left = pause - self._age()
            if left <= 0:
                self._ask(0)
            elif looked:
                time.sleep(left)
            else:
                # Somebody who comes ends the rest.
                self._wanted.wait(left)

    def _age(self) -> float:
        return time.monotonic() - self._asked

    def history(self, site: str) -> tuple[dict[str, list[Series]], str]:
        """A day of the site's charts, and why there is none where there is none."""
        now = self._now()
        found: dict[str, list[Series]] = {}
        try:
            for name, (query, _unit, scale) in CHARTS.items():
                series = self.source.over(query.replace("$s", site), now - HISTORY, now, _STEP)
                found[name] = [Series(one.labels, [(t, v * scale) for t, v in one.points]) for one in series]
        except NotAnswered as error:
            return found, error.message
        return found, ""
