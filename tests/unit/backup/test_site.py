"""A host's side of backups: its hours, what it makes of borg's words, what is in the way of a restore."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from ...role_module import load

REPO = Path(__file__).parents[3]
HUB = SimpleNamespace(remote=True, url="ssh://hub")
ERRORS: list[dict[str, str]] = yaml.safe_load((REPO / "tests/errors/backup.yml").read_text(encoding="utf-8"))


@pytest.fixture
def parts() -> SimpleNamespace:
    """The program's modules, as they import one another."""
    load("tram_backup", "backup/files/tram_backup/__init__.py")
    names = ("repository", "nightly", "bringing")
    return SimpleNamespace(**{n: load(f"tram_backup.{n}", f"backup/files/tram_backup/{n}.py") for n in names})


def test_what_roles_declare_is_what_travels() -> None:
    ran = subprocess.run(
        [sys.executable, REPO / "scripts/backup-services", "--check"], check=False, capture_output=True
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("clock", "left"),
    [("12:59", None), ("13:00", 9 * 60), ("21:59", 1), ("22:00", None), ("18:30", 3 * 60 + 30)],
)
def test_the_line_is_used_from_eight_in_the_evening_to_five_in_viet_nam(
    parts: SimpleNamespace, clock: str, left: int | None
) -> None:
    now = datetime(2026, 11, 22, int(clock[:2]), int(clock[3:]), tzinfo=UTC)
    end = parts.nightly.closes({"since": "20:00", "until": "05:00", "utc_offset_hours": 7}, now)
    assert (None if end is None else round((end - now.timestamp()) / 60)) == left


@pytest.mark.parametrize("case", ERRORS, ids=[case["name"] for case in ERRORS])
def test_each_of_borgs_ends_has_words_of_ours(parts: SimpleNamespace, case: dict[str, str]) -> None:
    found = parts.repository.explained(HUB, 2, case["borg"])
    assert isinstance(found, parts.repository.Failed)
    assert str(found) == case["message"]


def test_a_new_machine_finds_the_backup_of_the_dead_one(parts: SimpleNamespace) -> None:
    found = parts.repository.explained(HUB, 2, "A repository already exists at ssh://tram-backup@192.0.2.10:8422/x.")
    assert isinstance(found, parts.repository.Failed)
    assert "already exists" in str(found)


@pytest.mark.parametrize(
    "said", ["Connection closed by remote host", "ssh: connect: No route to host", "Failed to acquire the lock"]
)
def test_a_line_that_breaks_is_tried_again_and_a_disk_is_not(parts: SimpleNamespace, said: str) -> None:
    assert isinstance(parts.repository.explained(HUB, 2, said), parts.repository.LineGone)
    disk = SimpleNamespace(remote=False, url="/mnt/usb/x")
    assert isinstance(parts.repository.explained(disk, 2, said), parts.repository.Failed)


class Shelf:
    """A repository of two archives."""

    def __init__(self, files: dict[str, int]) -> None:
        self.files, self.settings = files, {"services": []}

    def archives(self) -> list[dict[str, Any]]:
        return [{"name": name, "comment": json.dumps({"mail": ["/var/vmail"]})} for name in ("a-1", "a-2")]

    def borg(self, words: list[str], *, cwd: Path = Path("/"), watch: Any = None) -> str:
        if words[0] == "extract":
            (cwd / words[-1].rsplit("/", 1)[-1]).write_text("from the archive", encoding="utf-8")
            return ""
        found = [f for f in self.files if f.startswith(words[-1])]
        return "".join(json.dumps({"type": "-", "path": f, "size": self.files[f]}) + "\n" for f in found)


@pytest.fixture
def wish(parts: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Builds a wish; restores of this test lock a file of its own."""
    monkeypatch.setattr(parts.bringing, "LOCK", tmp_path / "lock")

    def build(**more: Any) -> Any:
        plain = {"archive": "latest", "services": [], "paths": ["/etc/hosts"], "to": tmp_path / "to"}
        return parts.bringing.Wish(**plain | {"overwrite": False, "dry": False, "who": "lan@centre"} | more)

    return build


def test_a_file_comes_back_beside_and_what_was_there_is_kept(parts: SimpleNamespace, wish: Any, tmp_path: Path) -> None:
    shelf, place = Shelf({"etc/hosts": 16}), tmp_path / "to/etc/hosts"
    assert parts.bringing.restore(shelf, wish())["archive"] == "a-2"
    assert place.read_text(encoding="utf-8") == "from the archive"
    place.write_text("mine", encoding="utf-8")
    with pytest.raises(parts.repository.InTheWay, match="is there already: say --overwrite"):
        parts.bringing.restore(shelf, wish())
    assert place.read_text(encoding="utf-8") == "mine"
    aside = parts.bringing.restore(shelf, wish(overwrite=True))["restored"][0]["aside"]
    assert Path(aside).read_text(encoding="utf-8") == "mine"
    assert place.read_text(encoding="utf-8") == "from the archive"


def test_what_is_in_the_way_changes_nothing(parts: SimpleNamespace, wish: Any, tmp_path: Path) -> None:
    too_much, refused = Shelf({"etc/hosts": 10**18}), parts.repository.InTheWay
    with pytest.raises(refused, match="bytes are needed"):
        parts.bringing.restore(too_much, wish())
    with pytest.raises(refused, match="has nothing at /etc/passwd"):
        parts.bringing.restore(too_much, wish(paths=["/etc/passwd"]))
    with pytest.raises(refused, match="has no documents; it has: mail"):
        parts.bringing.restore(too_much, wish(services=["documents"]))
    with pytest.raises(refused, match="no such archive; the latest are: a-1, a-2"):
        parts.bringing.restore(too_much, wish(archive="b"))
    with parts.bringing.alone(wish()), pytest.raises(refused, match="under way: lan@centre, /etc/hosts, since"):
        parts.bringing.restore(too_much, wish(who="another"))
    assert not (tmp_path / "to").exists()


def test_a_clock_that_went_back_is_told_and_nothing_is_made(
    parts: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts.repository, "STATE", tmp_path)
    monkeypatch.setattr(parts.bringing, "STATE", tmp_path)
    parts.repository.write_state({"done": datetime(2090, 1, 1, tzinfo=UTC).timestamp(), "proof": 7})
    quiet = {"since": "20:00", "until": "05:00", "utc_offset_hours": 7}
    with pytest.raises(parts.repository.InTheWay, match="the last backup was at 20900101T000000Z: set the clock"):
        parts.nightly.run({"quiet": quiet}, now=True)
    parts.bringing.forget()
    assert "done" not in parts.repository.read_state()
    assert parts.repository.read_state()["proof"] == 7


def test_a_service_takes_what_came_once_it_is_in_its_place(
    parts: SimpleNamespace, wish: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts.bringing, "STATE", tmp_path)
    dump = tmp_path / "dumps/mail/mail.sql"
    dump.parent.mkdir(parents=True)
    dump.write_text("a dump", encoding="utf-8")
    settings = {"services": [{"service": "mail", "after": [{"run": ["tee", str(tmp_path / "x")], "from": "mail.sql"}]}]}
    parts.bringing.finish(settings, wish(services=["mail"]))
    assert not (tmp_path / "x").exists()
    parts.bringing.finish(settings, wish(services=["mail"], to=None))
    assert (tmp_path / "x").read_text(encoding="utf-8") == "a dump"
    settings["services"][0]["after"] = [{"run": ["sh", "-c", "echo no >&2; exit 3"]}]
    with pytest.raises(parts.repository.Failed, match=r"mail: its files are back, but sh .* ended with 3: no"):
        parts.bringing.finish(settings, wish(services=["mail"], to=None))


@pytest.fixture
def night(parts: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Settings of a host that keeps nothing; what it remembers is this test's, and nothing waits."""
    for part in (parts.repository, parts.nightly, parts.bringing):
        monkeypatch.setattr(part, "STATE", tmp_path)
    monkeypatch.setattr(parts.nightly.time, "sleep", lambda _seconds: None)
    (tmp_path / "dumps").mkdir()
    hub = {"user": "tram-backup", "address": "192.0.2.1", "port": 8422, "repository": "/x"}
    return {
        "host": "a-srv1", "hub": hub, "local": "", "services": [], "metrics": "/none", "cap_bytes": 0,
        "quiet": {"since": "20:00", "until": "05:00", "utc_offset_hours": 7},
    }  # fmt: skip


def test_what_was_proven_in_a_night_that_failed_stays_proven(
    parts: SimpleNamespace, night: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(*_: Any) -> None:
        parts.repository.write_state(parts.repository.read_state() | {"proof": 7})
        raise parts.repository.Failed("no room")

    monkeypatch.setattr(parts.nightly, "create", create)
    (tmp_path / "dumps/tmp123").write_text("half a dump", encoding="utf-8")
    assert parts.nightly.run(night, now=True) == 1
    assert parts.repository.read_state()["proof"] == 7
    assert not (tmp_path / "dumps/tmp123").exists()


def test_a_person_is_not_kept_waiting_for_ever_by_a_dead_line(
    parts: SimpleNamespace, night: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def create(*given: Any) -> None:
        tries.append(1)
        given[-1].bytes += 200_000 if len(tries) < 10 else 500  # a line that breaks, then none
        raise parts.repository.LineGone("no route to host")

    monkeypatch.setattr(parts.nightly, "create", create)
    assert parts.nightly.run(night, now=True) == 1
    assert len(tries) == 9 + parts.nightly.IDLE
    assert "no route to host" in parts.repository.read_state()["last"]["problems"]["hub"]


def test_what_a_killed_restore_had_stopped_is_started_by_the_next(
    parts: SimpleNamespace, night: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    del night
    said: list[list[str]] = []

    def systemctl(words: list[str], **_: Any) -> Any:
        said.append(words[2:])
        return subprocess.CompletedProcess(words, 3 if words[2] == "is-active" else 0)

    monkeypatch.setattr(parts.bringing.subprocess, "run", systemctl)
    parts.repository.write_state({"paused": ["postfix.service"]})
    with parts.bringing.paused(["postfix.service"]):
        assert said == [["is-active", "postfix.service"], ["stop", "postfix.service"]]
    assert said[-1] == ["start", "postfix.service"]
    assert "paused" not in parts.repository.read_state()


def test_folders_on_the_way_are_as_the_one_above(parts: SimpleNamespace, tmp_path: Path) -> None:
    above = tmp_path / "vmail"
    above.mkdir()
    above.chmod(0o750)
    old = os.umask(0o077)
    try:
        parts.bringing.make_way(above / "a.example/b", like_above=True)
        parts.bringing.make_way(above / "beside/b", like_above=False)
    finally:
        os.umask(old)
    modes = {name: (above / name).stat().st_mode & 0o777 for name in ("a.example", "a.example/b", "beside/b")}
    assert modes == {"a.example": 0o750, "a.example/b": 0o750, "beside/b": 0o700}


def test_a_letter_that_came_before_the_backup_was_back_is_laid_beside_it(
    parts: SimpleNamespace, wish: Any, tmp_path: Path
) -> None:
    aside, target = tmp_path / "aside", tmp_path / "vmail"
    for name in (
        "d/a/Maildir/new/early",
        "d/a/Maildir/new/both",
        "d/b/Maildir/cur/only:2,S",
        "d/a/Maildir/dovecot.index",
    ):
        (aside / name).parent.mkdir(parents=True, exist_ok=True)
        (aside / name).write_text("early", encoding="utf-8")
    (target / "d/a/Maildir/new").mkdir(parents=True)
    (target / "d/a/Maildir/new/both").write_text("from the archive", encoding="utf-8")
    patterns = ["/var/vmail/**/Maildir/**/new/*", "/var/vmail/**/Maildir/**/cur/*"]
    settings = {"services": [{"service": "mail", "newer": patterns}]}
    one = {"path": "/var/vmail", "target": str(target), "aside": str(aside)}
    assert parts.bringing.join_newer(settings, wish(services=["mail"], to=None), one) == 2
    assert (target / "d/a/Maildir/new/early").read_text(encoding="utf-8") == "early"
    assert (target / "d/b/Maildir/cur/only:2,S").exists()
    assert (target / "d/a/Maildir/new/both").read_text(encoding="utf-8") == "from the archive"
    assert not (target / "d/a/Maildir/dovecot.index").exists()
    assert parts.bringing.join_newer(settings, wish(services=["mail"], to=None), one | {"aside": None}) == 0
