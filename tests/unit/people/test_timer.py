"""The figures of the funnel each night and of documents each hour: what systemd is told."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from tram.cli.main import app
from tram.core.errors import BadInput
from tram.register import load

from ...conftest import LAB
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


def test_documents_are_counted_each_hour_with_a_file_for_each_site() -> None:
    province = load(LAB.with_name("ha-tinh"))
    site = next(one.code for one in province.sites for host in one.hosts if "documents" in host.functions)
    out = CliRunner().invoke(app, ["documents", "timer", site, "-i", str(province.folder)]).stdout
    place = f"/var/lib/prometheus/node-exporter/tram_documents_{site}.prom"
    assert f'tram documents report --inventory "{province.folder.resolve()}" "{site}" "--metrics" "{place}"' in out
    assert "OnCalendar=hourly" in out
