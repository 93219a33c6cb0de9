"""The module `control`: what is asked for is written, what stood before comes back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from .many_things import Run, control, me, tree


def test_what_is_asked_for_is_written_once_and_then_left_alone(run: Run, etc: Path) -> None:
    first = run(control(etc))
    assert first["changed"] is True
    assert first["applied"] == ["many-things"]
    assert (etc / "login.defs").read_text() == "# old\nNEW 1\nUMASK 027\nno end of line\n"
    assert (etc / "issue").read_text() == "Trạm\n"
    assert tree(etc)["new.d/deep/file.conf"] == ("100600", "a\n")
    second = run(control(etc))
    assert (second["changed"], second["applied"], second["paths"]) == (False, [], [])


def test_undo_leaves_nothing_of_a_control(run: Run, etc: Path) -> None:
    before = tree(etc)
    run(control(etc))
    told = run(control(etc), off=["many-things"])
    assert told["undone"] == ["many-things"]
    assert tree(etc) == before
    assert run(control(etc), off=["many-things"])["changed"] is False


def test_what_changed_while_a_control_was_off_is_what_stood_before_it(run: Run, etc: Path) -> None:
    run(control(etc))
    run(control(etc), off=["many-things"])
    (etc / "issue").write_text("by hand\n")
    run(control(etc))
    run(control(etc), off=["many-things"])
    assert (etc / "issue").read_text() == "by hand\n"


def test_what_somebody_changed_since_an_undo_is_left_alone(run: Run, etc: Path) -> None:
    run(control(etc))
    run(control(etc), off=["many-things"])
    (etc / "issue").write_text("by hand\n")
    assert run(control(etc), off=["many-things"])["changed"] is False
    assert (etc / "issue").read_text() == "by hand\n"


def test_an_undo_that_was_itself_taken_back_loses_nothing(run: Run, etc: Path, tmp_path: Path) -> None:
    """A lock-out brings /etc back to the hardened state, and the records with it."""
    before = tree(etc)
    run(control(etc))
    for folder in ("etc", "state"):
        shutil.copytree(tmp_path / folder, tmp_path / "hardened" / folder, symlinks=True)
    run(control(etc), off=["many-things"])
    for folder in ("etc", "state"):
        shutil.rmtree(tmp_path / folder)
        shutil.copytree(tmp_path / "hardened" / folder, tmp_path / folder, symlinks=True)
    run(control(etc))
    run(control(etc), off=["many-things"])
    assert tree(etc) == before


def test_what_somebody_made_as_we_want_it_while_a_control_was_off_is_his(run: Run, etc: Path) -> None:
    run(control(etc))
    run(control(etc), off=["many-things"])
    (etc / "target").unlink()
    (etc / "target").symlink_to("/dev/null")
    run(control(etc))
    run(control(etc), off=["many-things"])
    assert str((etc / "target").readlink()) == "/dev/null"


def test_a_directory_that_two_controls_share_goes_with_the_last_of_them(run: Run, etc: Path) -> None:
    before = tree(etc)
    both = [
        {"id": name, "files": [me({"path": str(etc / "shared.d" / name), "content": "x\n"})]} for name in ("one", "two")
    ]
    run(*both)
    run(*both, off=["one"])
    run(*both, off=["one", "two"])
    assert tree(etc) == before


def test_a_control_that_asks_for_nothing_has_no_record(run: Run, tmp_path: Path) -> None:
    assert run({"id": "mount-home", "files": [], "lines": []})["changed"] is False
    assert not (tmp_path / "state/mount-home.json").exists()


def test_a_dry_run_says_what_would_change_and_changes_nothing(run: Run, etc: Path, tmp_path: Path) -> None:
    before = tree(tmp_path)
    assert run(control(etc), check_mode=True)["applied"] == ["many-things"]
    assert tree(tmp_path) == before
    run(control(etc))
    hardened = tree(tmp_path)
    assert run(control(etc), check_mode=True)["changed"] is False
    assert run(control(etc), check_mode=True, off=["many-things"])["undone"] == ["many-things"]
    assert tree(tmp_path) == hardened


def test_what_a_control_manages_no_longer_goes_back(run: Run, etc: Path) -> None:
    run(control(etc))
    less = control(etc) | {"files": control(etc)["files"][:1]}
    assert run(less)["applied"] == ["many-things"]
    assert (etc / "issue").read_text() == "Debian\n"
    assert run(less)["changed"] is False


def test_a_killed_run_is_completed_by_the_next(run: Run, etc: Path, things: ModuleType) -> None:
    before, killed = tree(etc), {"after": 0}
    whole = things.Node.change

    def dies(self: Any, validate: Any) -> None:
        if killed["after"] == 1:
            raise KeyboardInterrupt
        killed["after"] += 1
        whole(self, validate)

    things.Node.change = dies
    with pytest.raises(KeyboardInterrupt):
        run(control(etc))
    things.Node.change = whole
    run(control(etc))
    assert (etc / "issue").read_text() == "Trạm\n"
    run(control(etc), off=["many-things"])
    assert tree(etc) == before


def test_a_whole_that_is_refused_is_put_back(run: Run, etc: Path, tmp_path: Path) -> None:
    before = tree(etc)
    told = run(control(etc), check=["sh", "-c", "echo line 7 is wrong >&2; exit 3"])
    assert told["failed"] is True
    assert "line 7 is wrong" in told["msg"]
    assert "many-things" in told["msg"]
    assert {k: v for k, v in tree(etc).items() if not k.startswith("new.d")} == before
    assert not (tmp_path / "state/many-things.json").exists()


def test_a_file_that_is_refused_is_never_in_its_place(run: Run, etc: Path) -> None:
    item = me({"path": str(etc / "issue"), "content": "bad\n", "validate": "grep -q good %s"})
    told = run({"id": "one", "files": [item]})
    assert told["failed"] is True
    assert (etc / "issue").read_text() == "Debian\n"
    assert [path.name for path in etc.iterdir() if "tram-new" in path.name] == []


def test_kernel_values_are_set_kept_and_put_back_and_what_cannot_be_is_told(
    run: Run, tmp_path: Path, things: ModuleType
) -> None:
    things.Sysctl.root = tmp_path / "sys"
    (tmp_path / "sys/kernel").mkdir(parents=True)
    value = tmp_path / "sys/kernel/kptr_restrict"
    value.write_text("0\n")
    asked = {"id": "kernel-pointers", "sysctl": {"kernel.kptr_restrict": "2", "kernel.no_such": "1"}}
    told = run(asked)
    assert value.read_text() == "2\n"
    assert told["unsupported"] == {"kernel.no_such": "the kernel has no such key"}
    value.write_text("1\n")
    assert run(asked)["changed"] is True
    assert value.read_text() == "2\n"
    run(asked, off=["kernel-pointers"])
    assert value.read_text() == "0\n"


def test_a_kernel_value_that_cannot_be_put_back_is_told_and_tried_again(
    run: Run, tmp_path: Path, things: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(things.Sysctl, "root", tmp_path / "sys")
    value = tmp_path / "sys/kernel/kptr_restrict"
    value.parent.mkdir(parents=True)
    value.write_text("0\n")
    asked = {"id": "kernel-pointers", "sysctl": {"kernel.kptr_restrict": "2"}}
    run(asked)

    def refuses(self: Any, value: str) -> None:
        raise things.Impossible(f"{self.name}: it refuses {value}")

    with monkeypatch.context() as patch:
        patch.setattr(things.Sysctl, "_set", refuses)
        told = run(asked, off=["kernel-pointers"])
    assert "it could not be put back" in told["unsupported"]["kernel.kptr_restrict"]
    assert told["undone"] == []
    run(asked, off=["kernel-pointers"])
    assert value.read_text() == "0\n"


def test_forwarding_changes_nothing_beside_it(
    tmp_path: Path, things: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel does it: whoever writes the one changes the other."""
    monkeypatch.setattr(things.Sysctl, "root", tmp_path)
    redirects, forward = tmp_path / "net/ipv4/conf/all/accept_redirects", tmp_path / "net/ipv4/ip_forward"
    redirects.parent.mkdir(parents=True)
    redirects.write_text("0\n")
    forward.write_text("1\n")
    write = Path.write_text

    def kernel(path: Path, text: str, *words: Any, **named: Any) -> int:
        if path == forward:
            write(redirects, "1\n")
        return write(path, text, *words, **named)

    monkeypatch.setattr(Path, "write_text", kernel)
    things.Sysctl("net.ipv4.ip_forward", "0").change(lambda _command, _path: None)
    assert (forward.read_text(), redirects.read_text()) == ("0\n", "0\n")


def test_packages_are_recorded_and_only_those_that_came_with_the_control_are_to_go(run: Run) -> None:
    asked = {"id": "log-audit", "packages": ["dpkg", "no-such-package"]}
    assert run(asked)["install"] == ["no-such-package"]
    assert run(asked, off=["log-audit"])["purge"] == []


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that say which packages are there (a file a package), and a library that only `watcher` needs; `torn`
    is unneeded already, whatever comes or goes."""
    there, programs = tmp_path / "there", tmp_path / "programs"
    there.mkdir()
    programs.mkdir()
    scripts = {
        "dpkg-query": f"""
            case "$*" in *Package*) for one in $(ls {there}); do echo "installed/$one"; done ;;
            *) for last; do :; done; [ -e {there}/$last ] && printf installed ;; esac""",
        "apt-mark": "printf 'libwatch\\ntorn\\nmine\\n'",
        "apt-get": f"""case "$*" in
            *auto-remove\\ remove\\ watcher*) printf 'Remv watcher [1]\\nPurg libwatch:amd64 [1]\\n' ;;
            *\\ base*) printf 'Remv base [1]\\n'; [ ! -e {there}/theirs ] || printf 'Remv theirs [2]\\n' ;; esac
            printf 'Remv torn [1]\\n'""",
    }
    for name, script in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\ntrue\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    for name in ("dpkg", "torn"):
        (there / name).touch()
    return there


def test_what_came_with_a_package_goes_with_it_and_nothing_else_does(run: Run, apt: Path) -> None:
    asked = {"id": "integrity-watched", "packages": ["watcher"]}
    assert run(asked)["install"] == ["watcher"]
    for name in ("watcher", "libwatch"):
        (apt / name).touch()
    assert run(asked)["changed"] is False
    assert run(asked, off=["integrity-watched"])["purge"] == ["watcher", "libwatch"]


def test_what_was_there_before_a_package_that_needs_it_stays(run: Run, apt: Path) -> None:
    (apt / "libwatch").touch()
    asked = {"id": "integrity-watched", "packages": ["watcher"]}
    run(asked)
    (apt / "watcher").touch()
    assert run(asked, off=["integrity-watched"])["purge"] == ["watcher"]


def test_a_package_that_something_else_came_to_need_stays(run: Run, apt: Path) -> None:
    asked = {"id": "integrity-watched", "packages": ["base", "sniffer"]}
    run(asked)
    for name in ("base", "sniffer", "theirs"):
        (apt / name).touch()
    told = run(asked, off=["integrity-watched"])
    assert (told["purge"], told["kept"]) == (["sniffer"], ["base"])
    (apt / "theirs").unlink()
    told = run(asked, off=["integrity-watched"])
    assert (told["purge"], told["kept"]) == (["base", "sniffer"], [])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"id": "Not An Id"}, "no id"),
        ({"id": "one", "fils": []}, "unknown fils"),
        ({"id": "one", "lines": [{"path": "/etc/hosts", "match": "^a", "line": "b"}]}, "could not be found again"),
    ],
)
def test_a_wrong_control_is_refused_before_anything_is_written(run: Run, wrong: dict[str, Any], words: str) -> None:
    told = run(wrong)
    assert told["failed"] is True
    assert words in told["msg"]


def test_two_controls_that_manage_the_same_are_refused(run: Run, etc: Path) -> None:
    item = me({"path": str(etc / "issue"), "content": "x\n"})
    told = run({"id": "one", "files": [item]}, {"id": "two", "files": [item]})
    assert "managed by two controls: one and two" in told["msg"]


def test_rights_go_through_no_link_that_others_could_have_laid(run: Run, tmp_path: Path) -> None:
    secret, link = tmp_path / "secret", tmp_path / "link"
    secret.write_text("")
    secret.chmod(0o600)
    link.symlink_to(secret)
    tmp_path.chmod(0o777)
    told = run({"id": "file-homes", "files": [{"path": str(link), "mode": "0640"}]})
    assert "others than root could have laid" in told["msg"]
    assert secret.stat().st_mode & 0o777 == 0o600
