"""The lab that role tests and stories share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tram.lab.lab import Lab, down, up

REPO = Path(__file__).parent.parent
LAB = REPO / "inventories/lab"


@pytest.fixture(scope="session")
def repo() -> Path:
    """The checkout."""
    return REPO


@pytest.fixture(scope="session")
def province_lab() -> Iterator[Lab]:
    """The default province in a box, bare hosts, for the whole session.

    $TRAM_TEST_LAB names a lab of yours that is up already: it is used as it is and left standing.
    """
    if mine := os.environ.get("TRAM_TEST_LAB"):
        os.environ["TRAM_LAB"] = mine
        yield up(LAB, mine, print)
        return
    name = f"test{os.getpid() % 100000}"
    os.environ["TRAM_LAB"] = name
    try:
        yield up(LAB, name, print)
    finally:
        down(name)
