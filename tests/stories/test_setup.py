"""Set-up says what a machine lacks, in one line, before it touches anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tram.core.run import run

from ..conftest import REPO

pytestmark = [pytest.mark.lab, pytest.mark.apart]


@pytest.mark.parametrize(
    ("over", "missing"),
    [
        ("/usr/lib/os-release", "Debian 12 or 13 (this is other-1)"),
        ("/proc/filesystems", "overlayfs in the kernel"),
    ],
)
def test_a_machine_that_cannot_carry_the_lab_is_told_why_and_left_alone(
    over: str, missing: str, tmp_path: Path
) -> None:
    false = tmp_path / "false"
    false.write_text("ID=other\nVERSION_ID=1\n")
    # In a mount namespace of its own: the machine itself is not changed. No modprobe there, or it would find overlay.
    hide = f"mount --bind {false} {over} && mount --bind /bin/false $(command -v modprobe || echo /bin/false)"
    ran = run(["unshare", "--mount", "sh", "-c", f"{hide}; exec {REPO}/scripts/setup.sh"], check=False)
    assert ran.code == 2
    assert ran.stdout == ""
    assert ran.stderr.count("\n") == 1
    assert missing in ran.stderr
