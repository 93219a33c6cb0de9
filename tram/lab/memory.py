"""Memory of a host's processes, bounded and counted by the kernel: what a small machine would do to them.

A host of the lab sees all of the machine's memory, and where the machine keeps memory in a hierarchy of its own
(cgroups v1) its systemd cannot bound a unit. A group made here does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tram.core.errors import TramError
from tram.lab.host import Machine

_PLACES = Path("/proc/self/mounts")


class NoMemoryGroups(TramError):
    """This machine's kernel does not let us bound memory by group."""


class MemoryGroup:
    """Processes whose memory together is bounded. Source: cgroup-v1/memory.rst of the kernel."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def bound(self, limit_bytes: int) -> None:
        """Take no more than so many bytes; beyond it the kernel kills within the group."""
        (self.place / "memory.limit_in_bytes").write_text(str(limit_bytes))

    def add(self, pid: int) -> None:
        """A process joins, with what it starts from now on. One that has ended is passed over."""
        with contextlib.suppress(ProcessLookupError):
            (self.place / "cgroup.procs").write_text(str(pid))

    def members(self) -> list[int]:
        """Who is in it now."""
        return [int(word) for word in (self.place / "cgroup.procs").read_text().split()]

    @property
    def peak_bytes(self) -> int:
        """The most that was taken since the last `forget`, with the cache of files."""
        return int((self.place / "memory.max_usage_in_bytes").read_text())

    def forget(self) -> None:
        """Begin a new count of the peak."""
        (self.place / "memory.max_usage_in_bytes").write_text("0")

    @property
    def kills(self) -> int:
        """How often the kernel has killed in it."""
        words = (self.place / "memory.oom_control").read_text().split()
        return int(words[words.index("oom_kill") + 1])


@contextmanager
def memory_group(machine: Machine, name: str) -> Iterator[MemoryGroup]:
    """A group for processes of a host, as long as it is needed; who is left in it then goes back to the host's others.

    Raises: NoMemoryGroups.
    """
    above = _hierarchy()
    group = MemoryGroup(above / f"{machine.tag}.{name}")
    home = above / _group_of(machine).lstrip("/")
    try:
        group.place.mkdir(exist_ok=True)
    except OSError as error:
        raise NoMemoryGroups(f"{group.place}: {error.strerror}") from error
    try:
        yield group
    finally:
        for _ in range(50):
            for pid in group.members():
                with contextlib.suppress(OSError):
                    (home / "cgroup.procs").write_text(str(pid))
            with contextlib.suppress(OSError):
                group.place.rmdir()
                break
            time.sleep(0.1)


def pids_of(machine: Machine, program: str = "") -> list[int]:
    """A host's processes as the machine numbers them: those of a program (its name in ps), or all."""
    first = machine.init_pid()
    if first is None:
        return []
    space = Path(f"/proc/{first}/ns/pid").readlink()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        # Processes come and go while we look.
        with contextlib.suppress(OSError):
            same = (place / "ns/pid").readlink() == space
            if same and program in ("", (place / "comm").read_text().strip()):
                found.append(int(place.name))
    return found


def send(machine: Machine, program: str, number: signal.Signals) -> int:
    """Send a signal to every process of a program on a host; how many there were."""
    pids = pids_of(machine, program)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    return len(pids)


def _hierarchy() -> Path:
    for line in _PLACES.read_text().splitlines():
        _, place, kind, options = line.split()[:4]
        if kind == "cgroup" and "memory" in options.split(","):
            return Path(place)
    raise NoMemoryGroups("this machine keeps memory in the unified hierarchy", hint="there a host's own systemd can")


def _group_of(machine: Machine) -> str:
    for line in Path(f"/proc/{machine.init_pid()}/cgroup").read_text().splitlines():
        _, kinds, group = line.split(":", 2)
        if "memory" in kinds.split(","):
            return group
    return "/"
