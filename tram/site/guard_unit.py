"""What watches a push: one unit and one word to call it by, outside of /etc, which it may have to restore."""

from __future__ import annotations

import os
import shlex
import sys
from datetime import timedelta
from pathlib import Path

from tram.core.errors import TramError
from tram.core.run import run
from tram.site import durable

WORD = Path("/usr/local/sbin/tram-guard")
_UNITS = Path("/usr/local/lib/systemd/system")
_NAME = "tram-guard.service"
_WANTED = _UNITS / "multi-user.target.wants" / _NAME
_PROGRAMS = Path("/opt/tram/guard")
_KEPT_PROGRAMS = 2
_UNIT = f"""\
# Trạm: takes back what a pushed playbook changed when the centre does not come back after it. Written by role guard.
[Unit]
Description=Takes a change back when the centre does not come back after it
ConditionPathExists=/var/lib/tram/guard/now/state.json
StartLimitIntervalSec=0

[Service]
ExecStart={WORD} watch
Restart=on-failure
RestartSec=2
OOMScoreAdjust=-500
"""


class CannotWatch(TramError):
    """systemd does not start what would watch the run, so nothing may be changed under guard."""


def settle(program: Path | None) -> None:
    """Have the unit and the word, made for the program that runs now. `program`: the file it was started from, kept
    under its own name; None when it runs from the installed runtime."""
    changed = False
    if program is not None:
        words = ["/usr/bin/python3", "-I", str(keep(program))]
    else:
        words = ["/usr/bin/python3", "-I", "/opt/tram/runtime/current/launch.py", "tram.site.guard_command"]
    changed |= _put(WORD, f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', 0o755)
    changed |= _put(_UNITS / _NAME, _UNIT, 0o644)
    if not _WANTED.is_symlink():
        _WANTED.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _WANTED.symlink_to(f"../{_NAME}")
        changed = True
    if changed:
        run(["systemctl", "daemon-reload"], timeout=timedelta(minutes=2))


def keep(program: Path) -> Path:
    """Lay the program down where the next call of its controller looks for it."""
    kept = _PROGRAMS / program.name
    if not kept.exists() or kept.read_bytes() != program.read_bytes():
        _PROGRAMS.mkdir(mode=0o755, parents=True, exist_ok=True)
        durable.write(kept, program.read_bytes(), 0o644)
    _forget(kept)
    return kept


def start() -> None:
    """Watch, from now on.

    Raises: CannotWatch.
    """
    ran = run(["systemctl", "restart", _NAME], check=False, timeout=timedelta(minutes=1))
    if ran.code != 0:
        raise CannotWatch(f"systemctl restart {_NAME}: {ran.stderr.strip()[:300]}")


def wake() -> None:
    """Have a run that is under guard watched, should nobody do so any more."""
    if (_UNITS / _NAME).exists():
        run(["systemctl", "start", "--no-block", _NAME], check=False, timeout=timedelta(minutes=1))


def program() -> Path | None:
    """The one file this was started from, None when it is a directory's."""
    first = Path(sys.path[0] or os.curdir)
    return first if first.is_file() else None


def _put(path: Path, text: str, mode: int) -> bool:
    if path.exists() and path.read_text() == text:
        return False
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    durable.write(path, text.encode(), mode)
    return True


def _forget(kept: Path) -> None:
    """Older programs, but for the last: it may be at work still."""
    others = sorted((path for path in _PROGRAMS.glob("*.pyz") if path != kept), key=lambda path: path.stat().st_mtime)
    for path in others[: -(_KEPT_PROGRAMS - 1)]:
        path.unlink(missing_ok=True)
