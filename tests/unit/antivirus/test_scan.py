"""Whatever a file is called, it is scanned once, taken away when it must be, and put back as it was."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from tram_antivirus import quarantine
from tram_antivirus import scan as scans
from tram_antivirus import settings as ours
from tram_antivirus.walk import Places

from .conftest import EICAR, Scanner, line

NAMES = [
    b"plain.txt",
    "Công văn số 1.txt".encode(),
    b"two\nlines",
    b"\xff\xfe bad",
    b"-rf",
    b"a b\t\x1b[31m",
    b"'\"`$(id)",
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where people keep their files."""
    made = tmp_path / "srv"
    made.mkdir()
    return made


@pytest.fixture
def known(settings: Any) -> None:
    """The scanner knows the test virus."""
    (settings.database / "tram-role.hsb").write_text(line(EICAR, "Tram.Test.EICAR"), encoding="utf-8")


@pytest.fixture
def armed(known: None, scanner: Scanner) -> Scanner:
    return scanner


def scan(settings: Any, *paths: Path, kind: str = "asked") -> Any:
    return scans.scan(settings, [str(path) for path in paths], kind=kind)


def bad(path: Path, content: str = EICAR) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode())
    return path


def test_files_of_any_name_are_found_taken_away_and_put_back(settings: Any, armed: Scanner, place: Path) -> None:
    for name in NAMES:
        Path(os.fsdecode(bytes(place) + b"/" + name)).write_bytes(EICAR.encode())
    (place / "clean").write_text("Công văn số 2", encoding="utf-8")
    tally = scan(settings, place)
    assert (tally.files, tally.findings, tally.interrupted) == (8, 7, False)
    assert [path.name for path in place.iterdir()] == ["clean"]
    assert {one["action"] for one in tally.found} == {"quarantined"}
    for one in quarantine.listed(settings.quarantine):
        quarantine.restore(settings.quarantine, one["id"])
    assert sorted(os.fsencode(path.name) for path in place.iterdir()) == sorted([*NAMES, b"clean"])
    assert (place / "plain.txt").read_text() == EICAR
    assert quarantine.listed(settings.quarantine) == []
    kept = json.loads((settings.scans / "findings.json").read_text())["findings"]
    assert f"{place}/\\xff\\xfe bad" in [one["path"] for one in kept]
    assert f"{place}/two\nlines" in [one["path"] for one in kept]


def test_what_is_kept_is_not_what_it_was(settings: Any, armed: Scanner, place: Path) -> None:
    bad(place / "x")
    number = scan(settings, place).found[0]["id"]
    content = settings.quarantine / number / "content"
    assert b"EICAR" not in content.read_bytes()
    assert stat.S_IMODE(content.stat().st_mode) == 0o600


def test_mode_and_times_come_back(settings: Any, armed: Scanner, place: Path) -> None:
    path = bad(place / "x")
    path.chmod(0o2640)
    os.utime(path, ns=(1_600_000_000_000_000_001, 1_500_000_000_000_000_002))
    before = path.stat()
    quarantine.restore(settings.quarantine, scan(settings, place).found[0]["id"])
    after = path.stat()
    for fact in ("st_mode", "st_uid", "st_gid", "st_size", "st_mtime_ns"):
        assert getattr(after, fact) == getattr(before, fact)


@pytest.mark.parametrize("what", ["a file", "a link", "no directory", "a link on the way"])
def test_nothing_is_overwritten_and_no_link_followed(
    what: str, settings: Any, armed: Scanner, place: Path, tmp_path: Path
) -> None:
    path = bad(place / "room/x")
    other = tmp_path / "other"
    other.mkdir()
    number = scan(settings, place).found[0]["id"]
    if what == "a file":
        path.write_text("mới", encoding="utf-8")
    elif what == "a link":
        path.symlink_to(other / "victim")
    else:
        path.parent.rmdir()
        if what == "a link on the way":
            path.parent.symlink_to(other)
    with pytest.raises(ours.Failed, match=r"is there; nothing was overwritten|is not the directory it was"):
        quarantine.restore(settings.quarantine, number)
    assert list(other.iterdir()) == []
    assert [one["id"] for one in quarantine.listed(settings.quarantine)] == [number], "it is still kept"
    assert list(path.parent.glob(".tram*")) == []


@pytest.mark.parametrize("number", ["", "..", "../scan", "20261122T050000-abcdef", "x\ny"])
def test_an_id_that_is_none_is_said(number: str, settings: Any) -> None:
    with pytest.raises(ours.Failed, match="nothing in quarantine has the id"):
        quarantine.delete(settings.quarantine, number)


def test_a_disk_without_room_reports_and_leaves_it(
    settings: Any, armed: Scanner, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "KEEP_FREE_BYTES", 1 << 60)
    path = bad(place / "x")
    found = scan(settings, place).found[0]
    assert (found["action"], found["error"]) == ("reported", "too little disk to keep it")
    assert path.exists()
    assert list(settings.quarantine.iterdir()) == []


def test_the_system_is_not_taken_apart(settings: Any, armed: Scanner, place: Path) -> None:
    settings.report_only_paths = [str(place / "usr")]
    system, similar = bad(place / "usr/bin/sh"), bad(place / "usr2/x")
    actions = {one["path"]: one["action"] for one in scan(settings, place).found}
    assert actions == {str(system): "reported", str(similar): "quarantined"}
    scan(settings, place)
    kept = json.loads((settings.scans / "findings.json").read_text())["findings"]
    assert [one["path"] for one in kept].count(str(system)) == 1


def test_what_did_not_change_is_not_scanned_again(settings: Any, armed: Scanner, place: Path) -> None:
    for number in range(5):
        (place / str(number)).write_text(f"{number}", encoding="utf-8")
    scan(settings, place)
    (place / "3").write_text("x", encoding="utf-8")
    again = scan(settings, place)
    assert (again.files, again.unchanged) == (1, 4)


def test_new_signatures_mean_that_everything_is_scanned(
    settings: Any, armed: Scanner, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "x").write_text("x", encoding="utf-8")
    scan(settings, place)
    monkeypatch.setattr(scans, "_signatures", lambda own: "8 None")
    assert scan(settings, place).files == 1


def test_a_night_that_was_too_short_goes_on_the_next(
    settings: Any, armed: Scanner, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        (place / str(number)).write_text(f"{number}", encoding="utf-8")
    clock = iter([0, *range(100)])
    with monkeypatch.context() as patched:
        patched.setattr(scans.time, "monotonic", lambda: next(clock))
        settings.scan_hours = 5 / 3600
        first = scan(settings, place, kind="night")
    assert first.interrupted
    settings.scan_hours = 1
    second = scan(settings, place, kind="night")
    assert not second.interrupted
    assert first.files + second.files == 9
    assert second.unchanged == first.files
    assert scan(settings, place, kind="night").unchanged == 9


def test_what_is_remembered_is_bounded_and_a_broken_memory_is_made_anew(
    settings: Any, armed: Scanner, place: Path
) -> None:
    for number in range(9):
        (place / str(number)).write_text(f"{number}", encoding="utf-8")
    settings.remember_files = 4
    scan(settings, place)
    assert scan(settings, place).unchanged == 4
    (settings.scans / "clean.new").write_bytes(b"not a database" * 500)
    assert scan(settings, place).files == 9


def test_links_sockets_and_what_is_left_out_are_passed_over(
    settings: Any, armed: Scanner, place: Path, tmp_path: Path
) -> None:
    outside = bad(tmp_path / "outside/x")
    (place / "link").symlink_to(outside)
    (place / "way").symlink_to(outside.parent)
    os.mkfifo(place / "fifo")
    bad(place / "left/out/x")
    settings.skip_paths = [str(place / "left/")]
    assert scan(settings, place).files == 0
    assert scan(settings, place / "way").files == 0
    assert scan(settings, place / "way/x").files == 0
    assert scan(settings, tmp_path / "nowhere").files == 0
    assert outside.exists()


def test_what_nobody_can_look_into_is_counted_and_stays(settings: Any, armed: Scanner, place: Path) -> None:
    armed.says = {
        b"locked": "Heuristics.Encrypted.Zip FOUND",
        b"large": "Heuristics.Limits.Exceeded.MaxFileSize FOUND",
        b"odd": "Can't allocate memory ERROR",
    }
    for name in ("locked", "large", "odd"):
        bad(place / name, name)
    tally = scan(settings, place)
    assert (tally.unscanned, tally.findings) == (3, 0)
    assert len(list(place.iterdir())) == 3


def test_where_the_scanner_may_not_have_the_file_it_gets_the_bytes(settings: Any, armed: Scanner, place: Path) -> None:
    armed.deny_files = True
    bad(place / "x")
    assert scan(settings, place).findings == 1


def test_a_file_that_changed_meanwhile_is_left(settings: Any, armed: Scanner, place: Path) -> None:
    path = bad(place / "x")
    for found in Places([]).walk(str(place)):
        path.write_text("mới", encoding="utf-8")
        with pytest.raises(ours.Failed, match="changed meanwhile"):
            quarantine.put(settings.quarantine, found, "Tram.X")
    assert path.read_text(encoding="utf-8") == "mới"
    assert list(settings.quarantine.iterdir()) == []


def test_a_proof_leaves_no_finding(settings: Any, armed: Scanner, place: Path) -> None:
    bad(place / "x")
    assert scan(settings, place, kind="proof").findings == 1
    assert not (settings.scans / "findings.json").exists()
    assert not (settings.scans / "scanned.json").exists()


def test_a_scan_without_a_scanner_fails_and_says_so(settings: Any, place: Path) -> None:
    with pytest.raises(ours.Failed, match="clamd does not answer"):
        scan(settings, place)
