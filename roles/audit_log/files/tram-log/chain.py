"""A host's log as day files at the hub, each batch sealed into one chain.

A file is `<directory>/<host>/<day>.log`. Its first line names the host, the day and the seal before it; then come the
records, one a line, and after each batch a line `#seal`, whose sha256 is over the seal before it and everything since:
a line that is changed, taken out or put in breaks the chain from there on. What lies behind the last seal was never
promised to the sender and is cut off when the file is opened again (power lost in the middle of a write).
"""

from __future__ import annotations

import datetime
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+\Z")
CURSOR = re.compile(r"[A-Za-z0-9=;]{0,300}\Z")
_HEAD = re.compile(rb"#tram-log 1 host=(\S+) day=(\S+) n=(\d+) prev=([0-9a-f]{64}) cursor=(\S*)\n\Z")
_SEAL = re.compile(rb"#seal n=(\d+) at=(\S+) cursor=(\S*) sha256=([0-9a-f]{64})\n\Z")
_TAIL_BYTES = 4 << 20
"""More than the largest batch: within it the last seal is found."""
START = hashlib.sha256(b"tram-log").hexdigest()


class Tampered(Exception):
    """The chain does not hold: file, line and why."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain stands: how many batches it has, the seal over them all, the sender's place in its journal."""

    number: int = 0
    seal: str = START
    cursor: str = ""


def sealed(before: str, content: bytes, number: int, at: str, cursor: str) -> str:
    """The seal over what came since the one before."""
    return hashlib.sha256(b"\n".join([before.encode(), content, f"{number} {at} {cursor}".encode()])).hexdigest()


def days(directory: Path) -> list[Path]:
    """The day files of a host, oldest first."""
    return sorted(directory.glob("[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9].log"))


class Book:
    """The log of one host, open for writing. One process writes; a batch is on the disk when `append` returns."""

    def __init__(self, top: Path, host: str) -> None:
        if not HOST.match(host):
            raise ValueError(f"{host!r} is no name of a host")
        self.directory, self.host = top / host, host
        self.directory.mkdir(mode=0o750, exist_ok=True)
        self.repaired = 0
        self.head = self._recover()

    def append(self, lines: list[str], cursor: str, now: datetime.datetime) -> Head:
        """Write a batch and its seal, durably; return where the chain stands now."""
        path = self.directory / f"{now.date().isoformat()}.log"
        # A hub whose clock went back goes on in its newest file: the chain is in the order of the names.
        newest = days(self.directory)[-1:]
        path = max([path, *newest])
        new = not path.exists()
        head = self.head
        content = "".join(line + "\n" for line in lines).encode()
        if new:
            where = f"n={head.number} prev={head.seal} cursor={head.cursor}"
            content = f"#tram-log 1 host={self.host} day={path.stem} {where}\n".encode() + content
        number, at = head.number + 1, now.isoformat(timespec="milliseconds")
        seal = sealed(head.seal, content, number, at, cursor)
        whole = content + f"#seal n={number} at={at} cursor={cursor} sha256={seal}\n".encode()
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            before = os.fstat(handle).st_size
            try:
                _write(handle, whole)
            except OSError:
                os.ftruncate(handle, before)
                if new:
                    path.unlink()
                raise
            os.fdatasync(handle)
        finally:
            os.close(handle)
        if new:
            _sync_directory(self.directory)
        self.head = Head(number, seal, cursor)
        return self.head

    def _recover(self) -> Head:
        """Find the last seal; cut off what was written behind it."""
        for path in reversed(days(self.directory)):
            with path.open("r+b") as file:
                size = file.seek(0, os.SEEK_END)
                start = max(0, size - _TAIL_BYTES)
                file.seek(start)
                tail = file.read()
                if (found := _last_seal(tail)) is not None:
                    head, end = found
                    if start + end < size:
                        self.repaired += size - start - end
                        file.truncate(start + end)
                        os.fsync(file.fileno())
                    return head
            if size > _TAIL_BYTES:
                raise Tampered(f"{path}: no seal in its last {_TAIL_BYTES} bytes")
            self.repaired += size
            path.unlink()
        return Head()


def _last_seal(tail: bytes) -> tuple[Head, int] | None:
    """The last whole seal line and where it ends."""
    end = len(tail)
    while (start := tail.rfind(b"\n#seal ", 0, end)) >= 0:
        stop = tail.find(b"\n", start + 1) + 1
        if stop and (match := _SEAL.match(tail[start + 1 : stop])):
            return Head(int(match[1]), match[4].decode(), match[3].decode()), stop
        end = start
    return None


def _write(handle: int, content: bytes) -> None:
    while content:
        content = content[os.write(handle, content) :]


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class Verified:
    """A chain that holds: its first day, its lines and all its seals (number → seal)."""

    first_day: str
    first_number: int
    lines: int
    head: Head
    seals: dict[int, str]


def verify(directory: Path) -> Verified:
    """Read a host's whole chain.

    Raises:
        Tampered: a line was changed, removed or added, or a file is missing between two others.
    """
    head: Head | None = None
    first_number, lines = 0, 0
    seals: dict[int, str] = {}
    files = days(directory)
    for path in files:
        numbered = _lines(path)
        number, content = next(numbered, (0, b""))
        match = _HEAD.match(content)
        if not match or match[1].decode() != directory.name or match[2].decode() != path.stem:
            raise Tampered(f"{path}:1: is not the first line of this host's file of this day")
        said = Head(int(match[3]), match[4].decode(), match[5].decode())
        if head is None:
            head, first_number = said, said.number
            seals[said.number] = said.seal
        elif said != head:
            raise Tampered(f"{path}:1: does not go on where the file before it ends: one is missing, or its end is")
        waiting = [content]
        for number, content in numbered:
            if not content.startswith(b"#"):
                lines += 1
                waiting.append(content)
                continue
            seal = _SEAL.match(content)
            if not seal:
                raise Tampered(f"{path}:{number}: is neither a record nor a seal")
            at, cursor = seal[2].decode(), seal[3].decode()
            wanted = sealed(head.seal, b"".join(waiting), head.number + 1, at, cursor)
            if int(seal[1]) != head.number + 1 or seal[4].decode() != wanted:
                first = number - len(waiting)
                raise Tampered(f"{path}:{first}-{number}: something in these lines was changed, removed or added")
            head, waiting = Head(head.number + 1, wanted, cursor), []
            seals[head.number] = head.seal
        if waiting:
            raise Tampered(f"{path}:{number}: {len(waiting)} lines behind the last seal")
    return Verified(files[0].stem if files else "", first_number, lines, head or Head(), seals)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        yield from enumerate(file, 1)
