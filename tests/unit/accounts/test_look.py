"""The module `accounts_look`: what it asks of homes that are not as homes are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ...role_module import load

NOBODY = 65534


@pytest.mark.parametrize(("owner", "asked"), [(os.geteuid() or 1000, True), (NOBODY, False)], ids=["own", "another's"])
def test_a_home_that_is_not_the_person_s_own_is_left_alone(tmp_path: Path, owner: int, asked: bool) -> None:
    module = load("tram_test_accounts_look", "accounts_policy/library/accounts_look.py")
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(home, 1000, 1000)
    look = module.Look({"state": str(tmp_path)})
    look.passwd = [["lan", "x", str(owner), "100", "", str(home), "/bin/bash"]]
    expected = [{"path": str(home), "mode": "0750", "if_there": True}] if asked else []
    assert look.homes() == expected
