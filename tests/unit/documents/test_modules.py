"""What the role brings to Mayan is every module there is: one that is left out keeps the whole from starting."""

from __future__ import annotations

from pathlib import Path

import yaml

ROLE = Path(__file__).parents[3] / "roles/documents"


def test_every_module_is_brought_and_each_that_is_brought_is_there() -> None:
    brought = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))["__documents_modules"]
    top = ROLE / "files/tram-mayan"
    there = [path.relative_to(top).with_suffix("").as_posix() for path in top.rglob("*.py")]
    assert sorted(brought) == sorted(there)
