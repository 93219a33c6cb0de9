"""A control group for each host.

Without a systemd on the machine that hands out scopes, hosts started from one session would share its group, and with
it the groups of their services: `ssh.service` of one host would be `ssh.service` of all, and stopping one would wait
for, or fail on, the others' processes.
"""

from __future__ import annotations

import contextlib
import time
from datetime import timedelta
from pathlib import Path


def hierarchies() -> list[Path]:
    """Where systemd keeps processes by unit: the unified hierarchy and, on older set-ups, the one named systemd.

    Source: cgroups(7).
    """
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options = line.split()[:4]
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(Path(place))
    return found


def make_groups(tag: str) -> list[Path]:
    """Make a host's group in each hierarchy; returns the files a process writes its PID into to join."""
    groups = [hierarchy / tag for hierarchy in hierarchies()]
    for group in groups:
        group.mkdir(exist_ok=True)
    return [group / "cgroup.procs" for group in groups]


def remove_groups(prefix: str, within: timedelta = timedelta(seconds=30)) -> None:
    """Remove the groups whose name begins so, with what the hosts made below them.

    Their processes have been killed; a machine that is busy takes a while to be done with them. A group that is not
    empty after that time stays: the story that looks for it names it.
    """
    deadline = time.monotonic() + within.total_seconds()
    while found := [group for hierarchy in hierarchies() for group in hierarchy.glob(f"{prefix}*")]:
        for group in found:
            below = sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True)
            for directory in (*below, group):
                with contextlib.suppress(OSError):
                    directory.rmdir()
        if time.monotonic() > deadline:
            return
        time.sleep(0.05)
