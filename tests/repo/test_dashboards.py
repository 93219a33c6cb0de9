"""Dashboards for Grafana are what the code makes, and ask only for series that the watch has."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
MADE: list[tuple[Path, str]] = list(runpy.run_path(str(REPO / "scripts/dashboards"))["files"]())

each_file = pytest.mark.parametrize(("path", "text"), MADE, ids=[path.stem for path, _ in MADE])


@each_file
def test_a_dashboard_is_what_the_code_makes(path: Path, text: str) -> None:
    assert path.read_text(encoding="utf-8") == text, "run scripts/dashboards"


@each_file
def test_every_panel_asks_something_of_the_chosen_source(path: Path, text: str) -> None:
    panels = json.loads(text)["panels"]
    assert panels
    for panel in panels:
        assert panel["datasource"]["uid"] == "${source}"
        assert [target for target in panel["targets"] if re.search(r"\b(tram[_:]|node_|up|ALERTS)", target["expr"])]
