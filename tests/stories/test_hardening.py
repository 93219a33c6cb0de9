"""Hardening that is killed anywhere and run again ends with what runs equal to what is on the disk."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tram.lab.lab import Lab, down, up
from tram.push.playbook import ansible_program, run_playbook

from ..conftest import LAB, REPO, take_over

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(3 * 3600)]

NAME = f"harden{os.getpid() % 10000}"
SEED = 20261122
HUB, NEAR, NEW = "trung-tam-hub1", "so-noi-vu-srv1", "huong-khe-srv1"  # NEW has Debian 13
KILLS = ("pushed", "pushed", "pushed, power cut", "delivered", "delivered, power cut") * 2  # on each of two hosts: 20
FEW = (1, 4)  # of each host's kills those that are not left to the long run
HARDEN = REPO / "playbooks/harden.yml"
# A killed centre never says its word: a host that got through its run meanwhile waits for it for seconds, not minutes.
IMPATIENT = """
import dataclasses, datetime
from tram.delivery import policy
usual = policy._for_line
policy._for_line = lambda link: dataclasses.replace(usual(link), confirm=datetime.timedelta(seconds=20))
from tram.cli.main import main
main()
"""
CHECKER = REPO / "tests/stories/hardening/in_effect.py"


@dataclass(slots=True)
class Ground:
    """Two hosts that can be put back to where they stood before they were hardened."""

    lab: Lab
    inventory: Path
    tasks: dict[str, int]  # how many tasks an undisturbed run has, by host
    impossible: set[str]  # differences an undisturbed run leaves: values that this machine's kernel does not let be set

    def put_back(self, host: str) -> None:
        """The disk as it was, and the power on."""
        machine = self.lab.machine(host)
        machine.cut_power()
        shutil.rmtree(machine.upper)
        subprocess.run(["cp", "-a", f"{machine.upper}.before", machine.upper], check=True)
        self.lab.power_on(host)

    def keep(self, host: str) -> None:
        """Remember the disk as it is now."""
        machine = self.lab.machine(host)
        machine.stop()
        shutil.rmtree(f"{machine.upper}.before", ignore_errors=True)
        subprocess.run(["cp", "-a", machine.upper, f"{machine.upper}.before"], check=True)
        self.lab.power_on(host)

    def differences(self, host: str) -> list[str]:
        """What runs on a host otherwise than its disk says, found without any code of the roles."""
        said = self.lab.machine(host).sh(["python3", "-"], stdin=CHECKER.read_text(), timeout=timedelta(minutes=2))
        assert said.code == 0, said.stderr
        return [one for one in json.loads(said.stdout) if one not in self.impossible]

    def again(self, host: str, how: str) -> list[str]:
        """The same playbook the same way once more; what is wrong with that."""
        if how.startswith("pushed"):
            return run_playbook(HARDEN, self.inventory, extra=["--limit", host]).failures()
        ran = self.tram("deliver", "harden", "--limit", host, "--now")
        return [] if ran.returncode == 0 else [f"run again: {ran.stdout[-1500:]}{ran.stderr[-500:]}"]

    def tram(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`tram …`, as an operator."""
        argv = [str(ansible_program("tram")), *words, "-i", str(self.inventory)]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=1500)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Hosts with base, names and certificates, and every package that hardening installs."""
    inventory = tmp_path_factory.mktemp("province") / "lab"
    shutil.copytree(LAB, inventory)
    for file in (inventory / "sites").glob("*.yml"):
        text = file.read_text(encoding="utf-8").replace(", mail, webmail]", "]").replace(", mail]", "]")
        suite = "trixie" if file.stem == "huong-khe" else "bookworm"
        file.write_text(text.replace("suite: bookworm", f"suite: {suite}"), encoding="utf-8")
    # What AIDE reads of a whole system takes longer than everything else together; a killed run makes it twice.
    (inventory / "group_vars/all.yml").write_text("---\nintegrity_paths: [/etc]\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAM_LAB", NAME)
        try:
            lab = up(inventory, NAME, print)
            found = Ground(lab, inventory, {}, set())
            _prepare(found)
            yield found
        finally:
            down(NAME)


def _prepare(ground: Ground) -> None:
    take_over(ground.lab)
    assert run_playbook(REPO / "playbooks/site.yml", ground.inventory).failures() == []
    assert ground.tram("deliver", "--install", "--all").returncode == 0
    for code in ("so-noi-vu", "huong-khe"):
        ground.lab.set_link(code, down_bps=100_000_000, up_bps=100_000_000, rtt=0.002, loss=0.0)
    had = {host: _packages(ground.lab, host) for host in (NEAR, NEW)}
    for host in had:
        ground.keep(host)
    whole = run_playbook(HARDEN, ground.inventory)
    assert whole.failures() == []
    ground.tasks = whole.executions()
    for host, before in had.items():
        left = ground.differences(host)
        assert [one for one in left if not one.startswith("sysctl ")] == [], host
        ground.impossible |= set(left)
        new = sorted(_packages(ground.lab, host) - before)
        ground.put_back(host)
        bring = f"apt-get -q -y upgrade && apt-get -q -y install --no-install-recommends {' '.join(new)}"
        assert ground.lab.sh(host, ["sh", "-c", bring], timeout=timedelta(minutes=10)).code == 0
        ground.keep(host)
    print(f"\ntasks of a whole run: {ground.tasks}; not to be set in this lab: {sorted(ground.impossible)}")


def _packages(lab: Lab, host: str) -> set[str]:
    return set(lab.sh(host, ["dpkg-query", "-W", "-f", "${Package}\n"]).stdout.split())


def test_the_look_finds_what_runs_otherwise_than_the_disk_says(ground: Ground) -> None:
    plant = """
    printf 'KexAlgorithms sntrup761x25519-sha512@openssh.com\\n' >/etc/ssh/sshd_config.d/01-planted.conf
    printf 'kernel.pid_max = 70001\\n' >/etc/sysctl.d/61-tram-planted.conf
    printf '#!/usr/sbin/nft -f\\ntable inet planted {\\n chain c {\\n  drop\\n }\\n}\\n' >/etc/nftables.conf
    mkdir -p /etc/systemd/system/chrony.service.d
    sleep 1.1
    printf '[Service]\\nNice=1\\n' >/etc/systemd/system/chrony.service.d/99-planted.conf
    """
    assert ground.lab.sh(NEAR, ["sh", "-c", plant]).code == 0
    found = " ".join(ground.differences(NEAR))
    ground.put_back(NEAR)
    assert "sshd kexalgorithms" in found
    assert "sysctl kernel/pid_max" in found
    assert "table inet planted" in found
    assert "chrony.service: systemd has not read" in found


def _plan() -> dict[str, list[tuple[str, float]]]:
    """By host how each of its runs is killed, and at which share of its tasks; always the same."""
    chance = random.Random(SEED)
    return {host: [(how, chance.random()) for how in KILLS] for host in (NEAR, NEW)}


def _kill(ground: Ground, kills: Mapping[str, Sequence[tuple[str, float]]]) -> None:
    """Kill and run again, on both hosts at a time; print what happens, as it does, and assert that nothing is wrong."""
    print()
    began = time.monotonic()
    with ThreadPoolExecutor(len(kills)) as pool:
        told = [*pool.map(lambda host: [_killed(ground, host, how, share) for how, share in kills[host]], kills)]
    print(f"{sum(map(len, kills.values()))} kills: {time.monotonic() - began:.0f} s")
    assert [(line, left) for lines in told for line, left in lines if left] == []


def test_killed_and_run_again_what_runs_is_what_the_disk_says(ground: Ground) -> None:
    _kill(ground, {host: [kills[at]] for (host, kills), at in zip(_plan().items(), FEW, strict=True)})


def test_killed_at_twenty_random_tasks_what_runs_is_what_the_disk_says(ground: Ground) -> None:
    """The others of the twenty."""
    left = {host: [*kills] for host, kills in _plan().items()}
    for kills, at in zip(left.values(), FEW, strict=True):
        del kills[at]
    _kill(ground, left)


def _killed(ground: Ground, host: str, how: str, share: float) -> tuple[str, list[str]]:
    """Kill a first run of the playbook at one of its tasks and run it again: (what happened, what is wrong then)."""
    ground.put_back(host)
    began = time.monotonic()
    if how.startswith("pushed"):
        where = _kill_pushed(ground, host, how, share)
    else:
        where = _kill_delivered(ground, host, how, share)
    if "power" in how:
        ground.lab.power_on(host)
    halfway = ground.differences(host)
    wrong = ground.again(host, how)
    wrong += ground.differences(host)
    seconds = time.monotonic() - began
    told = f"{host}: {how}, {where}: {len(halfway)} differences, again: {len(wrong)} ({seconds:.0f} s)"
    print("\n".join([told, *wrong]), flush=True)
    return told, wrong


def _kill_pushed(ground: Ground, host: str, how: str, share: float) -> str:
    """Plain ansible-playbook, ended without a word in the task that comes after that share of those it carries out."""
    # The last of them is where it says that it is over: after that there is nothing to kill. And a host that has its
    # packages already carries out a few fewer than the run that was counted.
    place = 0.9 * share * (ground.tasks[host] - 1)
    at, within = int(place), 1.5 * (place % 1)
    argv = [ansible_program("ansible-playbook"), "-i", ground.inventory, "-l", host, HARDEN]
    env = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.jsonl"}
    done, task = 0, ""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            event = json.loads(line) if line.startswith("{") else {}
            kind = event.get("_event", "")
            if kind == "v2_playbook_on_task_start":
                task = event["task"]["name"]
            done += kind.startswith("v2_runner_on_") and kind != "v2_runner_on_skipped"
            if done >= at and kind.startswith("v2_playbook_on_"):
                break
        else:
            raise AssertionError(f"{host}: the playbook ended before its task {at} of {ground.tasks[host]}")
        time.sleep(within)
        if "power" in how:
            ground.lab.power_cut(host)
        os.killpg(running.pid, signal.SIGKILL)
    return f"after {done} tasks of {ground.tasks[host]}, {within:.1f} s into: {task}"


def _kill_delivered(ground: Ground, host: str, how: str, share: float) -> str:
    """A delivered run: all of the runner on the host ends, or the host has no power, at that share of its tasks."""
    runs = Path(f"/proc/{ground.lab.machine(host).init_pid()}/root/var/lib/tram/site/runs")
    had = set(runs.glob("*"))
    words = ["deliver", "harden", "--limit", host, "--now", "-i", str(ground.inventory)]
    argv = [sys.executable, "-c", IMPATIENT, *words]
    quiet = subprocess.DEVNULL
    stood: dict[str, Any] = {"done": 0, "of": 1, "task": ""}
    with subprocess.Popen(argv, stdout=quiet, stderr=quiet, start_new_session=True) as running:
        until = time.monotonic() + 240
        while (
            stood["done"] < share * (stood["of"] or ground.tasks[host])
            and running.poll() is None
            and time.monotonic() < until
        ):
            time.sleep(0.05)
            for run in set(runs.glob("*")) - had:
                with suppress(OSError):
                    stood = {**stood, **json.loads((run / "progress.json").read_text(encoding="utf-8"))}
        if "power" in how:
            ground.lab.power_cut(host)
        else:
            ground.lab.sh(host, ["systemctl", "kill", "--signal=SIGKILL", "tram-site.service"])
        os.killpg(running.pid, signal.SIGKILL)
    return f"task {stood['done']} of {stood['of']} ({stood['task']})"
