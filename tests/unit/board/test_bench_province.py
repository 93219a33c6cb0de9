"""The benchmark's sites tell all that a judge needs, or it measures a province of which nothing is known."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from tram_board.readings import BY_HOST

SAID_ONLY_IN_TROUBLE = {"reading_failed", "risk_unknown", "md_failed", "findings", "not_reached"}
NOT_WITHOUT_THE_FUNCTION = {"overdue"}
BY_THE_AGENT = {"up"}


@pytest.mark.parametrize(
    "reading", sorted(BY_HOST.keys() - SAID_ONLY_IN_TROUBLE - NOT_WITHOUT_THE_FUNCTION - BY_THE_AGENT)
)
def test_a_site_tells_what_is_asked(reading: str) -> None:
    spec = importlib.util.spec_from_file_location("province", Path(__file__).parents[3] / "bench/board/province.py")
    assert spec
    assert spec.loader
    spec.loader.exec_module(province := importlib.util.module_from_spec(spec))
    told = {line.partition("{")[0].partition(" ")[0] for line in province.page_of(1, "so-001", 1.8e9, 120).splitlines()}
    assert set(re.findall(r"(?:tram|node)_\w+", BY_HOST[reading])) <= told
