"""Wait for the centre to show that it still reaches this host, and tell an outage from a lock-out meanwhile.

Only time in which the line is up counts against the change: a centre that cannot come because the line is down is no
evidence of anything. See docs/adr/0011.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from tram.core.events import now
from tram.site import clock, durable
from tram.site.journaled import Journaled
from tram.site.limits import DOWN_AT_LEAST_SECONDS, DOWN_FACTOR, PROBE_EVERY_SECONDS
from tram.site.line import CUT_HERE, UNKNOWN, UP, Line
from tram.site.place import Config, Place


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the waiting came to: `text` for the result, and the reason to bring the host back, if so."""

    revert: bool
    text: str
    reason: str = ""


class Waiting:
    """One run that waits. How long the line was up and down is journaled, so a power cut loses a few seconds of it."""

    def __init__(
        self, place: Place, config: Config, run: Journaled, touched: dict[str, list[str]], seconds: int
    ) -> None:
        self.place = place
        self.run = run
        self.touched = touched
        self.seconds = seconds
        self.before = run.journal().get("line_before")
        self.every = min(max(seconds / 10, PROBE_EVERY_SECONDS[0]), PROBE_EVERY_SECONDS[1])
        self.bound = max(seconds * DOWN_FACTOR, DOWN_AT_LEAST_SECONDS)
        self.line = Line(place, config)

    def wait(self) -> Verdict:
        """Until the centre came, or will not come."""
        waits = self._begin()
        try:
            while True:
                if self._confirmed():
                    return Verdict(False, f"by the centre, {waits['up'] + waits['down']:.0f} s after the change")
                if (found := self.interrupted()) is not None:
                    return found
                if (verdict := self._judge(waits)) is not None and (kept := self._settle(verdict)) is not None:
                    return kept
                waits = self._look(waits)
        finally:
            self.line.close()

    def _begin(self) -> dict[str, Any]:
        """The journal of the waiting; begun now, or before a power cut."""
        journal = self.run.journal()
        if journal.get("waits"):
            waits = dict(journal["waits"])
            if waits["boot"] != clock.boot():
                waits |= {"boot": clock.boot(), "since": 0.0}  # every connection of this boot is fresh
                self.run.note(waits=waits)
            return waits
        waits = {"boot": clock.boot(), "since": clock.uptime(), "at": now(), "up": 0.0, "down": 0.0}
        self.run.note(state="confirming", waits=waits)
        self.run.tell("state", state="confirming", seconds=self.seconds, touched=self.touched)
        return waits

    def interrupted(self) -> Verdict | None:
        """Something that ends the waiting although nobody confirmed."""
        return None

    def _confirmed(self) -> bool:
        return self.run.document("confirmed.json") is not None

    def _look(self, waits: dict[str, Any]) -> dict[str, Any]:
        """Look at the line, let some time pass, and count it as what it was; wakes at once for a confirmation."""
        began = time.monotonic()
        verdict = self.line.look()
        while time.monotonic() - began < self.every and not self._confirmed():
            time.sleep(0.2)
        counts = verdict in (UP, UNKNOWN) or (verdict == CUT_HERE and self.before == UP)
        key = "up" if counts else "down"
        seconds = waits[key] + time.monotonic() - began
        waits = {**(self.run.journal().get("waits") or waits), key: seconds, "line": verdict}
        self.run.note(waits=waits)
        return waits

    def _judge(self, waits: dict[str, Any]) -> Verdict | None:
        touched = ", ".join(f"{word} ({', '.join(paths[:3])})" for word, paths in self.touched.items())
        if waits["up"] >= self.seconds:
            how = {CUT_HERE: "this host lets nothing out", UNKNOWN: "no line to ask after"}
            line = how.get(waits.get("line", UNKNOWN), "the line was up")
            text = f"the centre did not come back in {self.seconds} s after a change of {touched}, though {line}"
            return Verdict(True, "no", text.replace("though no line to ask after", "and there is no other sign of it"))
        if waits["down"] >= self.bound and self.before == UP:
            text = f"the line answered before a change of {touched} and not once in {self.bound:.0f} s since"
            return Verdict(True, "no", text)
        if waits["down"] >= self.bound and self.run.superseded(self.place):
            return Verdict(False, "no: the line was down before the change already, and a newer order came by stick")
        return None

    def _settle(self, verdict: Verdict) -> Verdict | None:
        """Make the verdict hold, unless the centre came at the last moment."""
        with durable.locked(self.run.path / "lock"):
            if self._confirmed():
                return None
            if verdict.revert:
                self.run.note(reverting=verdict.reason)
        return verdict
