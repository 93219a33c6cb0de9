"""A handler that was notified runs, whatever becomes of the run that notified it."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from .conftest import Project

pytestmark = pytest.mark.slow


def test_the_next_run_runs_a_handler_that_a_killed_run_owes(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWED_SECONDS", "60")
    _kill_during(project, "Takes its time")
    assert (project.run / "work/config").read_text() == "new\n"
    assert not (project.run / "work/ran").exists()
    owed = json.loads((project.run / "notified.json").read_text())["owed"]
    assert [entry["handler"] for entry in owed] == ["Restart by name", "restart topic"]

    monkeypatch.setenv("OWED_SECONDS", "0")
    told = project.ours("owed.yml")
    assert told.code == 0, told.output
    assert _ran(project) == ["chained", "late", "name", "topic"]
    assert sum(event["kind"] == "note" for event in told.own_events) == 2
    assert not (project.run / "notified.json").exists()

    again = project.ours("owed.yml")
    assert again.stats["site1"]["changed"] == 0


def test_a_run_that_fails_still_owes_its_handlers(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWED_FAIL", "yes")
    assert project.ours("owed.yml").code == 2
    assert not (project.run / "work/ran").exists()
    monkeypatch.setenv("OWED_FAIL", "no")
    told = project.ours("owed.yml")
    assert told.code == 0, told.output
    assert _ran(project) == ["chained", "late", "name", "topic"]


def test_a_task_killed_before_it_could_say_that_it_changed_something_owes_its_handlers_too(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change is on the disk, the result was never reported: nobody but the next run can restart the service."""
    monkeypatch.setenv("OWED_VALIDATE", "sh -c 'sleep 60' %s")
    _kill_during(project, "Changes once", wait_for=project.run / "notified.json.now")
    assert not (project.run / "notified.json").exists()
    (project.run / "work/config").write_text("new\n")
    (project.run / "work/config").chmod(0o644)

    monkeypatch.delenv("OWED_VALIDATE")
    told = project.ours("owed.yml")
    assert told.code == 0, told.output
    assert _ran(project) == ["chained", "late", "name", "topic"]


def test_a_dry_run_owes_nothing(project: Project) -> None:
    project.ours("owed.yml", "--check")
    assert not (project.run / "notified.json").exists()


def _kill_during(project: Project, task: str, wait_for: Path | None = None) -> None:
    process = project.start("owed.yml")
    record = project.run / "record.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        begun = record.exists() and f'"{task}"' in record.read_text()
        if begun and (wait_for is None or wait_for.exists()):
            break
        time.sleep(0.1)
    else:
        pytest.fail(f"task {task} did not begin")
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def _ran(project: Project) -> list[str]:
    return sorted((project.run / "work/ran").read_text().split())
