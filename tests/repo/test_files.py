"""Files stay small enough to read, texts are one kind of Unicode, links lead somewhere, scripts are sound."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import pytest

MOST_LINES = 400
DOOR_LINES = 60
LINK = re.compile(r"\]\((?!https?:|mailto:|#)<?([^)\s>#]+)")


def test_python_files_are_short_enough_to_read(repository: Any) -> None:
    lengths = {name: text.count("\n") for name, text in repository.texts(suffix=".py")}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_doors_hold_no_logic(repository: Any) -> None:
    doors = [*repository.texts("scripts/", suffix="fabfile.py"), *repository.texts("inventories/plugins/")]
    assert len(doors) >= 2
    assert {name: text.count("\n") for name, text in doors if text.count("\n") > DOOR_LINES} == {}


def test_no_file_is_a_drawer(repository: Any) -> None:
    drawers = {"utils.py", "util.py", "helpers.py", "common.py", "misc.py"}
    assert [str(path) for path in repository.files if path.name in drawers] == []


def test_text_is_composed_utf_8(repository: Any) -> None:
    """Vietnamese has two spellings in Unicode; only one of them is found by a search and sorts right."""
    decomposed = [
        place for place, line in repository.lines() if not unicodedata.is_normalized("NFC", line) or "\ufeff" in line
    ]
    assert decomposed == []


def test_text_files_end_their_lines(repository: Any) -> None:
    wrong = [name for name, text in repository.texts() if text and (not text.endswith("\n") or "\r" in text)]
    assert wrong == []


def test_every_link_of_a_page_leads_somewhere(repository: Any) -> None:
    dead = []
    for place, line in repository.lines(suffix=".md"):
        page = (repository.root / place.rpartition(":")[0]).resolve()
        for target in LINK.findall(line):
            base = repository.root if target.startswith("/") else page.parent
            if not (base / target.lstrip("/")).exists():
                dead.append(f"{place}: {target}")
    assert dead == []


def test_what_can_be_run_says_by_what(repository: Any) -> None:
    runnable = [path for path in repository.files if os.access(path, os.X_OK)]
    assert runnable
    assert [str(path) for path in runnable if not path.read_bytes().startswith(b"#!")] == []


def test_shell_scripts_pass_shellcheck(repository: Any) -> None:
    scripts = [path for path in repository.files if re.match(rb"#!(/bin/|/usr/bin/env )(ba|da)?sh\b", head(path))]
    assert scripts
    if not shutil.which("shellcheck"):
        pytest.fail("shellcheck is not installed: run scripts/setup.sh dev")
    seen = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)
    assert seen.stdout + seen.stderr == ""


def head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline()
