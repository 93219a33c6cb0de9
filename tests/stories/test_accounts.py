"""Accounts, PAM and sudo on a real host: what was planted is held to the policy, nobody locked out, all goes back."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tram.lab.lab import Lab
from tram.push.playbook import Recap, run_playbook

from ..conftest import LAB

pytestmark = pytest.mark.lab

HOST = "so-noi-vu-srv1"
RIGHT, WRONG = "Con-trau*di7truoc", "khong-phai"
PLANT = f"""set -e
useradd -m -s /bin/bash nhan-vien && echo 'nhan-vien:{RIGHT}' | chpasswd
useradd -r -s /bin/bash dich-vu && gpasswd -a dich-vu disk
umask 337; echo 'nhan-vien ALL=(root) NOPASSWD: /bin/ls /root' >/etc/sudoers.d/xem
echo 'Defaults:nhan-vien !authenticate' >/etc/sudoers.d/khong-hoi"""
REMOVE = "rm -f /etc/sudoers.d/xem /etc/sudoers.d/khong-hoi; userdel -r nhan-vien; userdel dich-vu; true"
# Everything of /etc but what a tool keeps beside the files it changes, and etckeeper's own.
STATE = r"""cd / && find etc -path etc/.git -prune -o -printf '%m %u:%g %y %p %l\n' |
grep -vE ' etc(/\.etckeeper|/ld\.so\.cache|/(passwd|shadow|group|gshadow)-|/\.pwd\.lock)?( |$)' | sort
find etc -path etc/.git -prune -o -type f -print0 | sort -z | xargs -0 sha256sum |
grep -vE ' etc/(\.etckeeper|ld\.so\.cache|(passwd|shadow|group|gshadow)-)$'
sha256sum var/lib/pam/*; ls usr/share/pam-configs; stat -c '%a %n' root home/*"""


def play(folder: Path, **variables: object) -> Recap:
    """The role alone, on the one host."""
    playbook = folder / "accounts.yml"
    body = {"hosts": HOST, "become": True, "gather_facts": False, "vars": variables, "roles": ["accounts_policy"]}
    playbook.write_text(yaml.safe_dump([body], allow_unicode=True), encoding="utf-8")
    return run_playbook(playbook, LAB)


def bash(lab: Lab, script: str) -> str:
    return lab.sh(HOST, ["bash", "-c", script]).stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plays")


@pytest.fixture(scope="module")
def held(converged: Lab, folder: Path) -> Iterator[Lab]:
    """With people, services and rules that the policy does not like; afterwards as it was found."""
    assert play(folder, accounts_policy_enabled=False).failures() == []
    assert converged.sh(HOST, ["bash", "-c", PLANT]).code == 0
    before = bash(converged, STATE)
    try:
        first = play(folder)
        assert first.failures() == []
        assert first.changed() != []
        yield converged
        undone = play(folder, accounts_policy_enabled=False)
        assert undone.failures() == []
        after = bash(converged, STATE)
        assert set(after.splitlines()) ^ set(before.splitlines()) == set()
    finally:
        bash(converged, REMOVE)


def sudo(lab: Lab, password: str) -> bool:
    # At a terminal: without one sudo serves the operator only.
    ask = "script -qec \"sudo -S -k -p '' /bin/ls /root\" /dev/null"
    script = f"printf '{password}\\n' | runuser -u nhan-vien -- {ask}"
    return lab.sh(HOST, ["bash", "-c", script]).code == 0


def test_a_second_run_changes_nothing(held: Lab, folder: Path) -> None:
    assert play(folder).changed() == []


def test_what_was_planted_is_held_to_the_policy(held: Lab) -> None:
    assert bash(held, "getent passwd dich-vu").strip().endswith(":/usr/sbin/nologin")
    assert bash(held, "id -nG dich-vu").split() == ["dich-vu"]
    assert bash(held, "cat /etc/sudoers.d/xem") == "nhan-vien ALL=(root) PASSWD: /bin/ls /root\n"
    assert bash(held, "cat /etc/sudoers.d/khong-hoi") == ""
    assert bash(held, "getent shadow nhan-vien").strip().split(":")[3:7] == ["1", "365", "14", "45"]
    assert bash(held, "getent shadow tram").strip().split(":")[4:8] == ["99999", "7", "", ""]


def test_wrong_passwords_lock_and_a_right_one_is_enough_again_afterwards(held: Lab) -> None:
    assert sudo(held, RIGHT)
    for _ in range(3):
        assert not sudo(held, WRONG)
    assert not sudo(held, RIGHT), "locked"
    bash(held, "faillock --user nhan-vien --reset")
    assert sudo(held, RIGHT)


def test_the_centre_gets_in_even_while_somebody_tries_passwords_in_its_name(held: Lab) -> None:
    script = """for i in 1 2 3 4 5 6; do printf 'sai\\n' |
    runuser -u nhan-vien -- script -qec 'su tram -c true' /dev/null; done
    python3 - <<'PY'
import struct, time
record = struct.pack("<52sHHQ", b"thu", 0, 1, int(time.time()))
open("/run/faillock/tram", "ab").write(record * 6)
PY
    faillock --user tram | grep -c V"""
    assert int(bash(held, script).split()[-1]) >= 6
    ssh = ["ssh", "-F", str(held.paths.state / "ssh_config"), "-o", "ControlPath=none", HOST, "sudo", "-n", "id", "-u"]
    assert subprocess.run(ssh, capture_output=True, text=True, check=False).stdout == "0\n"
    bash(held, "faillock --user tram --reset")


def test_rules_of_sudo_that_somebody_broke_stop_the_role_with_their_own_words(held: Lab, folder: Path) -> None:
    bash(held, "umask 337; echo 'day la loi' >/etc/sudoers.d/hong")
    try:
        told = " ".join(play(folder).failures())
        assert "sudo's rules are wrong" in told
        assert "/etc/sudoers.d/hong" in told
    finally:
        bash(held, "rm -f /etc/sudoers.d/hong")
    assert play(folder).failures() == []


def test_one_control_goes_back_alone(held: Lab, folder: Path) -> None:
    recap = play(folder, control_off=["password-lock", "umask"])
    assert recap.failures() == []
    assert "faillock" not in bash(held, "cat /etc/pam.d/common-auth")
    assert "pam_pwhistory" in bash(held, "cat /etc/pam.d/common-password")
    assert "nullok" not in bash(held, "cat /etc/pam.d/common-auth")
    assert bash(held, "ls /etc/profile.d/60-tram-umask.sh") == ""
    assert play(folder).failures() == []
    assert "authsucc" in bash(held, "cat /etc/pam.d/common-auth")
