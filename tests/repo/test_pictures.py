"""Pictures that are made from code show what the code says now."""

from __future__ import annotations

from pathlib import Path

from tram.proof.map import province_svg
from tram.register import load

REPO = Path(__file__).parents[2]


def test_the_picture_of_the_lab_is_the_register_s(tmp_path: Path) -> None:
    drawn = (REPO / "docs/pictures/lab.svg").read_text(encoding="utf-8")
    assert drawn == province_svg(load(REPO / "inventories/lab")), "run: make docs"
