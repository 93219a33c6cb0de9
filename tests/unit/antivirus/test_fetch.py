"""A host takes what the hub signed, whole or not at all, and says what it did not take and why."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tram_antivirus import install, official, state, status, update
from tram_antivirus import settings as ours

from .conftest import EICAR, Hub, Scanner, line

pytestmark = pytest.mark.slow


def fetch(settings: Any) -> None:
    update.fetch(settings)


def failed(settings: Any, kind: str, act: Callable[[Any], None] = fetch) -> str:
    """What a try fails with: the same text is in the status."""

    with pytest.raises(ours.Failed) as seen:
        act(settings)
    assert type(seen.value).__name__ == kind, seen.value
    assert json.loads((settings.release / "state.json").read_text())["error"] == str(seen.value)
    return str(seen.value)


def files(settings: Any) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in settings.database.iterdir()}


def test_a_release_is_in_effect_and_the_hub_is_told_on_the_same_connection(
    settings: Any, hub: Hub, scanner: Scanner
) -> None:
    hub.publish(7, {"tram-hashes.hsb": line("mã độc", "Tram.Test")})
    fetch(settings)
    assert sorted(files(settings)) == ["tram-canary.hsb", "tram-hashes.hsb"]
    assert update.active(settings) == 7
    assert hub.seen == ["7?profile=province&state=active"]
    assert update.facts(settings)["bytes_received"] > 500


def test_what_is_here_is_asked_for_by_its_etag_and_told_once(settings: Any, hub: Hub, scanner: Scanner) -> None:
    hub.publish(7)
    fetch(settings)
    before = hub.sent
    fetch(settings)
    assert hub.sent == before
    assert len(hub.seen) == 1


def test_a_newer_release_replaces_what_it_does_not_name(settings: Any, hub: Hub, scanner: Scanner) -> None:
    (settings.database / "tram-role.hsb").write_text(line(EICAR, "Tram.Test.EICAR"), encoding="utf-8")
    hub.publish(7, {"tram-old.hsb": line("cũ", "Tram.Old")})
    fetch(settings)
    hub.publish(8, {"tram-new.hsb": line("mới", "Tram.New")})
    fetch(settings)
    assert sorted(files(settings)) == ["tram-canary.hsb", "tram-new.hsb", "tram-role.hsb"]
    assert hub.seen == ["7?profile=province&state=active", "8?profile=province&state=active"]


def test_only_what_concerns_the_profile_is_taken(settings: Any, hub: Hub, scanner: Scanner) -> None:
    text = json.loads(hub.text(7, {"tram-large.hsb": line("lớn", "Tram.Large")}))
    text["files"][1]["profiles"] = ["full"]
    hub.publish(7, files=text["files"])
    fetch(settings)
    assert sorted(files(settings)) == ["tram-canary.hsb"]


def test_a_download_that_broke_goes_on_where_it_broke(settings: Any, hub: Hub, scanner: Scanner) -> None:
    content = "".join(line(str(number), f"Tram.{number}") for number in range(2000))
    hub.publish(7, {"tram-a.hsb": content})
    # The canary's file is small enough to come whole.
    hub.break_at = 50_000
    assert "broke off at 50000 of" in failed(settings, "Unreachable")
    hub.break_at = None
    fetch(settings)
    assert files(settings)["tram-a.hsb"] == content
    assert [asked for _, asked in hub.asked if asked] == ["bytes=50000-"]
    assert hub.sent < len(content) + 10_000


def test_a_hub_that_is_away_is_said_and_nothing_lost(settings: Any, hub: Hub, scanner: Scanner) -> None:
    hub.publish(7)
    fetch(settings)
    settings.mirror_port = 1
    assert "is not reached" in failed(settings, "Unreachable")
    assert "tram-canary.hsb" in files(settings)


def test_a_host_without_the_provinces_certificate_is_turned_away(settings: Any, hub: Hub, authority: Path) -> None:
    settings.chain_file = str(authority / "nowhere.crt")
    assert "role pki" in failed(settings, "Failed")


def test_a_mirror_with_another_name_is_not_believed(settings: Any, hub: Hub) -> None:
    settings.mirror_name = "mirror.other.example"
    assert "certificate verify failed" in failed(settings, "Unreachable")


def signed(hub: Hub, text: str, **how: str) -> bytes:
    return json.dumps({"release": text, "signature": hub.sign(text, **how)}).encode()


def named(hub: Hub, name: str) -> bytes:
    text = json.loads(hub.text(9))
    text["files"][0]["name"] = name
    return signed(hub, json.dumps(text))


REFUSED: dict[str, tuple[Callable[[Hub], bytes], str]] = {
    "tampered": (lambda hub: signed(hub, hub.text(9)).replace(b"canary 9", b"canary 8"), "signature on release.json"),
    "unsigned": (lambda hub: json.dumps({"release": hub.text(9)}).encode(), "cut off, or is no release"),
    "empty signature": (lambda hub: json.dumps({"release": hub.text(9), "signature": ""}).encode(), "signature"),
    "another key": (lambda hub: signed(hub, hub.text(9), key="other"), "signature on release.json"),
    "another purpose": (lambda hub: signed(hub, hub.text(9), namespace="file"), "signature on release.json"),
    "cut off": (lambda hub: signed(hub, hub.text(9))[:300], "cut off"),
    "no JSON": (lambda hub: b"<html>", "cut off"),
    "deep": (lambda hub: b"[" * 100_000, "cut off"),
    "older": (lambda hub: signed(hub, hub.text(6)), "serial 6 is below the installed 7"),
    "path": (lambda hub: named(hub, "../../etc/tram-x.hsb"), "no plain name"),
    "absolute": (lambda hub: named(hub, "/etc/tram-x.hsb"), "no plain name"),
    "hidden": (lambda hub: named(hub, ".tram-x.hsb"), "no plain name"),
    "ClamAV's name": (lambda hub: named(hub, "daily.cvd"), "no plain name"),
    "other kind": (lambda hub: named(hub, "tram-x.so"), "no plain name"),
    "two lines": (lambda hub: named(hub, "tram-x\n.hsb"), "no plain name"),
    "large": (lambda hub: signed(hub, hub.text(9, note="x" * 1_000_000)), "over 1000000 bytes"),
    "format": (lambda hub: signed(hub, hub.text(9, format=2)), "format 2 is unknown"),
    "no serial": (lambda hub: signed(hub, hub.text(9).replace(": 9,", ": [],", 1)), "not as docs/contracts"),
    "no canary": (lambda hub: signed(hub, hub.text(9, canary="")), "no canary"),
    "twice": (lambda hub: signed(hub, hub.text(9, files=json.loads(hub.text(9))["files"] * 2)), "named twice"),
    "no list": (lambda hub: signed(hub, hub.text(9, files=9)), "not as docs/contracts"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_host_refuses(what: str, settings: Any, hub: Hub, scanner: Scanner) -> None:
    hub.publish(7)
    fetch(settings)
    before, make = files(settings), REFUSED[what]
    hub.release = make[0](hub)
    assert make[1] in failed(settings, "Refused")
    assert files(settings) == before
    assert update.active(settings) == 7
    assert hub.seen[-1].endswith("state=refused")


@pytest.mark.parametrize("what", ["longer", "shorter", "other"])
def test_a_file_that_is_not_what_was_signed_is_refused_and_not_kept(
    what: str, settings: Any, hub: Hub, scanner: Scanner
) -> None:
    good = line("mẫu", "Tram.X")
    hub.publish(7, {"tram-x.hsb": good})
    digest = hashlib.sha256(good.encode()).hexdigest()
    raw = good.encode()
    hub.files[digest] = {"longer": raw + b"x", "shorter": raw[:-1], "other": b"y" * len(raw)}[what]
    failed(settings, "Refused")
    assert files(settings) == {}
    assert hub.seen == ["7?profile=province&state=refused"]
    hub.files[digest] = raw
    fetch(settings)
    assert files(settings)["tram-x.hsb"] == good


def test_too_little_disk_is_said_before_anything_is_brought(
    settings: Any, hub: Hub, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.publish(7)
    monkeypatch.setattr(install, "_free", lambda place: 50_000_100)
    assert "too little disk: 50000100 bytes are free" in failed(settings, "Refused")
    assert not [path for path, _ in hub.asked if "/files/" in path]


def test_a_disk_that_fills_up_leaves_what_was(settings: Any, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.publish(7)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(install, "put_in_place", full)
    assert "No space left" in failed(settings, "Failed")
    assert files(settings) == {}


def test_signatures_the_scanner_cannot_read_never_reach_it(settings: Any, hub: Hub, scanner: Scanner) -> None:
    hub.publish(7)
    fetch(settings)
    hub.publish(8, {"tram-broken.hsb": "no signature\n"})
    assert "release 8 is not taken: the scanner ends with 2" in failed(settings, "Failed")
    assert sorted(files(settings)) == ["tram-canary.hsb"]
    assert hub.seen[-1] == "8?profile=province&state=failed"


def test_a_scanner_that_is_away_gets_the_release_and_the_hub_hears_when_it_is_back(settings: Any, hub: Hub) -> None:
    hub.publish(7)
    assert "release 7 is in place" in failed(settings, "Failed")
    assert "tram-canary.hsb" in files(settings)
    assert update.active(settings) is None
    asked = len(hub.asked)
    failed(settings, "Failed")
    assert len(hub.asked) == asked, "the line is not used for what the hub cannot mend"
    scanner = Scanner(settings.socket, settings.database)
    fetch(settings)
    scanner.sock.close()
    assert hub.seen[-1] == "7?profile=province&state=active"


def test_what_was_cut_off_between_two_files_is_completed(settings: Any, hub: Hub, scanner: Scanner) -> None:
    hub.publish(7)
    fetch(settings)
    hub.publish(8, {"tram-x.hsb": line("x", "Tram.X")})
    # As a power cut leaves it: the parts are there, next.json is, no file is in its place.
    parts = settings.release / "parts"
    parts.mkdir()
    for digest, content in hub.files.items():
        (parts / digest).write_bytes(content)
    (settings.release / "next.json").write_bytes(hub.release)
    install.finish(settings)
    found = install.installed(settings)
    assert found
    assert found.serial == 8
    assert sorted(files(settings)) == ["tram-canary.hsb", "tram-x.hsb"]


def test_a_file_that_was_changed_here_is_brought_again(settings: Any, hub: Hub, scanner: Scanner) -> None:
    hub.publish(7)
    fetch(settings)
    (settings.database / "tram-canary.hsb").write_text("", encoding="utf-8")
    fetch(settings)
    assert "Tram.Canary.7" in files(settings)["tram-canary.hsb"]


def test_an_outbreak_leaves_word_to_sweep_once(settings: Any, hub: Hub, scanner: Scanner) -> None:
    hub.publish(7, sweep=True)
    fetch(settings)
    assert (settings.release / "sweep").read_text() == "7\n"
    (settings.release / "sweep").unlink()
    fetch(settings)
    assert not (settings.release / "sweep").exists()


def stick(hub: Hub, top: Path) -> Path:
    (top / "files").mkdir(parents=True)
    (top / "release.json").write_bytes(hub.release)
    for digest, content in hub.files.items():
        (top / "files" / digest).write_bytes(content)
    return top


def test_a_stick_brings_what_the_line_would(settings: Any, hub: Hub, scanner: Scanner, tmp_path: Path) -> None:
    hub.publish(7, {"tram-x.hsb": line("x", "Tram.X")})
    update.take_in(settings, stick(hub, tmp_path / "stick"))
    assert update.active(settings) == 7
    assert hub.asked == []
    fetch(settings)
    assert hub.seen == ["7?profile=province&state=active"], "the hub hears of it with the next connection"


@pytest.mark.parametrize("what", ["release.json", "a file", "older"])
def test_a_stick_is_believed_no_more_than_the_line(
    what: str, settings: Any, hub: Hub, scanner: Scanner, tmp_path: Path
) -> None:
    hub.publish(7)
    fetch(settings)
    hub.publish(6 if what == "older" else 8)
    top = stick(hub, tmp_path / "stick")
    if what == "release.json":
        (top / "release.json").write_bytes(hub.release.replace(b"canary 8", b"canary 9"))
    elif what == "a file":
        for path in (top / "files").iterdir():
            path.write_bytes(path.read_bytes()[:-5])
    failed(settings, "Refused", lambda own: update.take_in(own, top))
    assert "Tram.Canary.7" in files(settings)["tram-canary.hsb"]


def test_a_stick_that_holds_none_is_said(settings: Any, tmp_path: Path) -> None:
    with pytest.raises(ours.Failed, match="holds no release"):
        update.take_in(settings, tmp_path)


def test_only_one_is_at_it(settings: Any, tmp_path: Path) -> None:
    with (
        state.lock(tmp_path / "lock"),
        pytest.raises(ours.Failed, match="another tram-antivirus"),
        state.lock(tmp_path / "lock"),
    ):
        pass


def test_settings_that_are_broken_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{", encoding="utf-8")
    with pytest.raises(ours.Failed, match="run the role antivirus again"):
        ours.Settings(tmp_path / "settings.json")


def test_official_sets_are_known_by_their_header(settings: Any) -> None:
    head = "ClamAV-VDB:21 Nov 2026 08-00 +0000:27450:2000000:90:x:y:tester:1795248000"
    (settings.database / "daily.cvd").write_text(head.ljust(512), encoding="ascii")
    (settings.database / "main.cvd").write_text("cut off", encoding="ascii")
    assert official.installed(settings.database) == {"daily": {"version": 27450, "built": "2026-11-21T08:00:00Z"}}
    settings.profile = "reduced"
    assert official.newer(settings, {"main": 62, "daily": 27451, "bytecode": 335}) == ["daily", "bytecode"]
    assert official.newer(settings, {"daily": 27450}) == []
    settings.profile = "province"
    assert official.newer(settings, {"daily": 27451}) == []


def test_sets_that_do_not_come_are_said_and_tried_again(settings: Any, hub: Hub, scanner: Scanner) -> None:
    settings.profile = "full"
    hub.publish(7, official={"daily": 27451})
    fetch(settings)
    assert state.read(settings.release / "official")["official"] == {"daily": 27451}
    freshclam = settings.database.parent / "bin/freshclam"
    freshclam.write_text("#!/bin/sh\necho 'ERROR: Update failed.'\nexit 11\n", encoding="utf-8")
    freshclam.chmod(0o755)
    with pytest.raises(ours.Failed, match="freshclam ended with 11: ERROR: Update failed"):
        official.bring(settings)
    assert "Update failed" in status.status(settings)["error"]
    assert state.read(settings.release / "official")["at"] > time.time() + 3000, "not at once again"
    head = "ClamAV-VDB:21 Nov 2026 08-00 +0000:27451:2000000:90:x:y:tester:1795248000"
    freshclam.write_text(f"#!/bin/sh\necho '{head:<512}' >{settings.database}/daily.cvd\n", encoding="utf-8")
    official.bring(settings)
    assert status.status(settings)["error"] is None
    assert not (settings.release / "official").exists()
