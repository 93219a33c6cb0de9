"""A ledger and sites of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tram.ledger import Ledger

from .site import Sites


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path}/ledger.db")
    yield opened
    opened.close()


@pytest.fixture
def sites(tmp_path: Path) -> Sites:
    root = tmp_path / "sites"
    root.mkdir()
    return Sites(root)
