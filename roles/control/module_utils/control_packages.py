"""What comes to a host with a package, so that it can go with it; and nothing else that apt would call unneeded."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from ansible.module_utils.control_things import replace

# A suggestion of something else keeps no package that came with ours.
STRICT = ("-o", "APT::AutoRemove::RecommendsImportant=false", "-o", "APT::AutoRemove::SuggestsImportant=false")


class Brought:
    """The packages that were there before the first control brought any, in a file beside the records."""

    def __init__(self, state: Path) -> None:
        self.file = state / ".packages"

    def begin(self) -> None:
        """Remember what is there now."""
        text = "\n".join(sorted(_installed()))
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(self.file, text.encode(), {"mode": "0600", "uid": os.geteuid(), "gid": os.getegid()})

    def along(self, names: Iterable[str]) -> list[str]:
        """What came later, by itself, and is needed by nothing once these are gone."""
        if not (names := list(names)) or not self.file.exists():
            return []
        before = set(self.file.read_text(encoding="utf-8").split())
        left = _gone(["--auto-remove", "remove", *names]) - _gone(["autoremove"])
        return sorted((left & set(_said(["apt-mark", "showauto"]))) - before - set(names))


def alone(names: Iterable[str]) -> list[str]:
    """Those of these packages with which nothing else goes: what somebody put on top of one since keeps it there."""
    left, unneeded = list(names), None
    while left:
        unneeded = _gone(["autoremove"]) if unneeded is None else unneeded
        if not _gone(["remove", *left]) - set(left) - unneeded:
            return left
        free = [name for name in left if not _gone(["remove", name]) - set(left) - unneeded]
        left = free if len(free) < len(left) else []
    return left


def _installed() -> set[str]:
    rows = _said(["dpkg-query", "--show", "--showformat=${db:Status-Status}/${Package}\n"])
    return {name for status, _, name in (row.partition("/") for row in rows) if status == "installed"}


def _gone(words: Sequence[str]) -> set[str]:
    """What apt would remove."""
    rows = _said(["apt-get", "--simulate", "-o", "Debug::NoLocking=1", *STRICT, *words])
    return {row.split()[1].partition(":")[0] for row in rows if row.startswith(("Remv ", "Purg "))}


def _said(argv: Sequence[str]) -> list[str]:
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=environment).stdout.splitlines()
