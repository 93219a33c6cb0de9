"""A push under guard: what an order's `confirm_seconds` is to a delivery, for a playbook that comes task by task.

armed → confirming → kept | reverted. Armed before the playbook's first task, with a snapshot; the playbook's last step
says that it ended, and comes back over a new connection. When nobody says so, because the change cut the way or the
controller died, the run counts as ended once nothing ran over ssh for a while. See docs/adr/0014.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tram.core import events
from tram.site import clock, durable, pushing, report, snapshot
from tram.site.confirming import Verdict, Waiting
from tram.site.contact import Contact
from tram.site.journaled import Journaled
from tram.site.line import Line
from tram.site.place import Config, Place
from tram.site.refusal import Refusal
from tram.site.snapshot import Snapshot
from tram.site.wayback import etckeeper, take_back, take_snapshot, touched

DEFAULT_ROOT = Path("/var/lib/tram/guard")
UNFINISHED = ("armed", "confirming")
_LOOK_SECONDS = (0.5, 5.0)  # a tenth of the idle time, within these
_GOES_ON_LOOKS = 3  # one after the other, so that who only comes to ask for the place is not taken for the run
_REPORT = "report.json"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds. `confirm`: of line-up time in which the centre must come back. `idle`: without anything running over
    ssh, after which a run counts as ended. `longest`: the most a run may take."""

    confirm: int = 300
    idle: int = 300
    longest: int = 10_800


class Guard(Journaled):
    """The one push that may be under guard here; `run` is its controller's name for it."""

    def __init__(self, place: Place, config: Config) -> None:
        self.place = place
        self.config = config
        path = place.root / "now"
        super().__init__(path, str((durable.read_json(path / "state.json") or {}).get("run", "")), config.host)

    @property
    def unfinished(self) -> bool:
        """Whether a run is under guard."""
        return self.path.is_dir() and self.state in UNFINISHED

    def note(self, **changes: Any) -> dict[str, Any]:
        """Change the journal; whoever watches and whoever comes in by ssh may do it at once."""
        with durable.locked(self.place.lock("note")):
            return super().note(**changes)

    def arm(self, run: str, contact: Contact, bounds: Bounds) -> None:
        """Keep how the host is, and begin to watch. The one before must be over."""
        if contact.address:
            durable.write_json(self.place.root / "centre.json", {"address": contact.address})
        new, old = self.place.root / ".now.new", self.place.root / ".now.old"
        for left in (new, old):
            shutil.rmtree(left, ignore_errors=True)
        new.mkdir(mode=0o700)
        self.path, self.name = new, run
        take_snapshot(self.place, self.config, self)
        line = Line(self.place, self.config)
        try:
            before = line.look()
        finally:
            line.close()
        since = {"armed": events.now(), "boot": clock.boot(), "uptime": clock.uptime()}
        self.note(state="armed", run=run, line_before=before, bounds=asdict(bounds), address=contact.address, **since)
        self.path = self.place.root / "now"
        # Aside as a whole: whoever still watches the one before may write in it while it would be emptied.
        if self.path.is_dir():
            self.path.replace(old)
        new.replace(self.path)
        durable.sync_directory(self.place.root)
        shutil.rmtree(old, ignore_errors=True)
        self._sweep()

    def end(self, why: str = "") -> dict[str, list[str]]:
        """The run is over: what it changed that can cut the site off; waits for the centre if there is any such.

        `why` when the run did not say so itself.
        """
        with durable.locked(self.path / "lock"):
            journal = self.journal()
            if journal["state"] not in UNFINISHED:
                return {}
            cuts = touched(self.place, self.config, self)
            if journal.get("reverting"):
                return dict(journal.get("touched") or cuts)
            if why:
                self.tell("note", message=why)
            etckeeper(self.config, f"after run {self.name}")
            if cuts:
                old = journal.get("waits") or {"up": 0.0, "down": 0.0}
                waits = {**old, "boot": clock.boot(), "since": clock.uptime(), "at": events.now()}
                self.note(state="confirming", touched=cuts, waits=waits, silent=bool(why))
                return cuts
        self.finish("kept", "nothing that can cut the site off was changed" + (f" ({why})" if why else ""))
        return {}

    def fell_silent(self, why: str) -> None:
        """Nothing was heard of the run for a while: it is taken for over if it has changed what can cut the site off.
        If not there is no harm in watching on, for it may only wait for other hosts."""
        if touched(self.place, self.config, self):
            self.end(why)
        else:
            self.note(silent=True)

    def idle(self) -> bool:
        """Whether the run fell silent with nothing at stake: another one may take its place."""
        journal = self.journal()
        if not self.unfinished or journal["state"] != "armed" or not journal.get("silent"):
            return False
        return not touched(self.place, self.config, self)

    def confirm(self, contact: Contact) -> None:
        """The centre came back.

        Raises: Refusal (not-confirming, not-fresh).
        """
        report.confirm(self, contact)

    def take_over(self, contact: Contact, asked: dict[str, Any] | None) -> None:
        """Another run takes the place of one whose controller is dead; that its connection is new confirms it.

        Raises: Refusal (not-fresh).
        """
        if not asked or (asked.get("boot") == clock.boot() and contact.since <= asked["uptime"]):
            raise Refusal("not-fresh", "a run under guard is taken over from a connection that was opened for it")
        with durable.locked(self.path / "lock"):
            if self.journal().get("reverting"):
                raise Refusal("not-confirming", "the run before is being taken back just now", hint="wait a moment")
            self.put("confirmed.json", {"uptime": clock.uptime(), "boot": clock.boot()})
        self.finish("kept", "its controller was gone, and the next run came over a new connection")

    def watch(self) -> None:
        """See the run that is under guard to its end, from wherever it was left."""
        while self.unfinished:
            if self.state == "armed":
                self._until_ended()
                continue
            journal = self.journal()
            reason = journal.get("reverting")
            if not reason:
                bounds = Bounds(**journal["bounds"])
                verdict = _Waiting(self.place, self.config, self, journal["touched"], bounds.confirm).wait()
                if verdict.text == _GOES_ON:
                    self.note(state="armed", waits=None)
                    continue
                if not verdict.revert:
                    self.finish("kept", f"confirmed {verdict.text}")
                    continue
                reason = verdict.reason
            take_back(self.place, self.config, self, reason)
            self.finish("reverted", reason)

    def finish(self, outcome: str, reason: str) -> None:
        """The end of it, with a report for the next run."""
        told = [str(event.body.get("message", "")) for event in events.read(self.events_file, 1)]
        journal = self.journal()
        result = {
            "outcome": outcome,
            "reason": reason,
            "run": self.name,
            "at": events.now(),
            "touched": journal.get("touched") or {},
            "told": told[-40:],
        }
        if outcome == "reverted":
            durable.write_json(self.place.root / _REPORT, result)
        self.put("result.json", result)
        self.note(state=outcome)

    def reverted(self) -> dict[str, Any] | None:
        """The report of a run that was taken back and of which nobody has taken note."""
        found = durable.read_json(self.place.root / _REPORT)
        return found if isinstance(found, dict) else None

    def noted(self) -> None:
        """Somebody has: the next run goes on."""
        (self.place.root / _REPORT).unlink(missing_ok=True)

    def _until_ended(self) -> None:
        journal = self.journal()
        bounds = Bounds(**journal["bounds"])
        step = min(max(bounds.idle / 10, _LOOK_SECONDS[0]), _LOOK_SECONDS[1])
        armed = journal["uptime"] if journal["boot"] == clock.boot() else 0.0
        quiet_since, seen_at_work = clock.uptime(), 0
        while self.state == "armed":
            now = clock.uptime()
            seen_at_work = seen_at_work + 1 if pushing.sessions() else 0
            if seen_at_work:
                quiet_since = now
            if seen_at_work == _GOES_ON_LOOKS and self.journal().get("silent"):
                self.note(silent=False)
            if now - armed >= bounds.longest:
                self.note(over=True)
                self.end(f"the run did not end within {bounds.longest} s")
            elif now - quiet_since >= bounds.idle:
                self.fell_silent(f"the run did not say that it ended, and nothing ran over ssh for {bounds.idle} s")
                quiet_since = now
            else:
                time.sleep(step)

    def _sweep(self) -> None:
        """Of copies of files only those of this snapshot and of the last look stay."""
        used: set[str] = set()
        for document in (self.document("snapshot.json"), durable.read_json(self.place.snapshots / "last.json")):
            if document:
                found = Snapshot.of(document).files.values()
                used |= {entry.content for entry in found if entry.kind == "file"}
        snapshot.sweep(self.place, used)


_GOES_ON = "it goes on"


class _Waiting(Waiting):
    """A run that fell silent may only have waited for other hosts: when somebody works here as root it goes on, and is
    judged at its end."""

    def interrupted(self) -> Verdict | None:
        """That it goes on."""
        journal = self.run.journal()
        if journal.get("silent") and not journal.get("over") and pushing.sessions(as_root=True):
            return Verdict(False, _GOES_ON)
        return None
