"""The province's state, asked again when it is a few seconds old; everybody who looks meanwhile sees the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Lock

from tram.register import Province
from tram_board.asking import NotAnswered, Series, Source
from tram_board.places import Plate, plates
from tram_board.state import ProvinceState, look

FRESH = timedelta(seconds=10)
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
        self._fresh = fresh.total_seconds()
        self._lock = Lock()
        self._state: ProvinceState | None = None
        self._asked = 0.0

    def state(self) -> ProvinceState:
        """The whole province; at most `fresh` old. Whoever comes while it is asked waits for that answer."""
        with self._lock:
            if self._state is None or time.monotonic() - self._asked > self._fresh:
                self._state = look(self.province, self.source, self._now(), verbs=self._verbs, interval=self.interval)
                self._asked = time.monotonic()
            return self._state

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
