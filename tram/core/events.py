"""What a host tells of a run: numbered, append-only, one JSON object a line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tram.core.errors import BadInput

KINDS = ("state", "task", "note", "result")
OUTCOMES = ("done", "failed", "reverted", "refused")  # "not reached" is the centre's word, never a host's
_ENVELOPE = ("run", "host", "seq", "at", "kind")
_LINE_BYTES = 64 * 1024  # no event is larger; a reader need not hold more


class BadEvent(BadInput):
    """A line that is no event."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in a run on a host. `seq` counts from 1 within (run, host), without gaps.

    `body` is what its kind carries, beside the envelope (`docs/contracts/event.md`); `at` is RFC 3339 UTC by the
    host's clock, which may be wrong by years: order events by `seq`, never by `at`.
    """

    run: str
    host: str
    seq: int
    at: str
    kind: str
    body: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, document: object) -> Event:
        """The event in a parsed JSON object, such as one in an `events` frame.

        Raises: BadEvent saying what is wrong.
        """
        if not isinstance(document, dict):
            raise BadEvent("an event is a JSON object")
        for name, kind in (("run", str), ("host", str), ("seq", int), ("at", str), ("kind", str)):
            if not isinstance(document.get(name), kind) or isinstance(document[name], bool):
                raise BadEvent(f'an event has no "{name}", or one of another type')
        if document["seq"] < 1:
            raise BadEvent("events are numbered from 1")
        if document["kind"] not in KINDS:
            raise BadEvent(f'unknown kind of event "{document["kind"]}"')
        body = {key: value for key, value in document.items() if key not in _ENVELOPE}
        return cls(document["run"], document["host"], document["seq"], document["at"], document["kind"], body)

    @classmethod
    def parse(cls, line: str | bytes) -> Event:
        """The event in one line of an events file.

        Raises: BadEvent saying what is wrong.
        """
        if len(line) > _LINE_BYTES:
            raise BadEvent(f"an event of {len(line)} bytes is larger than {_LINE_BYTES}")
        try:
            document = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadEvent("an event is not JSON") from error
        return cls.of(document)

    def document(self) -> dict[str, Any]:
        """The event as the one flat JSON object that files and frames carry."""
        return {**self.body, **{name: getattr(self, name) for name in _ENVELOPE}}

    def line(self) -> bytes:
        """The event as one line of an events file: canonical JSON and a newline."""
        return _canonical(self.document()) + b"\n"


def now() -> str:
    """The time by this machine's clock, as events carry it: `2026-11-21T19:05:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def append(path: Path, run: str, host: str, kind: str, body: Mapping[str, Any]) -> Event:
    """Write the next event of a run to its file; it is on the disk when this returns. One writer at a time, please."""
    return append_all(path, run, host, [(kind, body)])[0]


def append_all(path: Path, run: str, host: str, happened: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Event]:
    """Write the next events of a run, (kind, body) each, all at once: one wait for the disk.

    An "at" in the body is the event's time, else it is now. A last line that a power cut tore is cut off first: it was
    never acknowledged as written, so nothing is lost.
    """
    with path.open("ab+") as file:
        last = _repair(file.fileno())
        made = [
            Event(run, host, number, str(body.get("at") or now()), kind, _without_envelope(body))
            for number, (kind, body) in enumerate(happened, last + 1)
        ]
        file.write(b"".join(event.line() for event in made))
        file.flush()
        os.fsync(file.fileno())
    return made


def last_seq(path: Path) -> int:
    """The number of the last whole event in a file; 0 for none, or no file."""
    try:
        with path.open("rb") as file:
            lines = _tail(file.fileno())[1].splitlines()
    except FileNotFoundError:
        return 0
    return Event.parse(lines[-1]).seq if lines else 0


def read(path: Path, first: int = 1) -> Iterator[Event]:
    """The whole events of a file from number `first` on, in order; stops at a torn or foreign line. No file: none."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                event = Event.parse(line)
            except BadEvent:
                return
            if event.seq >= first:
                yield event


def _repair(fd: int) -> int:
    """Cut a torn last line off an events file; returns the last whole event's number, 0 for none."""
    start, whole = _tail(fd)
    if os.fstat(fd).st_size > start + len(whole):
        os.ftruncate(fd, start + len(whole))
    lines = whole.splitlines()
    return Event.parse(lines[-1]).seq if lines else 0


def _tail(fd: int) -> tuple[int, bytes]:
    """The end of a file up to its last newline, and where it begins: enough to hold the last whole event."""
    window = 2 * _LINE_BYTES
    start = max(0, os.fstat(fd).st_size - window)
    tail = os.pread(fd, window, start)
    return start, tail[: tail.rfind(b"\n") + 1]


def _without_envelope(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in _ENVELOPE}


def _canonical(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
