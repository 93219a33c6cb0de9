"""How far a run is on its way, seen from outside: what the line carried, and which marks its role made on the host."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from tram.ledger import Ended, Job

from .centre import MARKS, SITES, Centre, marks

# Of a whole run: getting the order and its pack there, applying, telling the result.
_SENDING, _APPLYING, _TELLING = 0.4, 0.4, 0.2
_LOOK = 0.004  # seconds between two looks: some hundred bytes of an ADSL line


@dataclass(frozen=True, slots=True)
class Whole:
    """An undisturbed run: bytes on the line until its first mark, and until its end; seconds."""

    sending: int
    all: int
    seconds: float


class Journey:
    """One run of an edition to a host."""

    def __init__(self, centre: Centre, job: Job, edition: str) -> None:
        self.centre, self.job, self.edition = centre, job, edition
        self._host = centre.root(job.host)
        centre.drop_sessions()  # one that is still open from the run before would save this one its handshake
        self._before = self._carried()

    def bytes(self) -> int:
        """What the line has carried since this began, both ways, every packet whole."""
        return self._carried() - self._before

    def marks(self) -> int:
        """How many of the role's marks there are."""
        return len(marks(self._host, self.edition))

    def share(self, whole: Whole) -> float:
        """From 0, nothing was sent, to 1, the result is told and the connection closed."""
        carried, made = self.bytes(), self.marks()
        if made == 0:
            return _SENDING * min(1.0, carried / whole.sending)
        told = max(0, carried - whole.sending) / (whole.all - whole.sending) if made == len(MARKS) else 0.0
        return _SENDING + _APPLYING * made / len(MARKS) + _TELLING * min(1.0, told)

    def _carried(self) -> int:
        state = self.centre.lab.link(SITES[self.job.host])
        return int(state.down["bytes"] + state.up["bytes"])


def measure(centre: Centre, job: Job, edition: str) -> Whole:
    """A run that nothing disturbs, on a line that loses nothing."""
    site = SITES[job.host]
    line = centre.lab.link(site).line
    assert line is not None
    centre.lab.set_link(site, loss=0.0)
    try:
        journey, began, sending = Journey(centre, job, edition), time.monotonic(), 0
        with ThreadPoolExecutor(1) as pool:
            delivering = pool.submit(centre.deliver, job)
            while not delivering.done():
                if journey.marks() == 0:
                    sending = journey.bytes()
                time.sleep(_LOOK)
        assert delivering.result().outcome == "done", delivering.result()
        return Whole(sending, journey.bytes(), time.monotonic() - began)
    finally:
        centre.lab.set_link(site, loss=line.loss)


def points(seed: int, count: int) -> Sequence[float]:
    """As many random moments of a run, one in each of its equal parts; the seed is told."""
    print(f"\npoints of a run from seed {seed}")
    chance = random.Random(seed)
    return [(part + chance.random()) / count * 0.97 for part in range(count)]


def meanwhile(journey: Journey, whole: Whole, share: float, harm: Callable[[], str], delivering: Future[Ended]) -> str:
    """Do harm once the run is so far; what was done to it, and how far it was."""
    while journey.share(whole) < share:
        assert not delivering.done(), f"over before {share:.2f} of it: {delivering.result()}"
        time.sleep(_LOOK)
    stood = f"after {journey.bytes()} bytes and {journey.marks()} marks"
    return f"{harm()} {stood}"
