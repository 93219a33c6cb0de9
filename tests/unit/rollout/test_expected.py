"""What a rebuild will take: by the line before the first, by the last one from then on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from tram.register import load
from tram.rollout.expected import GUESS_BYTES, GUESS_SECONDS, Measured, expect, last_like, measured, remember

from ...conftest import LAB

LINK = next(site.link for site in load(LAB).sites if site.link and site.link.loss)
CONTENTS = {"line_bytes": 2_000_000, "services": {"host": [{"path": "/etc"}], "mail": [{"path": "/var/vmail"}]}}
LAST = Measured("huong-khe-srv1", "2026-11-22T15:00:00Z", 300.0, 40_000_000, 12.0)


def report(came: int, restore: float, *counted: int) -> dict[str, Any]:
    steps: dict[str, Any] = {"roles": {"said": {}, "seconds": 290.0, "at": "x"}}
    steps["restore"] = {"said": {"mail": {"bytes_on_line": came}}, "seconds": restore, "at": LAST.at}
    steps |= {name: {"said": n, "seconds": 5.0} for name, n in zip(("before", "after"), counted, strict=False)}
    return {"done": steps}


def test_the_first_is_a_guess_by_the_line() -> None:
    found = expect(CONTENTS, LINK, None)
    assert found.like == ""
    assert found.bytes == 2_000_000 + GUESS_BYTES
    assert found.seconds > GUESS_SECONDS + found.restore_seconds
    slow = replace(LINK, down_bps=LINK.down_bps // 4, rtt=timedelta(milliseconds=5), loss=0.0)
    assert expect(CONTENTS, slow, None).restore_seconds > 2_000_000 * 8 / slow.down_bps


def test_the_next_is_as_the_last_but_for_its_own_bytes() -> None:
    one, twice = expect(CONTENTS, LINK, LAST), expect(CONTENTS | {"line_bytes": 4_000_000}, LINK, LAST)
    assert one.like == "huong-khe-srv1, 2026-11-22T15:00:00Z"
    assert one.bytes == 42_000_000
    assert one.seconds - one.restore_seconds == twice.seconds - twice.restore_seconds == 300.0
    assert 1.8 < (twice.restore_seconds - 12) / (one.restore_seconds - 12) <= 2.0


def test_what_was_measured_is_what_it_took_apart_from_bringing_back() -> None:
    found = measured("a-srv1", report(2_000_000, 60.0, 100, 42_000_100), LINK)
    assert (found.apart_seconds, found.apart_bytes) == (300.0, 40_000_000)
    assert 0 < found.waited_seconds < 60.0
    # Its line is as fast as the forecast's, so the same again is foretold.
    assert abs(expect(CONTENTS, LINK, found).restore_seconds - 60.0) < 1
    assert measured("a-srv1", report(2_000_000, 60.0, 100, 5), LINK).apart_bytes is None, "started anew meanwhile"


def test_a_hosts_own_rebuild_is_taken_before_a_newer_one_of_another(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("TRAM_SECRETS", str(tmp_path))
    province = load(LAB)
    (province.secrets_dir / "backup/rebuild").mkdir(parents=True)
    assert last_like(province, "huong-khe-srv1") is None
    other = replace(LAST, host="so-noi-vu-srv1", at="2026-12-22T15:00:00Z")
    for one in (LAST, other):
        remember(province, one)
    assert last_like(province, "huong-khe-srv1") == LAST
    assert last_like(province, "trung-tam-hub1") == other
