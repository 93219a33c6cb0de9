"""A host of its own for each test: a state directory, a small /etc to guard, and a centre's real key."""

from __future__ import annotations

from pathlib import Path

import pytest

from .host import Key, Site, make_key


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return make_key(tmp_path_factory.mktemp("centre"))


@pytest.fixture
def site(tmp_path: Path, key: Key) -> Site:
    """A host that knows the centre's key."""
    found = Site(tmp_path, key)
    found.lay_out(f'centre@lab namespaces="tram-order" {key.public}')
    return found
