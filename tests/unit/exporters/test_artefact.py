"""One artefact for hosts: up to date, the same bytes anywhere, runs with nothing but Debian's own packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tram_exporters.__main__ import due

from .conftest import REPO

BUILD = REPO / "scripts/build-exporters"
ARTEFACT = REPO / "roles/exporter/files/tram-exporters.pyz"


def test_the_artefact_is_built_from_these_sources() -> None:
    said = subprocess.run([sys.executable, BUILD, "--check"], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (0, "up to date\n"), said.stderr


def test_it_is_small() -> None:
    assert ARTEFACT.stat().st_size < 150_000


@pytest.mark.parametrize(("age", "is_due"), [(30, False), (50, True), (-400, True), (None, True)])
def test_an_exporter_is_due_by_the_age_of_its_file(tmp_path: Path, age: float | None, is_due: bool) -> None:
    file = tmp_path / "tram_x.prom"
    now = time.time()
    if age is not None:
        file.write_text("")
        os.utime(file, (now - age, now - age))
    assert due(file, 60, now) is is_due


def run(folder: Path, settings: str) -> subprocess.CompletedProcess[str]:
    (folder / "settings.json").write_text(settings)
    given = ["--settings", folder / "settings.json", "--to", folder, "--state", folder, "--all"]
    env = {**os.environ, "PATH": str(folder)}
    return subprocess.run([sys.executable, ARTEFACT, *given], capture_output=True, text=True, check=False, env=env)


@pytest.mark.slow
def test_it_runs_by_itself_and_writes_a_file_for_each(tmp_path: Path) -> None:
    said = run(tmp_path, json.dumps({"every_seconds": {"mail": 60, "hardware": 120, "antivirus": 60}}))
    assert said.returncode == 0, said.stderr
    assert sorted(path.name for path in tmp_path.glob("*.prom")) == [
        "tram_antivirus.prom",
        "tram_hardware.prom",
        "tram_mail.prom",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("settings", ["{", "[]", '{"every_seconds": {"weather": 60}}'])
def test_wrong_settings_are_said_and_write_nothing(tmp_path: Path, settings: str) -> None:
    said = run(tmp_path, settings)
    assert (said.returncode, len(said.stderr.splitlines())) == (2, 1)
    assert list(tmp_path.glob("*.prom")) == []
