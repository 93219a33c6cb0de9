"""A scanner that dies again and again waits longer before it is started again; one that was stopped does not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[3] / "roles/antivirus/files/tram-antivirus/clamd-ended"
NOW = 1_800_000_000

Ended = Callable[..., str]


@pytest.fixture
def ended(tmp_path: Path) -> Ended:
    """What is waited when clamd ended in that way, so many seconds from the beginning; "" for nothing."""
    for name, text in (("sleep", 'echo "$1" >>"$RUNTIME_DIRECTORY/slept"'), ("date", 'echo "$NOW"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)

    def run(how: str, at: int = 0) -> str:
        slept = tmp_path / "slept"
        slept.unlink(missing_ok=True)
        given = {"SERVICE_RESULT": how, "RUNTIME_DIRECTORY": str(tmp_path), "NOW": str(NOW + at)}
        ran = subprocess.run(
            ["sh", PROGRAM], env={"PATH": f"{tmp_path}:{os.environ['PATH']}", **given},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (ran.returncode, ran.stderr) == (0, "")
        return slept.read_text().strip() if slept.exists() else ""

    return run


def test_each_death_within_a_quarter_of_an_hour_costs_more_up_to_a_minute(ended: Ended) -> None:
    assert [ended("oom-kill", at) for at in range(0, 90, 10)] == ["", "", "5", "10", "20", "40", "60", "60", "60"]


def test_deaths_of_long_ago_count_no_more(ended: Ended) -> None:
    for at in range(5):
        ended("signal", at)
    assert ended("signal", 890) == "40"
    assert ended("signal", 3000) == ""


def test_stopped_on_purpose_all_is_forgotten(ended: Ended) -> None:
    for at in range(5):
        ended("signal", at)
    assert ended("success", 6) == ""
    assert ended("signal", 7) == ""


def test_a_clock_that_was_set_back_holds_nothing_up(ended: Ended) -> None:
    for at in range(5):
        ended("signal", at)
    assert ended("signal", -10_000) == ""
