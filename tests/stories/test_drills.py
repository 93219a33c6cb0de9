"""The drills that people play on the lab go as their script says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tram.core.run import run
from tram.lab.drill import drills
from tram.lab.lab import Lab

from ..conftest import REPO
from ..person import wait_until
from .test_replace import kept_lab

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(5400)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A district with mail, and the hub with its own."""
    with kept_lab(tmp_path_factory.mktemp("province"), "drills") as found:
        yield found


@pytest.mark.parametrize("name", sorted(drills()))
def test_a_drill_goes_as_written_and_leaves_the_lab_as_it_was(lab: Lab, name: str) -> None:
    words = [REPO / ".venv/bin/tram", "drill", name, "--lab", lab.paths.name, "--json"]
    ran = run(words, check=False)
    looks = [one for one in json.loads(ran.stdout)["steps"] if one["look"]]
    assert [one for one in looks if not one["held"]] == []
    assert ran.code == 0, ran
    print(f"{name}: {len(looks)} looks as expected, the longest after {max(one['seconds'] for one in looks):.0f} s")
    assert not any(one.line and one.line.cut for one in (lab.link("huong-khe"),))
    # What had no power may still be starting other things than the drill looked at.
    up = {"running", "degraded"}
    wait_until("all are up", lambda: {host.state for host in lab.hosts()} <= up, timedelta(minutes=3))
