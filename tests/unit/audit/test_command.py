"""`tram audit` as it is called: what goes together, and who may read what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tram.cli.main import app
from tram.core.errors import BadInput
from tram_audit.audit import keep

from .bare import HOST, REPO, lab
from .test_results import audit

HERE = ("-i", str(REPO / "inventories/lab"), "--security", str(REPO / "security"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where audits of the lab are kept, one of them there."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    found = tmp_path / "tram" / lab().state_dir.name / "audits"
    keep(audit(), found)
    return found


@pytest.mark.usefixtures("place")
def test_a_trend_is_json_too() -> None:
    ran = CliRunner().invoke(app, ["audit", *HERE, "--trend", "3", "--limit", HOST, "--json"])
    found = json.loads(ran.stdout)
    assert (ran.exit_code, found["format"], list(found["hosts"])) == (0, "tram-audit-trend/1", [HOST])
    [point] = found["hosts"][HOST]
    assert (point["at"], point["seen"], point["counts"]["waived"]) == ("2026-11-21T10:00:00.000Z", True, 1)
    assert {"host": HOST, "control": "ssh-no-root", "since": point["at"], "audits": 1} in found["standing"]


@pytest.mark.usefixtures("place")
def test_a_trend_writes_no_report(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["audit", *HERE, "--trend", "3", "--html", str(tmp_path / "page.html")])
    assert isinstance(ran.exception, BadInput)
    assert not (tmp_path / "page.html").exists()


@pytest.mark.usefixtures("place")
def test_a_report_is_its_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tram.cli.audit.run_audit", lambda *_, **__: audit(minute=1))
    reports = {word: tmp_path / f"report.{word}" for word in ("html", "csv", "sarif", "oscal")}
    words = [word for kind, path in reports.items() for word in (f"--{kind}", str(path))]
    ran = CliRunner().invoke(app, ["audit", *HERE, "--limit", HOST, *words])
    assert ran.exit_code == 1, ran.output
    assert {path.stat().st_mode & 0o777 for path in reports.values()} == {0o600}
