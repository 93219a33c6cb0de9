"""What a host's delivery will cost its line: bytes, time, and whether that fits what the line allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from tram.register import Link
from tram.rollout.policy import LinkPolicy
from tram.rollout.reason import Reason

# Measured on lab hosts: a fresh ssh command costs 12 round trips and about 10 kB, evenly both ways; the exchange itself
# three more: state, order and pack, acknowledgement.
SESSION_BYTES = 5_000
SESSION_ROUND_TRIPS = 15
# An order with its signature, and what is said around it, when the site has everything else (measured: 1.3 kB).
ORDER_BYTES = 1_300
# Segment of TCP over Ethernet; and the least a lost packet costs when nothing follows it: RFC 6298's timer as Linux has
# it (200 ms).
_SEGMENT = 1448
_TIMER = timedelta(milliseconds=200)
# A host that nothing is known of: a first bundle of one stack, and its report (measured: 8–21 kB, 1.4–21 kB).
GUESS_DOWN = 21_000
GUESS_UP = 21_000


@dataclass(frozen=True, slots=True)
class Traffic:
    """Payload bytes to the site and from it. `source` says how that is known: "bundle", "ledger" or "guess"."""

    down: int
    up: int
    source: str


BytesOf = Callable[[str], Traffic | None]


@dataclass(frozen=True, slots=True)
class Forecast:
    """For one host: bytes on its line, seconds at its rate, and why it would not fit (empty: it fits)."""

    bytes_down: int
    bytes_up: int
    source: str
    seconds: float
    misfits: tuple[Reason, ...]

    @property
    def fits(self) -> bool:
        """Whether it fits the line's hours and its cap."""
        return not self.misfits

    def plain(self) -> dict[str, Any]:
        """As the ledger and JSON have it."""
        return {**asdict(self), "misfits": [reason.plain() for reason in self.misfits]}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Forecast:
        """From what `plain` gave."""
        return cls(**{**plain, "misfits": tuple(Reason.of(reason) for reason in plain["misfits"])})


def forecast(traffic: Traffic, link: Link | None, allowed: LinkPolicy) -> Forecast:
    """What `traffic` costs on this line; the hub (no line) costs nothing worth counting."""
    down, up = traffic.down + SESSION_BYTES, traffic.up + SESSION_BYTES
    seconds = carry_seconds(down, up, link) if link else 0.0
    misfits = []
    if allowed.hours and seconds > allowed.hours.length.total_seconds():
        hours = f"{allowed.hours.since}–{allowed.hours.until}"
        misfits.append(Reason("no_window", {"minutes": math.ceil(seconds / 60), "hours": hours}))
    if allowed.cap_bytes is not None and down + up > allowed.cap_bytes:
        misfits.append(Reason("over_cap", {"bytes": down + up, "cap": allowed.cap_bytes}))
    return Forecast(down, up, traffic.source, round(seconds, 1), tuple(misfits))


def carry_seconds(down: int, up: int, link: Link) -> float:
    """How long these bytes take: round trips, both ways at what TCP gets out of the line, and what losses cost.

    Source: Mathis et al., "The Macroscopic Behavior of the TCP Congestion Avoidance Algorithm" (1997), for the rate a
    lossy line allows; each lost packet also costs a round trip, or the retransmission timer.
    """
    trip = link.rtt.total_seconds()
    packets = math.ceil(down / _SEGMENT) + math.ceil(up / _SEGMENT)
    lost = packets * link.loss * max(trip, _TIMER.total_seconds())
    ways = ((down, link.down_bps), (up, link.up_bps))
    return SESSION_ROUND_TRIPS * trip + lost + sum(8 * size / _tcp_rate(rate, link) for size, rate in ways)


def _tcp_rate(rate: int, link: Link) -> float:
    if not link.loss or not link.rtt:
        return float(rate)
    return min(float(rate), 8 * _SEGMENT / link.rtt.total_seconds() * math.sqrt(1.5 / link.loss))
