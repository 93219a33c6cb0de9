"""The centre's end of one conversation: docs/contracts/exchange.md, with nothing waited for that need not be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tram.core.canonical import format_time, loads
from tram.core.errors import TramError
from tram.core.events import Event
from tram.core.frames import BrokenWire, read_data, read_frame, write_data, write_frame
from tram.core.order import MAX_JSON_BYTES, Order
from tram.delivery import returned
from tram.delivery.greeting import Greeting
from tram.delivery.line import Line, LineLost
from tram.delivery.progress import Phase, Teller
from tram.ledger import Ledger

DATA_FRAME_BYTES = 16 * 2**10
_PHASES = {"applying": Phase.APPLYING, "verifying": Phase.APPLYING, "confirming": Phase.CONFIRMING}
# An answer that nobody asked for changes nothing; a host that sends only such is not listened to for ever.
_MOST_IDLE_FRAMES = 10_000


class Refused(TramError):
    """The host turned the order away and changed nothing. `reason` is one word of the contract."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Need(TramError):
    """The host wants the order again: with the pack from `offset`, or (`everything`) with one that assumes nothing."""

    def __init__(self, offset: int, *, everything: bool) -> None:
        super().__init__("more is needed")
        self.offset = offset
        self.everything = everything


class ComeAfresh(TramError):
    """A new connection is needed to confirm the change."""


def order_message(order: Order, signature: str, name: str | None, pack: bytes, offset: int) -> dict[str, Any]:
    """The frame that hands an order over; the pack's data from `offset` on follow it."""
    return {
        "t": "order",
        "order": loads(order.canonical(), what="order", limit=MAX_JSON_BYTES),
        "sig": signature,
        "pack": name,
        "pack_bytes": len(pack),
        "offset": offset,
        "now": format_time(datetime.now(UTC)),
    }


class Contact:
    """One conversation about one run, after the host's greeting was read."""

    def __init__(self, line: Line, greeting: Greeting, *, run: str, host: str, ledger: Ledger, teller: Teller) -> None:
        self.line = line
        self.greeting = greeting
        self.run = run
        self.host = host
        self.ledger = ledger
        self.teller = teller
        self.result: Event | None = None
        self.told_every = 5  # seconds
        self._acks: dict[str, int] = {}
        self._confirmed = False  # this connection is the fresh contact

    # What is sent

    def order(self, order: Order, signature: str, name: str | None, pack: bytes, offset: int) -> None:
        """Send an order and its pack (named by digest; None: nothing lacks) from `offset` on."""
        self._send(order_message(order, signature, name, pack, offset))
        self.teller.tell(phase=Phase.SENDING, sent=offset, total=len(pack) or None)
        for start in range(offset, len(pack), DATA_FRAME_BYTES):
            piece = pack[start : start + DATA_FRAME_BYTES]
            write_data(self.line, piece)
            self.teller.tell(sent=start + len(piece))

    def ask_others(self) -> None:
        """Ask for what other runs have to tell, and confirm those that wait for it."""
        for told in self.greeting.runs.values():
            if told.run == self.run:
                continue
            following = self.ledger.next_seq(told.run, self.host)
            if following < told.next_seq:
                self._send({"t": "events", "run": told.run, "from": following})
            else:
                self._acks[told.run] = following - 1
            if told.state == "confirming" and self.line.fresh:
                self._send({"t": "confirm", "run": told.run})

    def watch(self, *, confirm: bool) -> None:
        """Ask for everything of our run as it happens."""
        if confirm:
            self._confirmed = True
            self._send({"t": "confirm", "run": self.run})
        following = self.ledger.next_seq(self.run, self.host)
        self._send({"t": "watch", "run": self.run, "from": following, "every": self.told_every})

    def part(self) -> None:
        """Say that what was recorded needs not be told again, and end the conversation."""
        for run, seq in self._acks.items():
            if seq > 0:
                write_frame(self.line, {"t": "ack", "run": run, "seq": seq}, flush=False)
        self._send({"t": "bye"})
        self.line.finish()

    # What is heard

    def until_accepted(self) -> None:
        """Listen until the host has the order for good.

        Raises: Refused; Need; LineLost.
        """
        for frame in self._frames():
            if frame["t"] == "accepted" and frame.get("run") == self.run:
                self.teller.tell(heard=True, phase=Phase.WAITING, sent=self.teller.now.total or 0, note="")
                return
            self._common(frame)

    def until_result(self) -> Event:
        """Listen until our run has told its result; all that is told is in the ledger when this returns.

        Raises: Refused; ComeAfresh; LineLost.
        """
        while self.result is None:
            if not self.line.ready():
                # Nothing for long: a task may take its time. Ask something that is answered at once, and watch on.
                following = self.ledger.next_seq(self.run, self.host)
                self._send({"t": "events", "run": self.run, "from": following})
                self.watch(confirm=False)
            frame = next(self._frames())
            if frame["t"] == "progress" and frame.get("run") == self.run:
                self._progress(frame)
            else:
                self._common(frame)
        return self.result

    def fetch_files(self, secrets: Path, returns: tuple[str, ...]) -> list[str]:
        """What our run's roles put back for the centre, into `secrets`; the names of files that are new or changed."""
        self._send({"t": "files", "run": self.run})
        changed: list[str] = []
        count = 0
        for frame in self._frames():
            if frame["t"] == "files":
                return changed
            if frame["t"] != "file":
                self._common(frame)
                continue
            path, size = str(frame.get("path")), frame.get("bytes")
            if type(size) is not int:
                raise BrokenWire("a file of no sensible size")
            count += 1
            wanted = count <= returned.MAX_FILES and returned.acceptable(path, size, returns)
            content = self._content(size, keep=wanted)
            if wanted and returned.put(secrets, path, content):
                changed.append(path)
        return changed

    def _content(self, size: int, *, keep: bool) -> bytes:
        """The data that follow a file's frame: exactly `size` bytes."""
        got, content = 0, bytearray()
        while got < size:
            frame = read_frame(self.line)
            if frame is None or frame["t"] != "data":
                raise BrokenWire("a file without its data")
            for piece in read_data(self.line, frame):
                got += len(piece)
                if keep and got <= size:
                    content += piece
        return bytes(content)

    def _frames(self) -> Iterator[dict[str, Any]]:
        for _ in range(_MOST_IDLE_FRAMES):
            frame = read_frame(self.line)
            if frame is None:
                break
            yield frame
        raise LineLost(f"{self.host}: the conversation ended in the middle")

    def _common(self, frame: Mapping[str, Any]) -> None:
        """What may come at any time."""
        kind, mine = frame["t"], frame.get("run") == self.run
        if kind == "events":
            self._events(frame)
        elif kind == "confirmed":
            self.teller.tell(heard=True, note="")
        elif kind == "refused" and mine:
            reason = str(frame.get("reason"))[:40]
            if reason == "not-fresh":
                raise ComeAfresh("the host wants a connection that was made after the change")
            if reason != "not-confirming":  # it made up its mind meanwhile: its result says how
                raise Refused(reason, str(frame.get("message"))[:500])
        elif kind == "need" and mine:
            offset = frame.get("offset")
            raise Need(offset if type(offset) is int else 0, everything=frame.get("pack") is None)
        elif kind == "error" and frame.get("fatal"):
            raise LineLost(f"{self.host}: {str(frame.get('message'))[:200]}")

    def _events(self, frame: Mapping[str, Any]) -> None:
        """Record first, then believe."""
        given = frame.get("events")
        events = [Event.of(found) for found in given] if isinstance(given, list) else []
        if not events:
            return
        self.ledger.record(events, source=self.host)
        for run in {event.run for event in events}:
            self._acks[run] = self.ledger.next_seq(run, self.host) - 1
        for event in events:
            if event.run != self.run:
                continue
            if event.kind == "result":
                self.result = event
            elif event.kind == "state":
                self.teller.tell(heard=True, phase=_PHASES.get(str(event.body.get("state")), self.teller.now.phase))
            elif event.kind == "task":
                self.teller.tell(heard=True, task=str(event.body.get("task", ""))[:200])
        waits = any(event.run == self.run and event.body.get("state") == "confirming" for event in events)
        if waits and self.result is None and not self._confirmed:
            raise ComeAfresh("the change is made; the host waits for the centre to come again")

    def _progress(self, frame: Mapping[str, Any]) -> None:
        done, of = frame.get("done"), frame.get("of")
        self.teller.tell(
            heard=True,
            phase=Phase.APPLYING if self.teller.now.phase is not Phase.CONFIRMING else Phase.CONFIRMING,
            done=done if type(done) is int else None,
            of=of if type(of) is int else None,
            task=str(frame.get("task") or "")[:200],
        )

    def _send(self, message: Mapping[str, Any]) -> None:
        write_frame(self.line, message)
