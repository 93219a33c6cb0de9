"""A control with every kind of thing in it, and its folder as text."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., dict[str, Any]]


def me(item: dict[str, Any]) -> dict[str, Any]:
    """The same thing, owned by whoever runs the tests."""
    return {"owner": pwd.getpwuid(os.geteuid()).pw_name, "group": grp.getgrgid(os.getegid()).gr_name, **item}


def tree(folder: Path) -> dict[str, tuple[str, str]]:
    """Every path below, with its mode and content."""
    return {
        str(path.relative_to(folder)): (
            f"{path.lstat().st_mode:o}",
            str(path.readlink()) if path.is_symlink() else path.read_text() if path.is_file() else "",
        )
        for path in sorted(folder.rglob("*"))
    }


def control(etc: Path) -> dict[str, Any]:
    """A control with every kind of thing in it."""
    return {
        "id": "many-things",
        "files": [
            me({"path": str(etc / "new.d/deep/file.conf"), "content": "a\n", "mode": "0600"}),
            me({"path": str(etc / "issue"), "content": "Trạm\n"}),
            {"path": str(etc / "target"), "link": "/dev/null"},
            {"path": str(etc / "login.defs"), "mode": "0600"},
        ],
        "lines": [
            {"path": str(etc / "login.defs"), "match": "^UMASK", "line": "UMASK 027"},
            {"path": str(etc / "login.defs"), "match": "^NEW ", "line": "NEW 1", "after": "^# old"},
            {"path": str(etc / "login.defs"), "match": "^PASS"},
        ],
    }
