"""A host's side of backups: its hours, what it makes of borg's words, what is in the way of a restore."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ...role_module import load

REPO = Path(__file__).parents[3]
HUB = SimpleNamespace(remote=True, url="ssh://hub")


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


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("passphrase supplied in BORG_PASSPHRASE is incorrect", "does not open this backup"),
        ("Remote: Repository path not allowed: /x", "the backup of another host"),
        ("Repository /x does not exist.", "has no backup of this host any more"),
        ("OSError: [Errno 28] No space left on device", "has no room"),
        ("Data integrity error: Segment entry checksum mismatch", "is damaged"),
        ("Host key verification failed.\nConnection closed by remote host", "shows another key"),
        ("tram-backup@hub: Permission denied (publickey).\nConnection closed", "does not know this host's key"),
        ("something new", "borg ended with 2: something new"),
    ],
)
def test_each_of_borgs_ends_has_words_of_ours(parts: SimpleNamespace, said: str, means: str) -> None:
    found = parts.repository.explained(HUB, 2, said)
    assert isinstance(found, parts.repository.Failed)
    assert means in str(found)


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
