"""The hub's side of backups: states are kept, going back to one, and what is missing is noticed."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ...role_module import load

HOST = "huong-khe-srv1"
NOW = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)


@pytest.fixture
def program() -> ModuleType:
    """The hub's program; no borg is called."""
    load("tram_backup_reading", "backup_hub/files/tram_backup_reading.py")
    load("tram_backup_documents", "backup_hub/files/tram_backup_documents.py")
    load("tram_backup_away", "backup_hub/files/tram_backup_away.py")
    return load("tram_backup_hub", "backup_hub/files/tram-backup-hub")


@pytest.fixture
def hub(program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A hub with one repository at transaction 5; who owns what is left to real hosts."""
    monkeypatch.setattr(os, "chown", lambda *_, **__: None)
    monkeypatch.setattr(os, "fchown", lambda *_: None)
    for name in ("history", "records", f"repositories/{HOST}/data/0"):
        (tmp_path / name).mkdir(parents=True)
    repository = tmp_path / "repositories" / HOST
    for name, text in {"config": "key 1", "index.5": "i", "hints.5": "h", "integrity.5": "s", "README": "r"}.items():
        (repository / name).write_text(text, encoding="utf-8")
    for number in (1, 5, 6):
        (repository / f"data/0/{number}").write_text(f"segment {number}", encoding="utf-8")
    return program.Hub({"directory": str(tmp_path), "user": getpass.getuser(), "history_days": 30, "metrics": "/none"})


def commit(hub: Any, transaction: int) -> None:
    """As borg does: a new index, the old one goes."""
    repository = hub.repository(HOST)
    for old in [*repository.glob("index.*"), *repository.glob("hints.*"), *repository.glob("integrity.*")]:
        old.unlink()
    for kind in ("index", "hints", "integrity"):
        (repository / f"{kind}.{transaction}").write_text("x", encoding="utf-8")
    (repository / f"data/0/{transaction}").write_text(f"segment {transaction}", encoding="utf-8")


def test_a_state_is_kept_once_without_what_was_not_finished(program: ModuleType, hub: Any) -> None:
    assert program.keep(hub, HOST, NOW)
    assert not program.keep(hub, HOST, NOW + timedelta(minutes=15))
    (state,) = hub.states(HOST)
    assert sorted(path.name for path in (state / "data/0").iterdir()) == ["1", "5"]
    assert (state / "data/0/1").stat().st_nlink == 2


def test_going_back_brings_what_was_unlinked_and_the_old_key(program: ModuleType, hub: Any) -> None:
    program.keep(hub, HOST, NOW)
    repository = hub.repository(HOST)
    (repository / "data/0/1").unlink()
    (repository / "config").write_text("key of an attacker", encoding="utf-8")
    commit(hub, 9)
    program.keep(hub, HOST, NOW + timedelta(days=1))
    assert "replaced" in program.status(hub)[0]["tampered"]
    (hub.root / "home/.config/borg/security/id").mkdir(parents=True)
    told = program.rollback(hub, HOST, hub.states(HOST)[0].name)
    assert not (hub.root / "home/.config/borg/security").exists()
    assert (repository / "config").read_text(encoding="utf-8") == "key 1"
    assert (repository / "data/0/1").read_text(encoding="utf-8") == "segment 1"
    assert program.newest(repository) == 5
    assert (Path(told["aside"]) / "index.9").is_file()
    assert program.status(hub)[0]["tampered"] is None
    assert len(hub.states(HOST)) == 2


def test_a_rollback_that_was_killed_between_its_renames_is_done_by_the_next(
    program: ModuleType, hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.keep(hub, HOST, NOW)
    (state,) = hub.states(HOST)

    def killed(path: Path, _target: Path) -> None:
        shutil.move(path, hub.history / HOST / "replaced-x")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            program.rollback(hub, HOST, state.name)
    with pytest.raises(
        program.Failed, match=f"its repository is gone: tram-backup-hub rollback {HOST} --to {state.name}"
    ):
        hub.repository(HOST)
    assert "is gone" in program.record_all(hub)[0]["problem"]
    assert program.status(hub)[0]["bytes"] == 0
    assert program.rollback(hub, HOST, state.name)["aside"] is None
    assert program.newest(hub.repository(HOST)) == 5


@pytest.mark.parametrize("place", ["config", "README", "data/0/5", "data/0", "data"])
def test_a_link_in_a_repository_is_not_followed(program: ModuleType, hub: Any, tmp_path: Path, place: str) -> None:
    (tmp_path / "of-root").mkdir()
    (tmp_path / "of-root/5").write_text("secret", encoding="utf-8")
    (tmp_path / "of-root/5").chmod(0o600)
    path = hub.repository(HOST) / place
    target = tmp_path / "of-root" if path.is_dir() else tmp_path / "of-root/5"
    path.rename(tmp_path / "was")
    path.symlink_to(target)
    with pytest.raises(program.Failed, match="which borg never makes"):
        program.keep(hub, HOST, NOW)
    assert (tmp_path / "of-root/5").stat().st_mode & 0o777 == 0o600
    assert not hub.states(HOST)


def says(hub: Any, *archives: dict[str, str]) -> list[Path | None]:
    """Have borg list these from now on; the places it was asked about."""
    asked: list[Path | None] = []

    def borg(_host: str, _words: list[str], _secret: str, place: Path | None = None) -> Any:
        asked.append(place)
        return subprocess.CompletedProcess([], 0, json.dumps({"archives": archives}), "")

    hub.borg = borg
    return asked


def test_an_archive_that_only_a_kept_state_has_seen_is_missed(program: ModuleType, hub: Any) -> None:
    program.keep(hub, HOST, NOW)
    asked = says(hub, {"id": "1", "name": "a-1"})
    with pytest.raises(program.Tampered, match=r"1 archives are gone that nobody here pruned: a-1\."):
        program.compared(hub, HOST, [], "s")
    assert asked == [hub.root / "looking" / HOST]
    assert not any((hub.root / "looking").iterdir())
    assert (hub.states(HOST)[0] / "data/0/1").is_file()


def test_a_state_is_looked_into_once(program: ModuleType, hub: Any) -> None:
    program.keep(hub, HOST, NOW)
    asked = says(hub)
    for _ in range(2):
        program.compared(hub, HOST, [], "s")
    assert len(asked) == 1


def test_what_an_archive_has_is_summed_as_a_disk_is(hub: Any, tmp_path: Path) -> None:
    load("tram_backup", "backup/files/tram_backup/__init__.py")
    for name in ("repository", "nightly", "bringing"):
        module = load(f"tram_backup.{name}", f"backup/files/tram_backup/{name}.py")
    disk = tmp_path / "disk"
    (disk / "cur").mkdir(parents=True)
    (disk / "cur/1:2,S").write_text("a letter", encoding="utf-8")
    os.link(disk / "cur/1:2,S", disk / "cur/copy")
    (disk / "link").symlink_to("cur")
    of_disk = module.summed(disk, "/var/vmail")
    digest = sha256(b"a letter").hexdigest()
    entries = [
        {"type": "d", "path": "var/vmail/cur", "size": 0, "sha256": "", "source": ""},
        {"type": "-", "path": "var/vmail/cur/1:2,S", "size": 8, "sha256": digest, "source": ""},
        {"type": "-", "path": "var/vmail/cur/copy", "size": 0, "sha256": "", "source": "var/vmail/cur/1:2,S"},
        {"type": "l", "path": "var/vmail/link", "size": 0, "sha256": "", "source": "cur"},
    ]
    said = "".join(json.dumps(one) + "\n" for one in entries)
    hub.borg = lambda *given: subprocess.CompletedProcess([], 0, given[-1].write(said), "")
    reading = load("tram_backup_reading", "backup_hub/files/tram_backup_reading.py")
    assert reading.summed(hub, HOST, "s", "a-1", "/var/vmail") == of_disk
    assert of_disk["files"] == 2


def test_archives_that_nobody_pruned_and_that_are_gone_are_tampering(program: ModuleType, hub: Any) -> None:
    archives = [{"id": "1", "name": "a-1"}, {"id": "2", "name": "a-2"}]
    says(hub)
    program.keep(hub, HOST, NOW)
    assert program.compared(hub, HOST, archives, "s")["archives"] == {"1": "a-1", "2": "a-2"}
    with pytest.raises(program.Tampered, match=r"1 archives are gone that nobody here pruned: a-1\."):
        program.compared(hub, HOST, archives[1:], "s")
    with pytest.raises(program.Tampered):  # and stays so, whatever comes after
        program.compared(hub, HOST, archives, "s")


def test_old_states_go_but_never_the_newest_and_none_while_something_is_wrong(program: ModuleType, hub: Any) -> None:
    program.keep(hub, HOST, NOW)
    commit(hub, 9)
    program.keep(hub, HOST, NOW + timedelta(days=1))
    record = hub.read_record(HOST)
    hub.write_record(HOST, record | {"tampered": "gone"})
    assert program.expire(hub, HOST, NOW + timedelta(days=90)) == 0
    hub.write_record(HOST, record)
    assert program.expire(hub, HOST, NOW + timedelta(days=90)) == 1
    assert len(hub.states(HOST)) == 1


@pytest.mark.parametrize("name", ["../etc", "nobody", "", "A"])
def test_a_host_that_never_sent_anything_is_told_so(program: ModuleType, hub: Any, name: str) -> None:
    with pytest.raises(program.Failed, match=f"nothing was ever received of it; there are: {HOST}"):
        hub.repository(name)


def test_a_new_hub_takes_in_what_the_lost_one_had_set_out(program: ModuleType, hub: Any, tmp_path: Path) -> None:
    away, door = sys.modules["tram_backup_away"], tmp_path / "host_key"
    door.write_text("the door's key", encoding="utf-8")
    program.keep(hub, HOST, NOW)
    hub.write_record(HOST, hub.read_record(HOST) | {"archives": {"1": "a-1"}})
    assert away.set_out(hub, door) == {"hosts": [HOST]}
    # Hard links of a state: a repository that goes on changes nothing of it.
    commit(hub, 9)
    assert (tmp_path / "outgoing/hosts" / HOST / "repository/data/0/1").stat().st_nlink == 3
    for lost in ("repositories", "history", "records"):
        shutil.rmtree(tmp_path / lost)
        (tmp_path / lost).mkdir()
    door.write_text("a new key", encoding="utf-8")
    assert away.take_in(hub, program.keep, NOW, door) == {"taken": [HOST], "left": []}
    assert door.read_text(encoding="utf-8") == "the door's key"
    assert program.newest(hub.repository(HOST)) == 5
    assert hub.read_record(HOST)["archives"] == {"1": "a-1"}
    assert len(hub.states(HOST)) == 1
    commit(hub, 7)
    assert away.take_in(hub, program.keep, NOW, door) == {"taken": [], "left": [HOST]}
    assert program.newest(hub.repository(HOST)) == 7


def test_nothing_brought_back_is_nothing_to_take_in(program: ModuleType, hub: Any, tmp_path: Path) -> None:
    with pytest.raises(program.Failed, match="has nothing of a hub"):
        sys.modules["tram_backup_away"].take_in(hub, program.keep, NOW, tmp_path / "host_key")


class Borg:
    """Borg with these archives by id, of which it prunes the first; `killed` ends the program before it compacts."""

    def __init__(self, *ids: str) -> None:
        self.archives, self.killed = {one * 64: f"{HOST}-1{one}" for one in ids}, False

    def __call__(self, _host: str, words: list[str], _secret: str, _place: Path | None = None) -> Any:
        out = json.dumps({"archives": [{"id": key, "name": name} for key, name in self.archives.items()]})
        first = next(iter(self.archives.items()))
        said = f"Would prune:      {first[1]}    Sun, 2026-11-01 01:00:00 [{first[0]}]\n" if "--list" in words else ""
        if words[0] == "prune" and "--dry-run" not in words:
            del self.archives[first[0]]
        if words[0] == "compact" and self.killed:
            raise KeyboardInterrupt
        return subprocess.CompletedProcess([], 0, out, said)


def test_a_prune_that_was_killed_is_no_tampering(program: ModuleType, hub: Any) -> None:
    hub.settings["keep"] = {"daily": 2, "weekly": 0, "monthly": 0}
    hub.borg = borg = Borg("a", "b", "c")
    assert program.prune(hub, HOST, "s", dry=True) == {
        "host": HOST, "pruned": [f"{HOST}-1a"], "left": [f"{HOST}-1b", f"{HOST}-1c"]
    }  # fmt: skip
    borg.killed = True
    with pytest.raises(KeyboardInterrupt):
        program.prune(hub, HOST, "s", dry=False)
    borg.killed = False
    assert program.check(hub, HOST, "s", data=False)["archives"] == 2
    del borg.archives["b" * 64]
    with pytest.raises(program.Tampered, match=f"1 archives are gone that nobody here pruned: {HOST}-1b"):
        program.check(hub, HOST, "s", data=False)


def test_a_host_somebody_is_at_keeps_no_other_from_being_kept(
    program: ModuleType, hub: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(hub.repository(HOST), hub.repositories / "a-srv1")
    with program.alone(hub, "a-srv1"):
        kept = program.record_all(hub)
    assert [("problem" in one, one.get("kept")) for one in kept] == [(True, None), (False, True)]
    assert "a-srv1: another tram-backup-hub is at it" in capsys.readouterr().err


def test_a_first_backup_from_a_stick_is_taken_once(program: ModuleType, hub: Any, tmp_path: Path) -> None:
    away, stick = sys.modules["tram_backup_away"], tmp_path / "usb"
    shutil.copytree(hub.repository(HOST), stick / HOST)
    with pytest.raises(program.Failed, match="has handed in already"):
        away.take_seed(hub, program.keep, HOST, stick, NOW)
    shutil.rmtree(hub.repository(HOST))
    with pytest.raises(program.Failed, match="is no backup of"):
        away.take_seed(hub, program.keep, "another-srv1", stick, NOW)
    assert away.take_seed(hub, program.keep, HOST, stick, NOW) == {"host": HOST, "states": 1}
    assert program.newest(hub.repository(HOST)) == 5
