"""Role integrity: accepting a database, also when the power goes in the middle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ...role_module import load


def test_there_is_a_whole_database_wherever_the_power_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("tram_test_integrity", "integrity/files/integrity.py")
    (tmp_path / "aide.db").write_text("old", encoding="utf-8")
    stock = Path.replace
    for renames in range(3):
        (tmp_path / "aide.db.new").write_text("new", encoding="utf-8")
        left = [renames]

        def cut(self: Path, target: Path, left: list[int] = left) -> Path:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return stock(self, target)

        monkeypatch.setattr(Path, "replace", cut)
        try:
            module.accept(tmp_path, 0, 0.0)
        except KeyboardInterrupt:
            assert (tmp_path / "aide.db").read_text(encoding="utf-8") in ("old", "new")
    kept = json.loads((tmp_path / "accepted.json").read_text(encoding="utf-8"))
    assert kept["sha256"] == module.digest(tmp_path / "aide.db")
