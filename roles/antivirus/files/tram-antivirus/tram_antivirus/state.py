"""Small facts that outlive a process: JSON replaced whole, times, one lock, the journal."""

from __future__ import annotations

import fcntl
import json
import os
import syslog
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tram_antivirus.settings import Failed

TIME = "%Y-%m-%dT%H:%M:%SZ"


def read(path: Path) -> dict[str, Any]:
    """The object in a file; an empty one when there is none, or what is there was cut off."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write(path: Path, value: dict[str, Any]) -> None:
    """Replace a file by this object, on the disk."""
    replace(path, json.dumps(value, ensure_ascii=False).encode() + b"\n")


def replace(path: Path, content: bytes) -> None:
    """Replace a file, on the disk, whole or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    sync(path.parent)


def sync(directory: Path) -> None:
    """Have renames in a directory on the disk."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def note(path: Path, **facts: Any) -> dict[str, Any]:
    """Change some facts of a file and keep the others."""
    value = {**read(path), **facts}
    write(path, value)
    return value


def now() -> str:
    """This moment, as all our files have it."""
    return time.strftime(TIME, time.gmtime())


def seconds_since(stamp: object) -> float | None:
    """How long ago that was; None when it is no time."""
    if not isinstance(stamp, str):
        return None
    try:
        parsed = time.strptime(stamp, TIME)
    except ValueError:
        return None
    return time.time() - (time.mktime((*parsed[:8], 0)) - time.timezone)


@contextmanager
def lock(path: Path, seconds: float = 0) -> Iterator[None]:
    """One at a time; whoever comes second waits that long.

    Raises:
        Failed: it is still taken.
    """
    with path.open("a", encoding="utf-8") as file:
        until = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise Failed(f"another tram-antivirus is at it ({path})") from None
                time.sleep(0.2)
        yield


def journal(severity: int, **event: Any) -> None:
    """Tell the journal, as one line of JSON (identifier tram-antivirus)."""
    syslog.openlog("tram-antivirus", 0, syslog.LOG_DAEMON)
    syslog.syslog(severity, json.dumps(event, ensure_ascii=False))
