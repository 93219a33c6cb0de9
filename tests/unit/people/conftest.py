"""A province to put people into, and a directory of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tram.register import Province, load

from ..register.bad_register import GOOD
from .slapd import LocalDirectory, slapd


@pytest.fixture(scope="session")
def province() -> Province:
    return load(GOOD)


@pytest.fixture(scope="session")
def large() -> Province:
    """The example province: more agencies than a test needs."""
    return load(Path(__file__).parents[3] / "inventories/ha-tinh")


@pytest.fixture
def door(province: Province) -> Iterator[LocalDirectory]:
    with slapd(province) as found:
        yield found


@pytest.fixture
def large_door(large: Province) -> Iterator[LocalDirectory]:
    with slapd(large) as found:
        yield found
