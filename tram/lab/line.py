"""What an emulated line is asked to be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """A WAN line as `ping` and a timed transfer would see it from its ends.

    Rates in bit/s of IP packets, `down` towards the site; round-trip time in seconds; `loss` as the fraction of pings
    lost (so each direction loses 1 − √(1 − loss)); `queue` is how many seconds of traffic the modem holds before it
    drops the tail (bufferbloat).
    """

    down_bps: int
    up_bps: int
    rtt: float
    loss: float = 0.0
    queue: float = 0.2
    cut: bool = False

    @property
    def delay(self) -> float:
        """One way, seconds."""
        return self.rtt / 2

    @property
    def loss_each_way(self) -> float:
        """Probability that one packet is lost in one direction."""
        return float(1 - (1 - self.loss) ** 0.5)
