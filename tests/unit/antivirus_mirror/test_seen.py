"""What hosts told the mirror, from its log, through rotation and nonsense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tram_signatures import official, seen
from tram_signatures.place import Place
from tram_signatures.words import Refused


def line(client: str, path: str, status: int = 204, time: str = "2026-11-22T12:00:00+07:00") -> str:
    return (
        json.dumps({"time": time, "client": client, "address": "x", "path": path, "status": status, "bytes": 9}) + "\n"
    )


def told(client: str, serial: int, state: str = "active") -> str:
    return line(client, f"/signatures/seen/{serial}?profile=province&state={state}")


def test_the_highest_release_in_effect_counts_and_the_last_word_is_kept(place: Place) -> None:
    place.state.mkdir()
    place.access_log.write_text(told("a", 5) + told("a", 7) + told("a", 6) + told("b", 7, "refused"), encoding="utf-8")
    hosts = seen.kept(place)
    assert (hosts["a"]["active"], hosts["a"]["serial"], hosts["a"]["state"]) == (7, 6, "active")
    assert (hosts["b"]["active"], hosts["b"]["state"], hosts["b"]["profile"]) == (0, "refused", "province")


def test_what_was_rotated_away_is_not_forgotten_and_nothing_is_missed(place: Place) -> None:
    place.state.mkdir()
    log = place.access_log
    log.write_text(told("a", 5), encoding="utf-8")
    seen.kept(place)
    with log.open("a", encoding="utf-8") as file:
        file.write(told("b", 5))
    log.rename(log.with_name(log.name + ".1"))
    log.write_text(told("c", 6) + '{"time": "half a li', encoding="utf-8")
    assert sorted(seen.kept(place)) == ["a", "b", "c"]
    log.with_name(log.name + ".1").unlink()
    log.unlink()
    assert sorted(seen.kept(place)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]\n", "1\n", line("", "/signatures/seen/5?state=active"), line("a", "/signatures/seen/x?state=active"),
     line("a", "/signatures/seen/5?state=la"), line("a", "/signatures/seen/5"),
     line("a", "/signatures/release.json", 200),
     line("a", "/signatures/seen/5?state=active", 400), line("a", "/signatures/seen/" + "9" * 400 + "?state=active"),
     '{"status": 204, "path": 5, "client": "a", "time": ""}\n', line("a", "//[/signatures/seen/5?state=active")],
)  # fmt: skip
def test_nonsense_is_passed_over(place: Place, text: str) -> None:
    place.state.mkdir()
    place.access_log.write_text(text + told("b", 5), encoding="utf-8")
    assert "a" not in seen.kept(place)


def cvd(version: int, name: str = "daily") -> bytes:
    head = f"ClamAV-VDB:22 Nov 2026 05-00 +0000:{version}:7:90:md5:dsig:builder:{1_795_000_000 + version}"
    return head.ljust(512).encode() + name.encode()


@pytest.fixture
def clamav(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """ClamAV's tools: a set with the word `bad` in it is not theirs, nor is such a difference."""
    calls: list[list[str]] = []

    def run(_place: Place, command: list[str], where: Path) -> str:
        calls.append(command)
        option, _, value = command[1].partition("=")
        if option == "--unpack":
            name = Path(value).read_bytes()[512:].decode()
            (where / f"{name.removeprefix('bad')}.info").write_text("", encoding="utf-8")
        elif option != "--no-summary" and b"bad" in Path(value).read_bytes():
            raise Refused("sai", "Can't verify database integrity")
        return "Verification OK."

    monkeypatch.setattr(official, "_run", run)
    return calls


def test_a_set_is_taken_with_the_differences_that_lead_to_it(place: Place, tmp_path: Path, clamav: Any) -> None:
    stick = tmp_path / "stick/clamav"
    stick.mkdir(parents=True)
    place.state.mkdir()
    (stick / "daily.cvd").write_bytes(cvd(5))
    assert official.take(place, stick.parent).bad == []
    assert official.versions(place) == {"daily": 5}
    assert official.record(place) == "0.0.0:0:5:1795000005:0:90:0:0"
    (stick / "daily.cvd").write_bytes(cvd(7))
    for version in (6, 7):
        (stick / f"daily-{version}.cdiff").write_bytes(b"ClamAV-Diff")
    official.take(place, stick)
    assert sorted(path.name for path in place.clamav.iterdir()) == ["daily-6.cdiff", "daily-7.cdiff", "daily.cvd"]
    (stick / "daily.cvd").write_bytes(cvd(9))
    (stick / "daily-8.cdiff").write_bytes(b"ClamAV-Diff bad")
    (stick / "daily-9.cdiff").write_bytes(b"ClamAV-Diff")
    assert official.take(place, stick).bad == []
    assert official.versions(place) == {"daily": 9}
    assert not (place.clamav / "daily-9.cdiff").exists(), "a difference that nobody can apply is not served"


@pytest.mark.parametrize(
    ("content", "message"),
    [(cvd(4), "version 4 is older than 5"), (cvd(6, "baddaily"), "Can't verify"),
     (cvd(6, "main"), "what is in it is not"),
     (b"junk", "no set of ClamAV's"), (b"", "no set of ClamAV's")],
)  # fmt: skip
def test_a_set_that_is_not_right_is_refused_and_the_one_that_is_there_stays(
    place: Place, tmp_path: Path, clamav: Any, content: bytes, message: str
) -> None:
    place.state.mkdir()
    (place.clamav / "daily.cvd").write_bytes(cvd(5))
    (tmp_path / "daily.cvd").write_bytes(content)
    assert [message in said for said in official.take(place, tmp_path).bad] == [True]
    assert (place.clamav / "daily.cvd").read_bytes() == cvd(5)
    assert [path.name for path in place.clamav.iterdir()] == ["daily.cvd"]


def test_a_stick_without_sets_and_a_patched_set_are_said(place: Place, tmp_path: Path, clamav: Any) -> None:
    with pytest.raises(Refused, match="there is no set of ClamAV's in it"):
        official.take(place, tmp_path)
    (tmp_path / "daily.cld").write_bytes(cvd(6))
    assert "bring .cvd" in official.take(place, tmp_path).bad[0]
    with pytest.raises(Refused, match="there is nowhere to fetch from"):
        official.fetch(place)
