"""Finding a lab's processes by what stands on their command line."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from datetime import timedelta
from pathlib import Path


def find(*words: str) -> list[int]:
    """PIDs of the processes that carry each of these words as an argument of its own."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and set(words) <= set(argv(int(entry.name))):
            found.append(int(entry.name))
    return sorted(found)


def argv(pid: int) -> list[str]:
    """Command line of a process; empty when it is gone or a kernel thread."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def children(pid: int) -> list[int]:
    """PIDs of a process's children. Source: proc_pid_task(5)."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def wait_gone(pid: int, within: timedelta) -> bool:
    """Wait until a process has ended (a zombie has); False when it is still there after that time."""
    deadline = time.monotonic() + within.total_seconds()
    while argv(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def stop_namespace(init: int) -> None:
    """Stop every process of the PID namespace whose first process this is: itself first, then what is left, until a
    look finds nobody new. Source: pid_namespaces(7), SIGSTOP in signal(7).
    """
    stopped: set[int] = set()
    with contextlib.suppress(OSError):
        namespace = Path(f"/proc/{init}/ns/pid").readlink()
        found = {init}
        while found:
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            stopped |= found
            found = _in_namespace(namespace) - stopped


def _in_namespace(namespace: Path) -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "ns/pid").readlink() == namespace:
                found.add(int(entry.name))
    return found


def find_prefix(prefix: str) -> list[int]:
    """PIDs of the processes with an argument that begins so."""
    return sorted(
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and any(word.startswith(prefix) for word in argv(int(entry.name)))
    )
