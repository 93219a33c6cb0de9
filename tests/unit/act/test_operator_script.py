"""What operator.sh says about this very machine, asked only to look (`check`): it must change nothing."""

from __future__ import annotations

import os
import subprocess
from importlib import resources

import pytest

SCRIPT = resources.files("tram.act").joinpath("operator.sh").read_text(encoding="utf-8")
ACCOUNT = "tram-is-not-here"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="operator.sh runs as root only")


def ask(*words: str, text: str = SCRIPT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-s", "--", *words], input=text, capture_output=True, text=True, check=False)


def test_it_says_what_is_due_and_does_nothing() -> None:
    seen = ask("check", ACCOUNT, "ssh-ed25519 AAAATEST tram@test")
    assert (seen.returncode, seen.stderr) == (0, "")
    assert [line for line in seen.stdout.splitlines() if line != "change packages"] == [
        "change account",
        "change sudo",
        "change key",
    ]
    assert subprocess.run(["getent", "passwd", ACCOUNT], check=False, capture_output=True).returncode == 2


@pytest.mark.parametrize("name", ["root", "daemon"])
def test_an_account_of_the_systems_own_is_never_taken(name: str) -> None:
    seen = ask("apply", name, "ssh-ed25519 AAAATEST tram@test")
    assert seen.returncode == 1
    assert seen.stderr.startswith(f"the account {name} is there already and is the system's own (uid ")
    assert seen.stdout == ""


def test_a_script_cut_off_on_the_way_does_nothing() -> None:
    for part in (len(SCRIPT) // 3, len(SCRIPT) // 2, SCRIPT.rindex("main")):
        seen = ask("apply", ACCOUNT, "ssh-ed25519 AAAATEST tram@test", text=SCRIPT[:part])
        assert "change" not in seen.stdout
    assert subprocess.run(["getent", "passwd", ACCOUNT], check=False, capture_output=True).returncode == 2
