"""The province's state, asked again when it is a few seconds old; everybody who looks meanwhile sees the same.

While somebody looks it is asked ahead, so that nobody waits for the store; when nobody does, the store has rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Lock, Thread

from tram.register.model import Province
from tram_board.asking import NotAnswered, Series, Source
from tram_board.places import Plate, plates
from tram_board.readings import ABROAD, Answers, ask
from tram_board.state import ProvinceState, look, window

FRESH = timedelta(seconds=10)
# While somebody looks the state is asked ahead, and for so long after the last look.
LOOKED = timedelta(minutes=3)
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
        ahead: timedelta = timedelta(0),
    ) -> None:
        self.province = province
        self.source = source
        self.interval = interval
        self.plates: tuple[Plate, ...] = plates(province)
        self._verbs = tuple(verbs)
        self._now = now
        self._fresh, self._ahead = fresh.total_seconds(), ahead.total_seconds()
        self._lock, self._beginning = Lock(), Lock()
        self._state: ProvinceState | None = None
        self._abroad: Answers = ({}, {})
        self._asked = self._looked = float("-inf")
        self._asking_ahead = False

    def state(self) -> ProvinceState:
        """The whole province; at most twice `fresh` old. Who comes while it must be asked waits for that answer."""
        self._looked = time.monotonic()
        state = self._state
        # Asked ahead, it may be as old as one turn takes longer; beyond that somebody is stuck, and we ask ourselves.
        if state is None or self._age() > (2 if self._asking_ahead else 1) * self._fresh:
            state = self._ask(self._fresh)
        with self._beginning:
            begin, self._asking_ahead = self._ahead > 0 and not self._asking_ahead, self._ahead > 0
        if begin:
            Thread(target=self._keep_fresh, daemon=True).start()
        return state

    def abroad(self) -> Answers:
        """What single views ask for on top, of the same moment as the state."""
        self.state()
        return self._abroad

    def _ask(self, unless_younger: float) -> ProvinceState:
        with self._lock:
            if self._state is None or self._age() > unless_younger:
                now = self._now()
                self._abroad = ask(self.source, ABROAD, now, window(self.interval))
                self._state = look(self.province, self.source, now, verbs=self._verbs, interval=self.interval)
                self._asked = time.monotonic()
            return self._state

    def _keep_fresh(self) -> None:
        try:
            while time.monotonic() - self._looked < self._ahead:
                time.sleep(max(0.0, self._fresh - self._age()))
                self._ask(self._fresh)
        finally:
            self._asking_ahead = False

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
