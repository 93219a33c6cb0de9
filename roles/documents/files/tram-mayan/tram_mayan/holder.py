"""Who holds a lock: a process of this host, and whether it still lives."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

PROC = Path("/proc")


def mine() -> str:
    """A word that is this lock's alone and names the process that takes it."""
    return f"{boot()}/{os.getpid()}/{started(os.getpid())}/{uuid.uuid4().hex}"


def is_dead(word: str) -> bool:
    """Whether the process that a word names is gone. Of a word that names none nobody knows: it is not."""
    parts = word.split("/")
    if len(parts) != 4 or not parts[1].isdigit():
        return False
    if parts[0] != boot():
        return True
    number = int(parts[1])
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    now = started(number)
    # The number may be somebody else's by now; "" is one that may not be looked at.
    return bool(now) and now != parts[2]


def boot() -> str:
    """This run of the machine: numbers of processes mean something within one only."""
    return (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def started(number: int) -> str:
    """When a process began, in the kernel's ticks; "ended" for one that waits to be taken note of. Source: proc(5)."""
    try:
        fields = (PROC / str(number) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "ended" if fields[0] in "ZX" else fields[19]
