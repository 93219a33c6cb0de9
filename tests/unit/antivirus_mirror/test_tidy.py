"""The mirror's disk stays within its bound, and what is needed stays on it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

TIDY = Path(__file__).parents[3] / "roles/mirror/files/tidy.py"
KB = 100_000


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """The mirror's directory."""
    return tmp_path / "mirror"


def put(path: Path, age: float, size: int = KB) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(size))
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def tidy(top: Path, most: int, *more: str, keep_free: int = 0) -> subprocess.CompletedProcess[str]:
    words = ["--max-bytes", str(most), "--keep-free-bytes", str(keep_free), "--warn-percent", "80"]
    return subprocess.run([sys.executable, TIDY, top, *words, *more], capture_output=True, text=True, check=False)


def test_the_oldest_that_nobody_needs_go_first(top: Path) -> None:
    needed = [put(top / "signatures/files/a", 9e6), put(top / "clamav/main.cvd", 9e6)]
    named = put(top / "wheels/dung.whl", 8e6)
    (top / "wheels/named.txt").write_text("dung.whl\n", encoding="utf-8")
    old, young = put(top / "clamav/daily-1.cdiff", 7e6), put(top / "bundles/b", 10)
    assert tidy(top, 5 * KB, "--dry").returncode == 0
    assert old.exists()
    done = tidy(top, 5 * KB)
    assert (done.returncode, old.exists(), young.exists()) == (0, False, True)
    assert all(path.exists() for path in [*needed, named])
    assert "1 old files removed" in done.stdout


def test_it_warns_before_it_is_full_and_says_when_it_is(top: Path) -> None:
    put(top / "signatures/files/a", 1)
    assert tidy(top, 20 * KB).stdout == ""
    assert "<4>" in tidy(top, KB + 20_000).stdout
    full = tidy(top, KB // 2)
    assert (full.returncode, full.stdout.startswith("<3>")) == (3, True)
    assert tidy(top, 20 * KB, keep_free=10**18).returncode == 3


def test_what_dead_writers_left_goes_after_a_day(top: Path) -> None:
    dead, alive = put(top / "signatures/.release.json.new", 9e5), put(top / "signatures/.a.new", 5)
    tidy(top, 20 * KB)
    assert (dead.exists(), alive.exists()) == (False, True)
