"""A site may run Debian 13 while its neighbours run 12."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tram.lab.lab import down, up

from ..conftest import LAB

pytestmark = [pytest.mark.lab, pytest.mark.apart]

NAME = f"suite{os.getpid() % 100000}"


def test_a_site_file_that_says_trixie_gets_a_debian_13_host(tmp_path: Path) -> None:
    inventory = tmp_path / "lab"
    shutil.copytree(LAB, inventory)
    site = inventory / "sites/so-noi-vu.yml"
    text = site.read_text(encoding="utf-8")
    assert "suite: bookworm" in text
    site.write_text(text.replace("suite: bookworm", "suite: trixie"), encoding="utf-8")
    try:
        lab = up(inventory, NAME, print)
        assert lab.sh("so-noi-vu-srv1", ["cat", "/etc/debian_version"]).stdout.startswith("13")
        assert lab.sh("huong-khe-srv1", ["cat", "/etc/debian_version"]).stdout.startswith("12")
        assert {host.state for host in lab.hosts()} == {"running"}
    finally:
        down(NAME)
