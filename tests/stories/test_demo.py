"""Two commands from nothing to proven mail; the second time nothing changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tram.lab.lab import down

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(5400)]

REPO = Path(__file__).parents[2]
NAME = f"demo{os.getpid() % 100000}"


def demo(*words: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, what it tells as JSON, and what it said meanwhile."""
    argv = [Path(sys.executable).with_name("tram"), "demo", "--json", "--name", NAME, *words]
    done = subprocess.run(argv, cwd=REPO, capture_output=True, text=True, timeout=2700, check=False)
    print(done.stderr)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


@pytest.fixture(scope="module", autouse=True)
def ended() -> Iterator[None]:
    yield
    down(NAME)


@pytest.mark.parametrize("way", [(), ("--push",)], ids=["delivered", "pushed"])
def test_the_demo_proves_every_service_and_the_second_time_changes_nothing(way: tuple[str, ...]) -> None:
    down(NAME)
    code, told, said = demo(*way)
    assert code == 0, said[-4000:]
    assert {proof["service"] for proof in told["proofs"]} >= {"mail", "webmail"}
    assert [proof for proof in told["proofs"] if proof["ok"] is not True] == []
    assert sum(counts["changed"] for counts in told["stats"].values()) > 0
    code, told, said = demo(*way)
    assert code == 0, said[-4000:]
    assert {host: counts["changed"] for host, counts in told["stats"].items()} == dict.fromkeys(told["stats"], 0)
