"""A host of its own for each test: a state directory, a small /etc to guard, and a centre's real key."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .host import HERE, RUNTIME, Key, Site, make_key


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return make_key(tmp_path_factory.mktemp("centre"))


@pytest.fixture
def site(tmp_path: Path, key: Key) -> Site:
    """A host that knows the centre's key and has one runtime; its executor is tests/unit/site/scripted_executor.py."""
    found = Site(tmp_path, key)
    for directory in (found.root, found.system / "etc/ssh", tmp_path / f"runtimes/{RUNTIME}"):
        directory.mkdir(parents=True)
    (found.root / "allowed_signers").write_text(f'centre@lab namespaces="tram-order" {key.public}')
    (found.system / "etc/ssh/sshd_config").write_text("Port 22\n")
    (found.system / "etc/hostname").write_text("srv1\n")
    found.configure(
        province="lab",
        site="huong-khe",
        host="huong-khe-srv1",
        system=str(found.system),
        runtimes=str(tmp_path / "runtimes"),
        executor=[sys.executable, str(HERE / "scripted_executor.py")],
    )
    return found
