"""The hub's backups each night: what systemd is told, and what the night does with a history that is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tram.act.backup import Tampered
from tram.cli import backup
from tram.cli.main import app

from ..register.bad_register import GOOD


def test_the_timer_calls_the_night_after_the_quiet_hours() -> None:
    out = CliRunner().invoke(app, ["backup", "timer", "-i", str(GOOD)]).stdout
    assert f'tram backup night --inventory "{GOOD.resolve()}"' in out
    assert "OnCalendar=*-*-* 22:30:00 UTC" in out


def test_what_could_not_be_pruned_is_not_called_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(_inventory: Path, names: list[str], words: list[str]) -> list[Any]:
        asked.append((words[0], list(names)))
        good = backup.Told("a-srv1", {"archives": 3})
        return [good, backup.Told("b-srv1", problem=Tampered("b-srv1: gone"))] if words == ["prune"] else [good]

    monkeypatch.setattr(backup, "_ask", ask)
    ran = CliRunner().invoke(app, ["backup", "night", "--json"])
    assert ran.exit_code == 1
    assert asked == [("prune", []), ("check", ["a-srv1"])]
    assert [one["tampered"] for one in json.loads(ran.stdout)] == [True, False]
