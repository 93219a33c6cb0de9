"""A site cut off for an hour: nothing that waits meanwhile waits longer for having waited long."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest

from tram.lab.lab import Lab

from ..person import wait_until
from .test_outbreak import CAUGHT_UP, DISTRICT, DISTRICT_HOST, declare, statuses

pytestmark = [pytest.mark.lab, pytest.mark.long]

CUT = timedelta(hours=1)


def test_a_site_cut_off_for_an_hour_catches_up_within_two_minutes(hardened: Lab, tmp_path: Path) -> None:
    sample = tmp_path / "mẫu.bin"
    sample.write_bytes(f"harmless {time.time_ns()}\n".encode() * 40)
    hardened.cut(DISTRICT)
    try:
        began = time.monotonic()
        # At the beginning, so that its name server has missed the announcement for the whole of it.
        _code, hosts, serial = declare(sample, f"Tinh.Thu.{time.time_ns() % 10**8}", "--no-sweep", "--wait", "30")
        assert hosts[DISTRICT_HOST] is None
        time.sleep(CUT.total_seconds() - (time.monotonic() - began))
    finally:
        hardened.mend(DISTRICT)
    mended = time.monotonic()
    wait_until("it has caught up", lambda: statuses()[DISTRICT_HOST]["active"] == serial, CAUGHT_UP)
    print(f"cut for {CUT}: in effect {time.monotonic() - mended:.0f} s after the line's return")
