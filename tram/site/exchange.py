"""The host's end of an exchange (docs/contracts/exchange.md): says where it stands, then answers what is sent."""

from __future__ import annotations

import select
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from tram.core import events
from tram.core.canonical import format_time
from tram.core.frames import BrokenWire, Readable, Writable, read_data, read_frame, write_data, write_frame
from tram.site import durable, report, runs
from tram.site.contact import Contact
from tram.site.intake import Answer, Intake
from tram.site.limits import (
    DATA_FRAME_BYTES,
    EVENTS_FRAME_BYTES,
    KEPT_TREES,
    LONGEST_SILENCE_SECONDS,
    POLL_SECONDS,
    PROGRESS_SECONDS,
)
from tram.site.place import Config, Place, runtimes
from tram.site.refusal import Refusal, record
from tram.site.store import Store
from tram.site.waking import wake

RUNNER = 1  # counts up when the conversation gains something the centre can use


class Input(Readable, Protocol):
    """Unbuffered standard input, so that waiting on its descriptor and reading from it agree; or a stick's file."""

    def fileno(self) -> int: ...


class Exchange:
    """One conversation. `contact` is None when no centre is on the line (a stick)."""

    def __init__(self, place: Place, config: Config, contact: Contact | None, ours: Writable) -> None:
        self.place = place
        self.config = config
        self.contact = contact
        self.ours = ours
        source = f"ssh {contact.address or 'local'}" if contact else "stick"
        self.intake = Intake(place, config, live=contact is not None, source=source)

    def begin(self) -> None:
        """Say where this host stands, and wake what a power cut left asleep."""
        centre = {"address": self.contact.address if self.contact else None}
        if centre["address"] and durable.read_json(self.place.root / "centre.json") != centre:
            durable.write_json(self.place.root / "centre.json", centre)
        waiting = runs.waiting(self.place)
        for run in waiting:
            runs.enqueue(self.place, run)
        if waiting:
            wake(self.place, self.config)
        self._send(state(self.place, self.config))

    def serve(self, theirs: Input) -> None:
        """Answer until the other end says bye or is gone.

        Raises: BrokenWire, after saying so, when the other end speaks something else.
        """
        try:
            while (frame := read_frame(theirs)) is not None and frame["t"] != "bye":
                self.answer(frame, theirs)
        except BrokenWire as error:
            self._send({"t": "error", "message": error.message, "fatal": True})
            raise

    def answer(self, frame: Mapping[str, Any], theirs: Input) -> None:
        """Do what one frame asks and answer it."""
        kind = frame["t"]
        if kind == "order":
            self._send(self.intake.order(frame))
        elif kind == "data":
            self._send(self.intake.data(read_data(theirs, frame)))
        elif kind == "watch" and self.contact is not None:
            self._watch(frame, theirs)
        elif kind == "confirm" and self.contact is not None:
            self._confirm(frame)
        elif (handler := {"events": self._events, "ack": self._ack, "files": self._files}.get(kind)) is not None:
            handler(frame)
        else:
            self._send({"t": "error", "message": f'"{kind[:40]}" means nothing here'})

    def _run(self, frame: Mapping[str, Any]) -> runs.Run | None:
        """The run a frame is about; None after saying that there is none."""
        run = runs.find(self.place, frame.get("run"))
        if run is None:
            self._send({"t": "error", "run": str(frame.get("run"))[:64], "message": "no such run here"})
        return run

    def _ack(self, frame: Mapping[str, Any]) -> None:
        if (run := self._run(frame)) is None:
            return
        seq = frame.get("seq")
        if type(seq) is not int or not 0 <= seq <= run.last_seq():
            self._send({"t": "error", "run": run.name, "message": f"event {str(seq)[:20]} was never told"})
            return
        runs.acknowledge(self.place, run.name, seq)
        report.retire(self.place)

    def _events(self, frame: Mapping[str, Any]) -> None:
        if "run" in frame:
            if (run := self._run(frame)) is not None:
                self._tell(run, _number(frame.get("from")), last=True)
            return
        acked = runs.acknowledged(self.place)
        for run in runs.every(self.place):
            if (first := acked.get(run.name, 0) + 1) <= run.last_seq():
                self._tell(run, first, last=True)

    def _tell(self, run: runs.Run, first: int, *, last: bool) -> int:
        """Send the events from `first` on; returns the number of the next one. `last`: even when there are none."""
        batch: list[dict[str, Any]] = []
        size = 0
        for event in events.read(run.events_file, first):
            line = len(event.line())
            if size + line > EVENTS_FRAME_BYTES and batch:
                self._send({"t": "events", "run": run.name, "events": batch, "more": True})
                batch, size = [], 0
            batch.append(event.document())
            size += line
            first = event.seq + 1
        if batch or last:
            self._send({"t": "events", "run": run.name, "events": batch, "more": False})
        return first

    def _watch(self, frame: Mapping[str, Any], theirs: Input) -> None:
        """Tell events as they happen, until the result is told or the centre has something to say."""
        if (run := self._run(frame)) is None:
            return
        first, progress, said = _number(frame.get("from")), None, time.monotonic()
        every = min(max(PROGRESS_SECONDS, _number(frame.get("every"))), LONGEST_SILENCE_SECONDS)
        while True:
            state = run.state  # looked at before the events, so that the last ones are not missed
            over = state in runs.FINAL
            # Told together now and then: each packet costs the line more than what is in it. The centre must come at
            # once when a change waits for it.
            if over or state == "confirming" or time.monotonic() - said >= every:
                found = run.document("progress.json")
                if found and found != progress and not over:
                    write_frame(self.ours, {"t": "progress", "run": run.name, **found}, flush=False)
                    progress = found
                first = self._tell(run, first, last=False)
                self.ours.flush()
                said = time.monotonic()
            if over or select.select([theirs], [], [], POLL_SECONDS)[0]:
                return

    def _confirm(self, frame: Mapping[str, Any]) -> None:
        if self.contact is None or (run := self._run(frame)) is None:
            return
        try:
            report.confirm(run, self.contact)
        except Refusal as refusal:
            record(self.place, refusal, run.name, self.intake.source)
            self._send({"t": "refused", "run": run.name, "reason": refusal.reason, "message": refusal.message})
            return
        self._send({"t": "confirmed", "run": run.name})

    def _files(self, frame: Mapping[str, Any]) -> None:
        if (run := self._run(frame)) is None:
            return
        found = report.returned(run)
        for name, content in found.items():
            head = {"t": "file", "run": run.name, "path": name, "mode": 0o644, "bytes": len(content)}
            write_frame(self.ours, head, flush=False)
            for start in range(0, len(content), DATA_FRAME_BYTES):
                write_data(self.ours, content[start : start + DATA_FRAME_BYTES], flush=False)
        self._send({"t": "files", "run": run.name, "count": len(found)})

    def _send(self, message: Answer | None) -> None:
        if message is not None:
            write_frame(self.ours, message)


def state(place: Place, config: Config) -> dict[str, Any]:
    """What the host says first."""
    acked = runs.acknowledged(place)
    told = []
    for run in runs.every(place):
        last, first = run.last_seq(), acked.get(run.name, 0) + 1
        if first <= last or not run.final:
            told.append({"run": run.name, "state": run.state, "from": first, "next_seq": last + 1})
    busy = [run.name for run in runs.waiting(place) if run.state != "accepted"]
    return {
        "t": "state",
        "runner": RUNNER,
        "province": config.province,
        "site": config.site,
        "host": config.host,
        "serial": runs.last_serial(place),
        "runtime": runtimes(config),
        "trees": Store(place).trees()[:KEPT_TREES],
        "partial": {path.stem: path.stat().st_size for path in place.incoming.glob("*.part")},
        "runs": told,
        "clock": format_time(datetime.now(UTC)),
        "free_bytes": place.free_bytes(),
        "busy": busy[0] if busy else None,
    }


def _number(value: Any) -> int:
    return value if type(value) is int and value > 0 else 1
