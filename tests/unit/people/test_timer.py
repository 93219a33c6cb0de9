"""The figures of the funnel each night: what systemd is told."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from tram.cli.main import app
from tram.core.errors import BadInput

from ..register.bad_register import GOOD


def test_the_timer_calls_the_report_with_the_place_of_the_figures(tmp_path: Path) -> None:
    out = CliRunner().invoke(app, ["accounts", "timer", "-i", str(GOOD), "--metrics", str(tmp_path / "a.prom")]).stdout
    assert f'tram accounts report --inventory "{GOOD.resolve()}" "--metrics" "{tmp_path / "a.prom"}"' in out
    assert "OnCalendar=*-*-* 20:30:00 UTC" in out


def test_a_folder_that_is_not_there_is_named_before_a_unit_is_written(tmp_path: Path) -> None:
    words = ["accounts", "timer", "-i", str(GOOD), "--install", "--metrics", str(tmp_path / "no/a.prom")]
    ran = CliRunner().invoke(app, words)
    assert isinstance(ran.exception, BadInput)
    assert ran.exception.message == f"{tmp_path / 'no'}: no such folder"
