"""The watch hears, tries again in time, kills what hangs; the status never shows more than is known."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tram_antivirus import state, status, update, watch

from .conftest import Hub, Scanner

pytestmark = pytest.mark.slow


@pytest.fixture
def dig(settings: Any, tmp_path: Path) -> Any:
    """What a name server says."""

    def say(text: str) -> None:
        program = tmp_path / "bin/dig"
        program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{text}\nEOF\n", encoding="utf-8")
        program.chmod(0o755)

    return say


@pytest.mark.parametrize(
    ("said", "serial"),
    [
        ('"v=1 serial=2026112201"', 2026112201),
        ('"v=1 serial=7"\n"v=1 serial=9"', 9),
        ('"v=2 serial=9"', None),
        ('"v=1 serial=-9"', None),
        ('"v=1 serial=99999999999999999999"', None),
        (";; communications error", None),
        ("", None),
    ],
)
def test_an_announcement_is_read_or_passed_over(said: str, serial: int | None, dig: Any) -> None:
    dig(said)
    assert watch.announced("release.signatures.tinh.example") == serial


def ear(settings: Any, monkeypatch: pytest.MonkeyPatch, codes: list[int]) -> tuple[Any, list[tuple[str, ...]]]:
    """A watch whose fetches end with these codes at once."""

    started: list[tuple[str, ...]] = []

    def own(*command: str) -> Any:
        started.append(command)
        process = subprocess.Popen([sys.executable, "-c", f"raise SystemExit({codes.pop(0)})"])
        process.wait()
        return process

    monkeypatch.setattr(watch, "_own", own)
    return watch.Ear(settings), started


def test_what_is_announced_is_fetched_once_and_the_hub_is_asked_now_and_then(
    settings: Any, dig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = settings.release / "state.json"
    dig('"v=1 serial=7"')
    listening, started = ear(settings, monkeypatch, [0] * 9)
    listening.turn()
    assert started == [("fetch", "--spread")]
    state.write(facts, {"active": 7, "reported": 7, "asked": state.now()})
    for _ in range(3):
        listening.turn()
    assert len(started) == 1
    dig('"v=1 serial=8"')
    listening.turn()
    assert len(started) == 2
    state.write(facts, {"active": 8, "reported": 8, "asked": "2026-01-01T00:00:00Z"})
    listening.turn()
    assert len(started) == 3, "long ago"
    dig("")
    state.write(facts, {"active": 8, "reported": 7, "asked": state.now()})
    listening.turn()
    assert len(started) == 4, "the hub does not know yet"


@pytest.mark.parametrize(("code", "waits"), [(75, [20, 40, 60, 60]), (65, [20, 40, 80, 160, 320, 600, 600])])
def test_after_failures_it_waits_longer_up_to_a_bound(
    code: int, waits: list[int], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening, _ = ear(settings, monkeypatch, [])
    for wait in waits:
        listening.ended(code)
        assert round(listening.not_before - time.monotonic()) == wait
    listening.ended(0)
    assert listening.not_before <= time.monotonic()


def test_a_new_announcement_is_tried_at_once(settings: Any, dig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    listening, started = ear(settings, monkeypatch, [65, 65, 65])
    dig('"v=1 serial=7"')
    listening.turn()
    listening.turn()
    listening.turn()
    assert len(started) == 1, "it waits after the refusal"
    dig('"v=1 serial=8"')
    listening.turn()
    assert len(started) == 2


def test_a_scanner_that_hangs_is_killed_and_one_that_reads_is_not(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung = subprocess.Popen(["sleep", "100"])
    clock, cpu = [0.0], [0.0]
    monkeypatch.setattr(watch, "scanner", lambda: hung.pid)
    monkeypatch.setattr(watch, "cpu_seconds", lambda pid: cpu[0])
    monkeypatch.setattr(watch.time, "monotonic", lambda: clock[0])
    guard = watch.Guard(settings)

    def after(seconds: float, computing: float) -> int | None:
        clock[0] += seconds
        cpu[0] += computing
        guard.turn()
        return hung.poll()

    assert after(0, 0) is None
    assert after(59, 0) is None
    assert after(100, 100) is None, "it computes: it reads its signatures"
    assert after(400, 1) is None
    guard.silent_since = None
    assert after(0, 0) is None
    after(61, 0)
    assert hung.wait(timeout=10) == -9


def test_a_scanner_that_answers_is_left_alone(settings: Any, scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> None:
    guard = watch.Guard(settings)
    guard.silent_since = -1e9
    guard.turn()
    assert guard.silent_since is None


def test_status_shows_what_is_known_and_nothing_else(
    settings: Any, hub: Hub, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "scanner", lambda: 0)
    empty = status.status(settings)
    assert (empty["installed"], empty["active"], empty["scanned"], empty["findings"]) == (None, None, None, [])
    hub.publish(7)
    update.fetch(settings)
    seen = status.status(settings)
    assert (seen["installed"], seen["active"], seen["engine"], seen["error"]) == (7, 7, "1.4.3", None)
    scanner.sock.close()
    settings.socket.unlink()
    silent = status.status(settings)
    assert (silent["installed"], silent["active"], silent["clamd"]["answers"]) == (7, None, False)
