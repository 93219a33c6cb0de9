"""What a host says of its antivirus is read strictly: what does not read as a status is unknown, never green."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from tram.look import Looked, Seen
from tram.look.antivirus import read

STATUS: dict[str, Any] = {
    "host": "huong-khe-srv1",
    "engine": "1.4.6",
    "profile": "province",
    "profile_why": "2048 MB",
    "installed": 7,
    "active": 7,
    "made": "2026-11-22T05:00:00Z",
    "age_seconds": 60,
    "official": None,
    "heard": None,
    "asked": None,
    "error": None,
    "scanned": None,
    "findings": [
        {"at": "2026-11-22T05:00:00Z", "path": "/srv/a\\xff", "name": "Tinh.A", "action": "quarantined", "id": "3f"}
    ],
    "clamd": {"rss_bytes": 20_000_000, "started": "2026-11-22T05:00:00Z", "answers": True},
    "on_access": "off",
}


def looked(text: str, code: int = 0, error: str = "", ended: str = "") -> Looked:
    return Looked("huong-khe-srv1", error, {} if error else {"antivirus": Seen(text, code, ended)})


def test_a_status_is_read() -> None:
    found = read(looked(json.dumps(STATUS)))
    assert (found.unknown, found.installed, found.active, found.age) == ("", 7, 7, timedelta(seconds=60))
    assert (found.findings[0].name, found.findings[0].action, found.rss_bytes) == ("Tinh.A", "quarantined", 20_000_000)


def test_a_scanner_that_does_not_answer_has_nothing_in_effect() -> None:
    assert read(looked(json.dumps(STATUS | {"active": None, "clamd": None}))).active is None


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (looked("", error="it does not answer"), "it does not answer"),
        (looked("", 127, ended="the program it asks is not on this host"), "has no tram-antivirus"),
        (looked("", 1), "ended with 1"),
        (looked(json.dumps(STATUS), ended="it took too long"), "it took too long"),
        (looked("{"), "does not read as a status"),
        (looked("[]"), "does not read as a status"),
        (looked(json.dumps({"active": 7})), "does not read as a status"),
        (looked(json.dumps(STATUS | {"active": "seven"})), "does not read as a status"),
        (looked(json.dumps(STATUS | {"findings": [{"at": "yesterday"}]})), "does not read as a status"),
    ],
)
def test_what_does_not_read_as_a_status_is_unknown(answer: Looked, why: str) -> None:
    found = read(answer)
    assert why in found.unknown
    assert (found.active, found.installed, found.findings) == (None, None, ())


def test_what_a_host_says_is_shown_never_obeyed() -> None:
    found = {**STATUS["findings"][0], "path": "/srv/\x1b[2Ja\u202eb"}
    seen = read(looked(json.dumps(STATUS | {"findings": [found], "profile": "x\x1b]0;y\x07"})))
    assert "\x1b" not in seen.findings[0].path + str(seen.profile)
    assert "\u202e" not in seen.findings[0].path
