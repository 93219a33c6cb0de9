"""Where a host goes on in its journal: behind what the hub has, also when the journal lost its end meanwhile."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

PROGRAM = Path(__file__).parents[3] / "roles/audit_log/files/tram-log"
AT = "s=aa;i=a92;b=b1;m=1;t=660da4f608998;x=1"
AFTER = f"--after-cursor={AT}"
SINCE = "--since=@1795340611.127705"


@pytest.fixture
def send(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PROGRAM))
    sys.modules.pop("record", None)
    return importlib.import_module("send")


def journal(monkeypatch: pytest.MonkeyPatch, folder: Path, cursor: str) -> None:
    """A journal whose first entry at or behind every cursor has this one; none when it is empty."""
    said = f"printf '__CURSOR={cursor}\\n__REALTIME_TIMESTAMP=1\\n\\n__CURSOR=later\\n'" if cursor else "true"
    (folder / "journalctl").write_text(f"#!/bin/sh\n{said}\n")
    (folder / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("first", "goes_on"),
    [
        (AT, (AFTER, 0)),
        ("s=aa;i=a95;b=b1;m=9;t=660da4f608999;x=2", (AFTER, 3)),
        ("s=bb;i=3;b=b2;m=9;t=660da4f608999;x=2", (AFTER, 1)),
        ("s=aa;i=a92;b=b2;m=9;t=660da4f70ffff;x=2", (SINCE, 1)),
        ("", (SINCE, 1)),
    ],
    ids=[
        "the entry is there",
        "some behind it were cleared away",
        "the journal is numbered anew",
        "another entry has its number",
        "the journal ends before it",
    ],
)
def test_the_journal_is_read_on_from_where_nothing_is_hidden(
    send: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, first: str, goes_on: tuple[str, int]
) -> None:
    journal(monkeypatch, tmp_path, first)
    assert send.resume(AT) == goes_on


def test_a_cursor_that_says_nothing_is_journalctls_to_judge(
    send: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    journal(monkeypatch, tmp_path, "")
    assert send.resume("s=1;i=no-number") == ("--after-cursor=s=1;i=no-number", 1)
    assert send.resume("junk") == ("--after-cursor=junk", 1)
