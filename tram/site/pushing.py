"""Whether somebody works on this host over ssh: what a push looks like from here."""

from __future__ import annotations

from pathlib import Path

from tram.site.contact import command_name, parent_of, started

_DEEPEST = 32
_IN_BETWEEN = ("sshd", "sudo", "doas")  # at work for a session, not its work


def sessions(*, as_root: bool = False) -> list[float]:
    """Since when, in seconds of this boot's uptime, the connections stand over which something runs just now; with
    `as_root` only those over which something runs as root.

    A shared connection that only waits for its next session (ControlMaster) does not count: it lives on for minutes
    when the one who opened it is dead.
    """
    found = set()
    for path in Path("/proc").iterdir():
        try:
            if not path.name.isdigit() or (as_root and path.stat().st_uid != 0):
                continue
        except OSError:
            continue
        pid = int(path.name)
        if not command_name(pid).startswith(_IN_BETWEEN) and (connection := _connection(pid)):
            found.add(started(connection))
    return sorted(found)


def _connection(pid: int) -> int:
    """The sshd whose session a process belongs to, 0 when it belongs to none."""
    for _ in range(_DEEPEST):
        pid = parent_of(pid)
        if pid <= 1:
            return 0
        if command_name(pid).startswith("sshd"):
            return pid
    return 0
