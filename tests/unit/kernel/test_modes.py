"""What role kernel offers to change of a file it found, and what it leaves; how it takes a mount point back."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest

from ...role_module import load


@pytest.fixture
def look() -> ModuleType:
    return load("kernel_look", "kernel/library/kernel_look.py")


@pytest.fixture
def mounts() -> ModuleType:
    return load("kernel_mounts", "kernel/library/kernel_mounts.py")


@pytest.fixture
def trusted(look: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's own directory is below one that everybody writes to."""
    monkeypatch.setattr(look, "only_roots", lambda _path: True)


@pytest.mark.parametrize(
    ("control", "before", "after"),
    [
        ("file-setid", 0o4755, "0755"),
        ("file-setid", 0o2755, "0755"),
        ("file-world-writable", 0o0666, "0664"),
        ("file-sticky", 0o0777, "1777"),
    ],
)
@pytest.mark.usefixtures("trusted")
def test_only_the_bit_that_is_wrong_goes(
    look: ModuleType, tmp_path: Path, control: str, before: int, after: str
) -> None:
    file = tmp_path / "file"
    file.touch()
    file.chmod(before)
    item = look.change(control, file, None)
    assert item == {"path": str(file), "if_there": True, "mode": after}


@pytest.mark.usefixtures("trusted")
def test_a_file_that_was_mended_goes_on_being_asked_for_so_that_it_is_not_put_back(
    look: ModuleType, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch(mode=0o755)
    assert look.change("file-setid", file, {"mode": "4755"})["mode"] == f"{file.stat().st_mode & 0o7777:04o}"


def test_a_file_others_could_exchange_for_a_link_is_left_alone(look: ModuleType, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    file = shared / "file"
    file.touch()
    file.chmod(0o666)
    assert look.change("file-world-writable", file, None) is None


@pytest.mark.usefixtures("trusted")
def test_a_link_is_never_followed(look: ModuleType, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/etc/shadow")
    assert look.change("file-world-writable", link, None) is None


@pytest.mark.usefixtures("trusted")
def test_only_an_owner_nobody_knows_is_replaced(look: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    os.chown(file, 54321, 0)
    item = look.change("file-owned", file, None)
    assert item == {"path": str(file), "if_there": True, "owner": "root"}


def test_a_mount_point_gets_what_is_missing_and_keeps_what_it_has(mounts: ModuleType) -> None:
    now = {"root": "/", "type": "tmpfs", "vfs": ["rw", "nosuid"], "all": ["rw", "nosuid", "rw", "size=1k"]}
    argv = mounts.command(now, "/tmp", ["nosuid", "nodev"])
    assert argv == ["mount", "-o", "remount,bind,nosuid,nodev", "/tmp"]
    assert mounts.command({**now, "all": [*now["all"], "nodev"]}, "/tmp", ["nosuid", "nodev"]) is None


def test_a_directory_bound_to_itself_is_let_go(mounts: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "in_fstab", lambda _place: None)
    now = {"root": "/var/tmp", "type": "ext4", "vfs": ["rw", "noexec"], "all": ["rw", "noexec"]}
    assert mounts.command_off(now, "/var/tmp", ["noexec"]) == ["umount", "--lazy", "/var/tmp"]


def test_an_option_that_is_taken_back_is_said_outright(mounts: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "in_fstab", lambda _place: None)
    vfs = ["rw", "nosuid", "nodev", "noexec"]
    argv = mounts.command_off({"root": "/", "type": "tmpfs", "vfs": vfs, "all": vfs}, "/dev/shm", ["noexec"])
    assert argv == ["mount", "-o", "remount,bind,nosuid,nodev,exec", "/dev/shm"]
