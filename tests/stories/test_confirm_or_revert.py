"""On a real host: what locks the centre out is taken back, an outage is told from it, a power cut is gone over."""

from __future__ import annotations

import io
import json
import os
import random
import secrets
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tram.bundle.runtime_content import runtime_files
from tram.core.canonical import digest
from tram.core.frames import encode, read_frame
from tram.core.order import Order
from tram.lab.lab import Lab, down, up
from tram.site.install.plan import COMMANDS, Put, install_plan

from ..conftest import LAB, take_over
from ..unit.site.host import RUNTIME, Key, make_key, pack_of, tree_of

pytestmark = [pytest.mark.lab, pytest.mark.apart]

HOST, SITE = "so-noi-vu-srv1", "so-noi-vu"
PROXY = "http://192.0.2.1:3142"
STATE = "/var/lib/tram/site"
SSH_DROP_IN = "/etc/ssh/sshd_config.d/10-story.conf"


@dataclass
class Runner:
    """The host's runner, talked to the way the centre does: over ssh, as the operator."""

    lab: Lab
    key: Key
    serial: int = 0

    def ssh(self, *words: str, multiplexed: Path | None = None) -> list[str]:
        shared = ["-o", f"ControlPath={multiplexed}"] if multiplexed else ["-o", "ControlPath=none"]
        options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=5", *shared]
        return ["ssh", "-F", str(self.lab.paths.state / "ssh_config"), *options, HOST, *words]

    def reachable(self) -> bool:
        return subprocess.run(self.ssh("true"), capture_output=True, check=False).returncode == 0

    def exchange(self, *sent: bytes, multiplexed: Path | None = None) -> list[dict[str, Any]]:
        argv = self.ssh("sudo", "-n", "/usr/local/sbin/tram-site", "exchange", multiplexed=multiplexed)
        ran = subprocess.run(argv, input=b"".join(sent), capture_output=True, check=False, timeout=120)
        stream, found = io.BytesIO(ran.stdout), []
        while (frame := read_frame(stream)) is not None:
            found.append(frame)
        assert found, ran.stderr.decode()
        return found

    def send(self, tasks: list[dict[str, Any]], **changes: Any) -> str:
        """An order whose playbook has these tasks; accepted. The run's name."""
        variables = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
        play = {"hosts": HOST, "gather_facts": False, "tasks": tasks}
        files = {
            "playbook.yml": json.dumps([play]).encode(),
            "inventory.yml": json.dumps({"all": {"hosts": {HOST: variables}}}).encode(),
            "ansible.cfg": b"[defaults]\n",
        }
        self.serial = max(self.serial, self.exchange()[0]["serial"]) + 1
        now = datetime.now(UTC).replace(microsecond=0)
        tree = tree_of(files)
        given: dict[str, Any] = {
            "province": self.lab.province.code,
            "site": SITE,
            "host": HOST,
            "run": f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
            "serial": self.serial,
            "playbook": "playbooks/story.yml",
            "tree": tree.digest,
            "bytes": tree.bytes,
            "runtime": RUNTIME,
            "issued": now,
            "expires": now + timedelta(hours=1),
        }
        order = Order(**{**given, **changes})
        pack = pack_of(files)
        frame = {
            "t": "order",
            "order": json.loads(order.canonical()),
            "sig": self.key.sign(order.canonical()),
            "pack": digest(pack),
            "pack_bytes": len(pack),
            "offset": 0,
            "now": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        }
        answer = self.exchange(encode(frame), encode({"t": "data", "bytes": len(pack)}) + pack)[1]
        assert answer["t"] == "accepted", answer
        return order.run

    def journal(self, run: str) -> dict[str, Any]:
        """Read on the host itself, not over the line."""
        return dict(json.loads(self.lab.sh(HOST, ["cat", f"{STATE}/runs/{run}/state.json"]).stdout))

    def result(self, run: str, within: float = 120) -> dict[str, Any]:
        self.wait(lambda: self.journal(run)["state"] in ("done", "failed", "reverted", "refused"), within, run)
        return dict(json.loads(self.lab.sh(HOST, ["cat", f"{STATE}/runs/{run}/result.json"]).stdout))

    def wait(self, what: Callable[[], bool], within: float, run: str) -> None:
        until = time.monotonic() + within
        while not what():
            if time.monotonic() > until:
                show = f"journalctl -u tram-site --no-pager | tail -n 40; tail -n 20 {STATE}/runs/{run}/*.json* || true"
                raise AssertionError(f"not within {within} s\n{self.lab.sh(HOST, ['sh', '-c', show]).stdout}")
            time.sleep(0.3)

    def sh(self, text: str) -> str:
        return self.lab.sh(HOST, ["sh", "-c", text]).stdout


def archive(runtime: dict[str, bytes], plan: tuple[Put, ...]) -> bytes:
    """The runtime, as the one in use, and every file of the plan, as a tar for /."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=3) as tar:
        puts = [Put(f"/opt/tram/runtime/{RUNTIME}/{name}", content) for name, content in runtime.items()]
        for put in (*puts, *plan):
            entry = tarfile.TarInfo(put.path.lstrip("/"))
            entry.mode, entry.size = put.mode, len(put.content)
            tar.addfile(entry, io.BytesIO(put.content))
        current = tarfile.TarInfo("opt/tram/runtime/current")
        current.type, current.linkname = tarfile.SYMTYPE, RUNTIME
        tar.addfile(current)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def own_lab() -> Iterator[Lab]:
    """A lab of this story's own, hosts taken over and otherwise bare: what it does to them is no good to others."""
    name = f"runner{os.getpid() % 100000}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAM_LAB", name)
        try:
            lab = up(LAB, name, print)
            take_over(lab)
            yield lab
        finally:
            down(name)


@pytest.fixture(scope="module")
def runner(own_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """The host with the runtime, as an installation leaves it, with a firewall and etckeeper to play with."""
    key = make_key(tmp_path_factory.mktemp("centre"))
    hub = str(own_lab.province.hub_host.address)
    signers = f'centre@{own_lab.province.code} namespaces="tram-order" {key.public}'
    plan = install_plan(own_lab.province.code, SITE, HOST, operator="tram", allowed_signers=signers, probes=[(hub, 22)])
    found = Runner(own_lab, key)
    into = found.ssh("sudo", "tar", "-C", "/", "--no-same-owner", "-xzf", "-")
    subprocess.run(into, input=archive(runtime_files(), plan), check=True, timeout=120)
    apt = f"apt-get -q -y -o Acquire::http::Proxy={PROXY}"
    more = f"({apt} update && {apt} --no-install-recommends install nftables etckeeper git) >/dev/null 2>&1"
    for command in (*(" ".join(words) for words in COMMANDS), f"command -v nft etckeeper >/dev/null || {more}"):
        found.sh(command)
    return found


def copy(path: str, content: str) -> dict[str, Any]:
    module = {"content": content, "dest": path, "mode": "0644"}
    return {"name": f"Write {path}", "ansible.builtin.copy": module}


def command(text: str) -> dict[str, Any]:
    return {"name": f"Run {text}"[:60], "ansible.builtin.command": text}


def test_an_order_is_carried_out_by_systemd_and_nothing_idles_afterwards(runner: Runner) -> None:
    run = runner.send([copy("/etc/motd", "xin chào\n")])
    assert runner.result(run)["outcome"] == "done"
    assert "xin chào" in runner.sh("cat /etc/motd")
    runner.wait(lambda: "inactive" in runner.sh("systemctl is-active tram-site.service || true"), 20, run)
    assert runner.sh("systemctl is-active tram-site.path; systemctl is-enabled tram-site.service").split() == [
        "active",
        "enabled",
    ]
    assert "state" not in runner.sh("pgrep -af tram.site || true")


def test_sshd_that_lets_nobody_in_is_taken_back(runner: Runner) -> None:
    run = runner.send([copy(SSH_DROP_IN, "AllowUsers nobody\n"), command("systemctl restart ssh")], confirm_seconds=12)
    runner.wait(lambda: runner.journal(run)["state"] == "confirming", 60, run)
    assert not runner.reachable()
    result = runner.result(run)
    assert result["outcome"] == "reverted"
    assert "after a change of sshd (etc/ssh/sshd_config.d/10-story.conf), though the line was up" in result["reason"]
    assert runner.reachable()
    assert "nobody" not in runner.sh("sshd -T | grep -i allowusers || true")


def test_a_firewall_that_drops_everything_is_taken_back(runner: Runner) -> None:
    chain = "type filter hook input priority 0; policy drop;"
    rules = f"flush ruleset\ntable inet filter {{\n chain input {{\n  {chain}\n }}\n}}\n"
    tasks = [copy("/etc/nftables.conf", f"#!/usr/sbin/nft -f\n{rules}"), command("systemctl enable --now nftables")]
    run = runner.send(tasks, confirm_seconds=12)
    runner.wait(lambda: runner.journal(run)["state"] == "confirming", 60, run)
    assert not runner.reachable()
    result = runner.result(run)
    assert result["outcome"] == "reverted"
    assert "firewall" in result["reason"]
    assert runner.reachable()
    assert runner.sh("nft list ruleset") == ""
    assert runner.sh("systemctl is-active nftables; systemctl is-enabled nftables; true").split() == [
        "inactive",
        "disabled",
    ]


def test_an_operator_without_sudo_is_given_it_back(runner: Runner) -> None:
    tasks = [command("rm /etc/sudoers.d/91-tram-site /etc/sudoers.d/90-tram"), command("usermod -L -s /bin/false tram")]
    run = runner.send(tasks, confirm_seconds=10)
    result = runner.result(run)
    assert result["outcome"] == "reverted"
    assert "users" in result["reason"]
    assert runner.exchange()[0]["t"] == "state"
    assert runner.sh("stat -c '%U %a' /etc/sudoers.d/90-tram /etc/shadow").split() == ["root", "440", "root", "640"]


def test_a_good_change_stays_when_the_centre_comes_back_on_a_new_connection(runner: Runner, tmp_path: Path) -> None:
    shared = tmp_path / "master"
    master = subprocess.Popen(
        [*runner.ssh(multiplexed=shared)[:-1], "-o", "ControlMaster=yes", "-N", HOST], stderr=subprocess.DEVNULL
    )
    try:
        runner.wait(shared.exists, 20, "")
        run = runner.send(
            [copy(SSH_DROP_IN, "MaxAuthTries 5\n"), command("systemctl restart ssh")], confirm_seconds=120
        )
        runner.wait(lambda: runner.journal(run)["state"] == "confirming", 60, run)
        answer = runner.exchange(encode({"t": "confirm", "run": run}), multiplexed=shared)[1]
        assert (answer["t"], answer.get("reason")) == ("refused", "not-fresh")
    finally:
        master.terminate()
        master.wait()
    assert runner.exchange(encode({"t": "confirm", "run": run}))[1]["t"] == "confirmed"
    assert runner.result(run)["outcome"] == "done"
    assert "maxauthtries 5" in runner.sh("sshd -T")


def test_a_line_that_is_cut_is_not_taken_for_a_lock_out(runner: Runner) -> None:
    tasks = [copy(SSH_DROP_IN, "MaxAuthTries 6\n"), command("sleep 3"), command("systemctl restart ssh")]
    run = runner.send(tasks, confirm_seconds=10)
    runner.wait(lambda: runner.journal(run)["state"] == "applying", 60, run)
    runner.lab.cut(SITE)
    try:
        runner.wait(lambda: (runner.journal(run).get("waits") or {}).get("down", 0) > 20, 90, run)
        assert runner.journal(run)["state"] == "confirming"
    finally:
        runner.lab.mend(SITE)
    assert runner.exchange(encode({"t": "confirm", "run": run}))[1]["t"] == "confirmed"
    assert runner.result(run)["outcome"] == "done"


def test_a_power_cut_in_the_middle_is_gone_over_at_boot(runner: Runner) -> None:
    tasks = [copy("/etc/story-one", "1\n"), command("sleep 4"), copy("/etc/story-two", "2\n")]
    run = runner.send(tasks)
    runner.wait(lambda: "1" in runner.sh("cat /etc/story-one || true"), 60, run)
    runner.lab.power_cut(HOST)
    runner.lab.power_on(HOST)
    result = runner.result(run)
    assert result["outcome"] == "done"
    assert runner.sh("cat /etc/story-one /etc/story-two").split() == ["1", "2"]
    assert runner.sh("systemctl is-system-running --wait").strip() == "running"
    told = runner.exchange(encode({"t": "events", "run": run, "from": 1}))[1]["events"]
    assert [event["seq"] for event in told] == list(range(1, len(told) + 1))


def test_power_cuts_while_packages_are_installed_end_in_a_healthy_service(runner: Runner) -> None:
    """Four cuts at random moments of one run; each time dpkg is brought back in order before anything is done again."""
    chance = random.Random(20261121)
    options = f"-q -y -o Acquire::http::Proxy={PROXY} -o DPkg::Lock::Timeout=60 --no-install-recommends"
    runner.sh("apt-get -q -y purge nginx-light 'nginx*' 'libnginx*' >/dev/null 2>&1; true")
    run = runner.send([command(f"apt-get {options} install nginx-light"), command("systemctl enable --now nginx")])
    for _ in range(4):
        runner.wait(lambda: runner.journal(run)["state"] != "accepted", 60, run)
        time.sleep(chance.uniform(0.5, 5))
        runner.lab.power_cut(HOST)
        runner.lab.power_on(HOST)
    result = runner.result(run, within=300)
    assert result["outcome"] == "done", (result, runner.sh(f"cat {STATE}/runs/{run}/log"))
    assert runner.sh("dpkg --audit") == ""
    assert runner.sh("systemctl is-active nginx; systemctl is-system-running --wait").split() == ["active", "running"]


def test_a_runner_that_is_killed_finds_its_executor_again(runner: Runner) -> None:
    run = runner.send([command("sh -c 'echo x >> /root/story-count'"), command("sleep 5")])
    runner.wait(lambda: "x" in runner.sh("cat /root/story-count || true"), 60, run)
    runner.sh("kill -9 $(systemctl show -P MainPID tram-site)")
    assert runner.result(run)["outcome"] == "done"
    assert runner.sh("cat /root/story-count").split() == ["x"]


def test_etckeeper_tells_what_happened_when(runner: Runner) -> None:
    log = runner.sh("etckeeper vcs log --format=%s")
    assert "tram: after run" in log
    assert "tram: reverted run" in log
