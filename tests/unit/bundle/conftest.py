"""The project tests of bundles work in."""

from __future__ import annotations

from pathlib import Path

import pytest

from .bench import Bench, set_up


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty project with the lab's register."""
    return set_up(tmp_path / "project")
