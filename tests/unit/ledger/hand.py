"""A ledger in a test's hand: its clock stands still until it is set, and a run of three hosts has begun."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tram.ledger import Event, Ledger

RUN = "20261121T190500Z-3f9a1c"
START = datetime(2026, 11, 21, 19, 5, tzinfo=UTC)
TTL = timedelta(seconds=60)


class Hand:
    """`now` is what the ledger's clock says."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.now = START
        self.ledger = Ledger(url, clock=lambda: self.now)
        self.begin(RUN)

    def begin(self, run: str, *, playbook: str = "playbooks/mail.yml") -> None:
        hosts = [("trung-tam-hub1", "trung-tam"), ("so-noi-vu-srv1", "so-noi-vu"), ("huong-khe-srv1", "huong-khe")]
        self.ledger.begin(run, province="lab", playbook=playbook, hosts=hosts)

    def later(self, span: timedelta) -> None:
        self.now += span


def event(seq: int, kind: str = "task", host: str = "huong-khe-srv1", run: str = RUN, **body: Any) -> Event:
    """An event as a site tells it; its clock is nine years behind."""
    given = body or {"task": f"task {seq}", "status": "changed", "seconds": 0.2}
    return Event(run, host, seq, "2017-01-01T00:00:00Z", kind, given)


def result(seq: int, outcome: str = "done", host: str = "huong-khe-srv1", run: str = RUN, **body: Any) -> Event:
    """A result event."""
    stats = {"ok": 9, "changed": 3, "failed": 0, "skipped": 1, "rescued": 0, "ignored": 0}
    given = {"outcome": outcome, "reason": "", "stats": stats, "verify": [{"role": "mail", "ok": True, "message": ""}]}
    return event(seq, "result", host, run, **(given | body))
