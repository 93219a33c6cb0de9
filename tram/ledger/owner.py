"""Who holds a lease: one thread of work in one process, named so that others can see whether it still lives."""

from __future__ import annotations

import os
import secrets
import socket
from functools import cache
from pathlib import Path


def new_owner() -> str:
    """A name nobody else has: `<host>:<boot and pid namespace>:<pid>:<start of the process>:<random>`."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{_world()}:{pid}:{_started(pid)}:{secrets.token_hex(4)}"


def is_gone(owner: str) -> bool:
    """Whether the owner's process has certainly ended. False when that cannot be known: it ran on another machine.

    A process number may be given again, so its start time is compared too. Source: proc_pid_stat(5), field 22.
    """
    parts = owner.rsplit(":", 4)
    if len(parts) != 5 or not parts[2].isdigit():
        return False
    host, world, pid, started, _ = parts
    if host != socket.gethostname() or world.split(".")[-1] != _world().split(".")[-1]:
        return False
    return world != _world() or (_started(int(pid)) != started and not _hidden(int(pid)))


@cache
def _world() -> str:
    """`<boot>.<pid namespace>`: within one boot and one namespace a pid means the same. An owner of an earlier boot of
    this machine is gone; the namespace of the machine itself has the same number after each boot."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    namespace = Path("/proc/self/ns/pid").readlink().name
    return f"{boot}.{''.join(c for c in namespace if c.isdigit())}"


def _started(pid: int) -> str:
    """When the process began, in clock ticks after boot; empty when there is none, or only its remains."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in ("Z", "X") else fields[19]


def _hidden(pid: int) -> bool:
    """Whether there is such a process that we may not look at: another account's, under a /proc with hidepid."""
    try:
        os.kill(pid, 0)  # 0 is no signal, only the question
    except PermissionError:
        return not Path(f"/proc/{pid}/stat").exists()
    except ProcessLookupError:
        return False
    return False
