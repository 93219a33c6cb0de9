"""Files that a power cut leaves whole: the old content or the new one, never half of either."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def write(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put `data` at `path`; it is on the disk, and under its name, when this returns."""
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_json(path: Path, document: object) -> None:
    """`write` a document of this host's own. What is signed or hashed goes through `tram.core.canonical` instead."""
    write(path, json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


def read_json(path: Path) -> Any:
    """The document at `path`, or None when there is none, or none that can be read: whoever asks starts afresh then."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def sync_directory(path: Path) -> None:
    """Make names made or removed in a directory survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock file `path`; yields whether it is held (always, with `wait`). It dies with the process."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(fd)


def tidy(directory: Path) -> None:
    """Remove what a killed `write` left in a directory; what a living process writes just now stays."""
    for left in directory.glob(".*.*.new"):
        writer = left.name.split(".")[-2]
        if not Path("/proc", writer).exists() or writer == str(os.getpid()):
            with suppress(OSError):
                left.unlink()
