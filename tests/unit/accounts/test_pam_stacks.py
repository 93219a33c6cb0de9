"""PAM's stacks, composed by Debian's own pam-auth-update in a temporary directory: whole wherever a run dies."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from ...role_module import ROLES, call, load

COMPOSER = Path("/usr/sbin/pam-auth-update")
Run = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.skipif(not COMPOSER.exists(), reason="only Debian has pam-auth-update")


def profiles() -> dict[str, str]:
    """Those of the role, with a number in place of its variable."""
    read = yaml.safe_load((ROLES / "accounts_policy/vars/main.yml").read_text(encoding="utf-8"))
    mine: dict[str, dict[str, str]] = read["__accounts_policy_profiles"]
    return {
        name: text.replace("{{ accounts_policy_remember }}", "24")
        for group in mine.values()
        for name, text in group.items()
    }


class Killed(BaseException):
    """The power is gone."""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, on a directory that holds what a fresh Debian has."""
    load("ansible.module_utils.control_things", "control/module_utils/control_things.py")
    module = load("tram_test_pam_stacks", "accounts_policy/library/pam_stacks.py")
    for name in ("etc/pam.d", "var/lib/pam", "usr/share/pam-configs"):
        (tmp_path / "host" / name).mkdir(parents=True)
    host = tmp_path / "host"
    shutil.copy("/usr/share/pam-configs/unix", host / "usr/share/pam-configs/unix")
    (host / "debconf.conf").write_text(module.DEBCONF.format(room=host))
    for kind in module.TYPES:
        shutil.copy(f"/usr/share/pam/common-{kind}", host / "etc/pam.d")
    told = {"DEBCONF_SYSTEMRC": str(host / "debconf.conf"), "DEBIAN_FRONTEND": "noninteractive"}
    command = [str(COMPOSER), "--root", str(host), "--package", "--force"]
    subprocess.run(command, check=True, env={**os.environ, **told}, stdin=subprocess.DEVNULL)
    for old in (host / "etc/pam.d").glob("*.pam-old"):
        old.unlink()
    monkeypatch.setattr(module, "STACKS", host / "etc/pam.d")
    monkeypatch.setattr(module, "NOTES", host / "var/lib/pam")
    monkeypatch.setattr(module, "PROFILES", host / "usr/share/pam-configs")
    monkeypatch.setattr(module, "ROOT", {"uid": os.geteuid(), "gid": os.getegid()})
    monkeypatch.setattr(module, "locked_out", lambda *_: "")
    return module


@pytest.fixture
def run(module: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def go(check_mode: bool = False, fails: bool = False, **params: Any) -> dict[str, Any]:
        arguments = {"operator": "tram", "state": str(tmp_path / "pam.json"), **params}
        arguments |= {"_ansible_check_mode": check_mode, "_ansible_remote_tmp": str(tmp_path)}
        told = call(module, arguments, capsys, monkeypatch)
        assert told.get("failed", False) == fails, told
        return told

    return go


def on() -> dict[str, Any]:
    return {"profiles": profiles(), "no_null": True}


def folders(module: ModuleType) -> tuple[Path, ...]:
    return (module.STACKS, module.NOTES, module.PROFILES)


def tree(module: ModuleType) -> dict[str, str]:
    return {path.name: path.read_text() for folder in folders(module) for path in folder.iterdir()}


def lines(module: ModuleType, kind: str) -> list[str]:
    text = (module.STACKS / f"common-{kind}").read_text()
    return [" ".join(line.split()) for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.slow
def test_wrong_passwords_are_counted_on_every_path_and_nobody_gets_in_without_one(module: ModuleType, run: Run) -> None:
    before = tree(module)
    assert run(check_mode=True, **on())["changed"]
    assert tree(module) == before
    assert run(**on())["stacks"]
    assert lines(module, "auth") == [
        "auth required pam_faillock.so preauth",
        "auth [success=2 default=ignore] pam_unix.so try_first_pass",
        "auth [default=die] pam_faillock.so authfail",
        "auth requisite pam_deny.so",
        "auth required pam_permit.so",
        "auth sufficient pam_faillock.so authsucc",
    ]
    assert lines(module, "password")[1].startswith(
        "password [success=1 default=ignore] pam_unix.so obscure use_authtok"
    )
    assert not run(**on())["changed"]


def test_taken_back_the_stacks_are_what_they_were(module: ModuleType, run: Run) -> None:
    before = tree(module)
    run(**on())
    assert run(profiles={}, no_null=False)["changed"]
    assert tree(module) == before
    assert not run(profiles={}, no_null=False)["changed"]


def test_each_profile_goes_alone(module: ModuleType, run: Run) -> None:
    run(**on())
    mine = profiles()
    run(profiles={"tram-history": mine["tram-history"]}, no_null=True)
    assert lines(module, "auth")[0] == "auth [success=1 default=ignore] pam_unix.so"
    assert any("pam_pwhistory" in line for line in lines(module, "password"))


@pytest.mark.slow
def test_killed_between_any_two_files_the_next_run_ends_where_it_would_have(
    module: ModuleType, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fresh = tree(module)
    run(**on())
    whole = tree(module)
    real = module.replace
    for at in range(2, 18, 3):
        left = at

        def dying(*arguments: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed
            real(*arguments)

        for folder in folders(module):
            for path in folder.iterdir():
                path.write_text(fresh[path.name]) if path.name in fresh else path.unlink()
        (tmp_path / "pam.json").unlink(missing_ok=True)
        monkeypatch.setattr(module, "replace", dying)
        try:
            run(**on())
        except Killed:
            pass
        else:
            assert left > 0
        monkeypatch.setattr(module, "replace", real)
        run(**on())
        assert tree(module) == whole, f"killed at file {at}"


def test_etc_put_back_by_a_revert_is_taken_up_again(module: ModuleType, run: Run) -> None:
    fresh = tree(module)
    run(**on())
    whole = tree(module)
    for kind in module.TYPES:
        (module.STACKS / f"common-{kind}").write_text(fresh[f"common-{kind}"])
    run(**on())
    assert tree(module) == whole


def test_a_stack_changed_by_hand_is_left_alone_and_named(module: ModuleType, run: Run) -> None:
    path = module.STACKS / "common-auth"
    path.write_text(path.read_text().replace("auth\trequisite", "auth\trequired pam_ours.so\nauth\trequisite"))
    text = path.read_text().replace("# here's the fallback", "auth\tsufficient\tpam_ours.so\n# here's the fallback")
    path.write_text(text)
    before = tree(module)
    told = run(fails=True, **on())
    assert "common-*: were changed by hand in a way it cannot merge" in told["msg"]
    assert tree(module) == before


def test_an_operator_who_would_not_get_in_keeps_the_old_stacks(
    module: ModuleType, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: text for name, text in tree(module).items() if name.startswith("common-")}
    monkeypatch.setattr(module, "locked_out", lambda *_: "PAM (sshd) refuses tram: Permission denied")
    assert run(fails=True, **on())["msg"] == "PAM (sshd) refuses tram: Permission denied. PAM was put back as it was."
    assert {name: text for name, text in tree(module).items() if name.startswith("common-")} == before
