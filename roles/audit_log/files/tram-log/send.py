#!/usr/bin/python3
"""Send what matters of this host's journal to the hub, in order, each entry once.

The journal is the buffer: nothing is kept here. The hub says the place in the journal up to which it has everything on
its disk, and we go on from there; so a cut line, a power cut on either side or a killed program loses and doubles
nothing as long as the journal still has it. What it no longer has is told as a gap.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import socket
import ssl
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import record

FIELDS = "MESSAGE,PRIORITY,SYSLOG_FACILITY,SYSLOG_IDENTIFIER,SYSLOG_PID,_PID,_UID,_TRANSPORT,_COMM"
BATCH_BYTES = 64_000
ANSWER_SECONDS = 90
SESSION_SECONDS = 24 * 3600
"""A connection is made anew each day, so that a renewed certificate is taken up."""


def main() -> None:
    """Send until told to stop."""
    options = arguments()
    wait = 1.0
    while True:
        began = time.monotonic()
        try:
            session(options)
            wait = 1.0
        except (OSError, ssl.SSLError, record.BadFrame, ValueError, KeyError, TypeError) as error:
            print(f"<5>the hub is not reached, the journal keeps what there is: {error}", file=sys.stderr, flush=True)
            wait = 1.0 if time.monotonic() - began > 300 else min(wait * 2, options.retry_seconds)
        time.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - spreads hosts, hides nothing


def session(options: argparse.Namespace) -> None:
    """One connection, until it breaks or is a day old."""
    with connect(options) as sock:
        hello = json.loads(record.read_frame(sock))
        keep_seal(options.state, hello)
        cursor = str(hello["cursor"])
        start, gap = resume(cursor) if cursor else (f"--since=-{options.first_seconds}s", 0)
        with Journal(start, options) as journal:
            packer = zlib.compressobj(9, zlib.DEFLATED, -15)
            until = time.monotonic() + SESSION_SECONDS
            budget = float(options.bytes_per_second * 10)
            last = time.monotonic()
            while time.monotonic() < until:
                batch = journal.batch(options.linger_seconds, options.heartbeat_seconds)
                head = {"cursor": batch.cursor or cursor, "gap": gap}
                body = b"\n".join([record.dumps(head), *batch.lines])
                packed = record.frame(packer.compress(body) + packer.flush(zlib.Z_SYNC_FLUSH))
                # Too much at once is sent later, not dropped: people use the same line.
                now = time.monotonic()
                budget = min(budget + (now - last) * options.bytes_per_second, options.bytes_per_second * 10)
                last = now
                if budget < len(packed):
                    time.sleep((len(packed) - budget) / options.bytes_per_second)
                budget -= len(packed)
                sock.sendall(packed)
                answer = json.loads(record.read_frame(sock))
                keep_seal(options.state, answer)
                cursor, gap = batch.cursor or cursor, 0


def connect(options: argparse.Namespace) -> ssl.SSLSocket:
    """A connection to the hub, both sides known by their certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(options.ca)
    context.load_cert_chain(options.chain, options.key)
    plain = socket.create_connection((options.address, options.port), timeout=30)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    secure = context.wrap_socket(plain, server_hostname=options.hub)
    secure.settimeout(ANSWER_SECONDS)
    return secure


def keep_seal(state: Path, answer: dict[str, object]) -> None:
    """Keep the hub's seal over our log: what is changed there later no longer fits it."""
    text = json.dumps({"n": answer["n"], "seal": answer["seal"], "at": int(time.time())})
    temporary = state / "seal.new"
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.rename(state / "seal")


def resume(cursor: str) -> tuple[str, int]:
    """Where journalctl is to go on behind the cursor; and how many entries are gone there (0: none; 1 when it cannot be
    counted).

    A journal that lost its end, in a power cut or with a disk as it was before, gives the numbers behind it once more:
    by its number the cursor would then hide all that is new, so it goes on by the time.
    """
    by_number = f"--after-cursor={cursor}"
    try:
        was, found = Place.of(cursor), first(cursor)
    except ValueError:
        return by_number, 1
    now = Place.of(found) if found else None
    if now is None or (now.numbering == was.numbering and now.number == was.number and now.time != was.time):
        seconds, micro = divmod(was.time + 1, 10**6)
        return (f"--since=@{seconds}.{micro:06d}" if was.time else by_number), 1
    if now.numbering != was.numbering:
        return by_number, 1
    return by_number, now.number - was.number


def first(cursor: str) -> str:
    """The cursor of the first entry at the cursor or behind it; empty when there is none."""
    command = ["timeout", "120", "journalctl", f"--cursor={cursor}", "--no-pager", "--quiet", "--output=export",
               "--output-fields=_BOOT_ID"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE) as seen:
        assert seen.stdout is not None
        found = next((line for line in seen.stdout if line.startswith(b"__CURSOR=")), b"")
        seen.terminate()  # all that follows is not asked for
    return found.decode(errors="replace").strip().partition("=")[2]


@dataclass(frozen=True, slots=True)
class Place:
    """What a cursor says: which numbering of the journal, the number there, and when (microseconds)."""

    numbering: str
    number: int
    time: int

    @classmethod
    def of(cls, cursor: str) -> Place:
        """Raises: ValueError."""
        parts = dict(part.split("=", 1) for part in cursor.split(";") if "=" in part)
        return cls(parts.get("s", ""), int(parts.get("i", "0"), 16), int(parts.get("t", "0"), 16))


@dataclass(slots=True)
class Batch:
    """Records, and the place in the journal behind the last of them."""

    cursor: str = ""
    lines: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, text: bytes) -> None:
        """Add an entry as journalctl gives it."""
        entry = json.loads(text)
        self.lines.append(record.dumps(record.from_journal(entry)))
        self.cursor = entry["__CURSOR"]
        self.size += len(self.lines[-1])


class Journal:
    """What matters of the journal from a place on (`start`: how journalctl is told it), as it comes."""

    def __init__(self, start: str, options: argparse.Namespace) -> None:
        # --merge: without it --follow looks at the present boot only, and what came before a power cut is never sent.
        self.command = ["journalctl", "--follow", "--merge", "--no-tail", "--quiet", "--all", "--output=json",
                        f"--output-fields={FIELDS}", start, *matches(options)]  # fmt: skip
        self.rest = b""
        self.waiting: list[bytes] = []

    def __enter__(self) -> Journal:
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def batch(self, linger: float, longest: float) -> Batch:
        """Wait for entries, and a little longer for those that follow; an empty one when nothing came for long."""
        batch, until = Batch(), time.monotonic() + longest
        while batch.size < BATCH_BYTES:
            if not self.waiting and not self._more(until):
                break
            if not batch.lines:
                until = time.monotonic() + linger
            batch.add(self.waiting.pop(0))
        return batch

    def _more(self, until: float) -> bool:
        """Read until there is a whole entry, or it is time."""
        assert self.process.stdout is not None
        while not self.waiting:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return False
            content = os.read(self.process.stdout.fileno(), 1 << 16)
            if not content:
                raise OSError("journalctl ended")
            *self.waiting, self.rest = (self.rest + content).split(b"\n")
        return True


def matches(options: argparse.Namespace) -> Iterator[str]:
    """What matters, as journalctl's matches: severe ones, some facilities and programs always, the kernel's audit."""
    for index, group in enumerate(
        [
            [f"PRIORITY={severity}" for severity in range(options.severity + 1)],
            [f"SYSLOG_FACILITY={facility}" for facility in options.facility],
            [f"SYSLOG_IDENTIFIER={identifier}" for identifier in options.identifier],
            ["_TRANSPORT=audit"],
        ]
    ):
        if group:
            yield from (["+"] if index else [])
            yield from group


def arguments() -> argparse.Namespace:
    """What the unit says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hub", required=True, help="name in the hub's certificate")
    parser.add_argument("--address", required=True, help="where it listens")
    parser.add_argument("--port", type=int, required=True)
    for name in ("key", "chain", "ca"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--state", type=Path, default=Path(os.environ.get("STATE_DIRECTORY", ".")))
    parser.add_argument("--severity", type=int, default=4, help="this and worse always (syslog's number)")
    parser.add_argument("--facility", type=int, action="append", default=[])
    parser.add_argument("--identifier", action="append", default=[])
    parser.add_argument("--linger-seconds", type=float, default=5)
    parser.add_argument("--heartbeat-seconds", type=float, default=300)
    parser.add_argument("--retry-seconds", type=float, default=60)
    parser.add_argument("--first-seconds", type=int, default=86400, help="how far back a first connection begins")
    parser.add_argument("--bytes-per-second", type=int, default=8000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
