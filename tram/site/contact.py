"""Who is on the other end of this process's standard input, and since when that connection stands."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tram.site import clock

_DEEPEST = 32  # ancestors that are looked at


@dataclass(frozen=True, slots=True)
class Contact:
    """One connection: since when, in seconds of this boot's uptime, and the other end's address, if it has one.

    A session of ssh may ride on a connection that was opened long before (ControlMaster), and such a connection
    survives a firewall or an sshd that lets nobody in any more. So its age is that of the connection's own sshd, not of
    the session.
    """

    since: float
    address: str | None


def contact() -> Contact:
    """The connection this process serves; without ssh, this process itself since it started."""
    pid = os.getpid()
    since = started(pid)
    address = None
    for _ in range(_DEEPEST):
        parent = parent_of(pid)
        if parent <= 1:
            break
        pid = parent
        address = address or _ssh_client(pid)
        if command_name(pid).startswith("sshd"):
            return Contact(started(pid), address)
    return Contact(since, address)


def _fields(pid: int) -> list[str]:
    """/proc/PID/stat from the third field on; a name may hold blanks and brackets."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def started(pid: int) -> float:
    """When a process started, in seconds of this boot's uptime; now, when it is gone."""
    try:
        return int(_fields(pid)[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return clock.uptime()


def parent_of(pid: int) -> int:
    """A process's parent, 0 when it is gone."""
    try:
        return int(_fields(pid)[1])
    except (OSError, IndexError, ValueError):
        return 0


def command_name(pid: int) -> str:
    """A process's name, "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _ssh_client(pid: int) -> str | None:
    """The address in SSH_CONNECTION; sudo hides the variable from us, not from its own start."""
    try:
        for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if entry.startswith(b"SSH_CONNECTION="):
                return entry.partition(b"=")[2].split()[0].decode("ascii")
    except (OSError, IndexError, UnicodeDecodeError):
        pass
    return None
