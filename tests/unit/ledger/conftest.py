"""Every test of the ledger runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import cluster, database
from .hand import Hand


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with cluster() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a ledger that is not there yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new/ledger.db"
        return
    with database(request.getfixturevalue("postgres"), f"t{secrets.token_hex(6)}") as address:
        yield address


@pytest.fixture
def hand(url: str) -> Iterator[Hand]:
    """A ledger with a clock that a test sets, and one run in it."""
    made = Hand(url)
    yield made
    made.ledger.close()
