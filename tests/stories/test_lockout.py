"""Whatever locks the centre out, delivered or pushed, the host takes it back by itself and says so: none is lost."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tram.delivery.host import Way, deliver_host, find_host, install_host
from tram.delivery.policy import policy_for
from tram.lab.lab import Lab, down, up
from tram.ledger import Job, Ledger, new_run_id, utc_now
from tram.push.playbook import Recap, run_playbook
from tram.register import load

from ..conftest import REPO, take_over
from .lockout.kinds import KINDS
from .lockout.province import write_province

pytestmark = [pytest.mark.lab, pytest.mark.apart]

SEED, RANDOM, HOSTS = 20261122, 20, 7
CONFIRM = 8
PLAYBOOK = Path(__file__).parent / "lockout/locked-out.yml"
PROXY = "http://192.0.2.1:3142"
SECONDS = {"guard_confirm_seconds": CONFIRM, "guard_idle_seconds": 8}
COMMANDS = (
    "Have the host keep its state and watch this run",
    "Have the host keep its state and watch this run, by the program that is brought",
    "Ask what was changed that can cut the centre off",
    "Confirm, without which the host takes the change back by itself",
)
# A lost way is noticed soon; nothing is tried again that a test waits for.
ENV = {
    "ANSIBLE_TIMEOUT": "4",
    "ANSIBLE_SSH_RETRIES": "0",
    "ANSIBLE_FORKS": "8",
    "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=60s -o ServerAliveInterval=3 -o ServerAliveCountMax=3",
}


@dataclass
class Ground:
    """Hosts that may be harmed, seen past the network."""

    lab: Lab
    inventory: Path
    ledger: Ledger
    hosts: list[str]

    def carried(self, host: str) -> int:
        """Bytes the line to its site has carried both ways, headers of IP and above."""
        link = self.lab.link(self.site(host))
        return link.down["bytes"] + link.up["bytes"]

    def sh(self, host: str, text: str) -> str:
        return self.lab.sh(host, ["sh", "-c", text]).stdout

    def site(self, host: str) -> str:
        return find_host(load(self.inventory), host)[0].code

    def state(self, host: str) -> str:
        """/etc, the firewall and the network, as one text to compare."""
        etc = "cd /etc; find . -printf '%p %m %u %g %l\\n' | sort; find . -type f -exec sha256sum {} + | sort"
        return self.sh(host, f"{etc}; nft list ruleset; ip -o address show scope global; ip route; ls /home /root/.ssh")

    def otherwise(self, host: str, before: str) -> list[str]:
        """What is otherwise than before, once a host that may still be booting had a minute; empty when all is well."""
        until = time.monotonic() + 60
        while True:
            now = self.state(host)
            left = sorted(set(now.splitlines()) ^ set(before.splitlines()))
            if not self.lets_in(host):
                left.append("the centre is not let in")
            if not left or time.monotonic() > until:
                return left
            time.sleep(1)

    def lets_in(self, host: str) -> bool:
        """Over a new connection, as the centre's operator, with sudo."""
        options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "ControlPath=none"]
        argv = ["ssh", "-F", str(self.lab.paths.state / "ssh_config"), *options, host, "sudo", "-n", "true"]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    def harms(self, kinds: Mapping[str, Sequence[str]]) -> None:
        """What the next run does to each host."""
        for host, names in kinds.items():
            lines = [KINDS[name].script for name in names]
            (self.inventory / f"host_vars/{host}.yml").write_text(json.dumps({"lockout": lines, **SECONDS}))

    def install(self) -> None:
        """What takes deliveries, on every host: a first delivery would bring it, and the host not be as before."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda host: install_host(load(self.inventory), host), self.hosts))

    def push(self, hosts: Sequence[str], *extra: str) -> Recap:
        """Plain Ansible."""
        words = ["--limit", ",".join(hosts), *extra]
        return run_playbook(PLAYBOOK, self.inventory, extra=words, env=ENV)

    def deliver(self, host: str) -> dict[str, Any]:
        """One host, as `tram deliver` does it, but for the seconds; what it reported."""
        province = load(self.inventory)
        run, site = new_run_id(utc_now()), self.site(host)
        self.ledger.begin(run, province=province.code, playbook=str(PLAYBOOK), hosts=[(host, site)])
        job = Job(run, host, site, str(PLAYBOOK), str(self.inventory), self.ledger.url)
        policy = policy_for(province.sites[0].link, province)
        policy = replace(
            policy,
            connect=timedelta(seconds=5),
            confirm=timedelta(seconds=CONFIRM),
            alive_every=timedelta(seconds=3),
            alive_count=3,
            longest_pause=timedelta(seconds=3),
        )
        ended = deliver_host(job, province, self.ledger, Way(policy=policy)).ended
        results = self.ledger.events(run, host, kind="result")
        return {"outcome": ended.outcome, "reason": ended.reason, **(dict(results[-1].body) if results else {})}

    def guard(self, host: str) -> dict[str, Any]:
        """What the guard on the host says of itself, at its console."""
        with suppress(ValueError, IndexError):
            return dict(json.loads(self.sh(host, "tram-guard status").splitlines()[-1]))
        return {}

    def guarded(self, hosts: Sequence[str], within: float) -> dict[str, dict[str, Any]]:
        """When the guard of each has ended."""
        wait(lambda: all(self.guard(host).get("state") in ("kept", "reverted") for host in hosts), within)
        return {host: self.guard(host) for host in hosts}


def wait(what: Callable[[], bool], within: float) -> None:
    until = time.monotonic() + within
    while not what():
        assert time.monotonic() < until, f"not within {within} s"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A lab of its own, with the packages in which the harm is done."""
    folder = tmp_path_factory.mktemp("lockout")
    hosts = write_province(folder / "province", HOSTS)
    name = os.environ.get("TRAM_LOCKOUT_LAB") or f"lock{os.getpid() % 100000}"
    apt = f"apt-get -q -y -o Acquire::http::Proxy={PROXY}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAM_LAB", name)
        try:
            lab = up(folder / "province", name, print)
            take_over(lab)
            ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
            ledger.belong("lab")
            found = Ground(lab, folder / "province", ledger, hosts)
            more = f"command -v nft || ({apt} update && {apt} --no-install-recommends install nftables)"
            with ThreadPoolExecutor(3) as pool:
                list(pool.map(lambda host: found.sh(host, f"{more} >/dev/null 2>&1"), hosts))
            yield found
        finally:
            down(name)


@pytest.fixture(autouse=True)
def attached(ground: Ground) -> Iterator[None]:
    """For whoever reads of a failure."""
    yield
    for host in ground.hosts:
        print(host, ground.guard(host))


def test_what_the_guard_costs_on_the_line(ground: Ground) -> None:
    """Before the runtime is there: the program travels with the first push, and never again."""
    host = ground.hosts[-1]
    drop_in = "/etc/ssh/sshd_config.d/10-lockout.conf"
    sizes = {}
    for what, harm in (
        ("for the first time", []),
        ("when nothing that cuts off was changed", []),
        ("when sshd was changed", [f"echo 'MaxAuthTries 4' >{drop_in}; systemctl restart ssh"]),
        ("when it was changed back", [f"rm {drop_in}; systemctl restart ssh"]),
    ):
        (ground.inventory / f"host_vars/{host}.yml").write_text(json.dumps({"lockout": harm, **SECONDS}))
        before, began = ground.carried(host), time.monotonic()
        recap = ground.push([host])
        assert recap.failures() == []
        ran = [result for result in recap.results if result.status == "ok" and result.task.endswith(COMMANDS)]
        sizes[what] = ground.carried(host) - before
        seconds = time.monotonic() - began
        print(f"guard, {what}: {len(ran)} commands, {sizes[what] / 1000:.1f} kB on the line, {seconds:.0f} s in all")
    assert sizes["when nothing that cuts off was changed"] < 30_000
    assert ground.guard(host)["state"] == "kept"


def test_each_lock_out_that_is_pushed_is_taken_back_by_the_host_and_the_next_run_says_why(ground: Ground) -> None:
    harmed = dict(zip(ground.hosts, KINDS, strict=False))
    ground.harms({host: [kind] for host, kind in harmed.items()})
    before = {host: ground.state(host) for host in harmed}
    began = time.monotonic()
    recap = ground.push(list(harmed))
    assert [host for host in harmed if not any(host in line for line in recap.failures())] == [], "each was cut off"
    found = ground.guarded(list(harmed), within=120)
    print(f"pushed: {len(harmed)} lock-outs, all back after {time.monotonic() - began:.0f} s")
    for host, kind in harmed.items():
        assert found[host]["state"] == "reverted", (host, kind)
        report = found[host]["reverted"]
        print(f"{kind}: {report['reason']}")
        assert KINDS[kind].word in report["touched"], (host, kind)
        assert "the centre did not come back in 8 s after a change of" in report["reason"], (host, kind)
        assert ground.state(host) == before[host], kind
        assert ground.lets_in(host), kind

    ground.harms({host: [] for host in harmed})
    recap = ground.push(list(harmed))
    told = {line.partition(":")[0]: line for line in recap.failures()}
    for host in harmed:
        assert found[host]["reverted"]["reason"] in told[host], "the next run says why, and changes nothing"
    assert ground.push(list(harmed), "-e", "guard_go_on=true").failures() == []


def test_each_lock_out_that_is_delivered_is_taken_back_and_reported(ground: Ground) -> None:
    harmed = dict(zip(ground.hosts, KINDS, strict=False))
    ground.install()
    ground.harms({host: [kind] for host, kind in harmed.items()})
    before = {host: ground.state(host) for host in harmed}
    began = time.monotonic()
    with ThreadPoolExecutor(len(harmed)) as pool:
        found = dict(zip(harmed, pool.map(ground.deliver, harmed), strict=True))
    print(f"delivered: {len(harmed)} lock-outs, all back and reported after {time.monotonic() - began:.0f} s")
    for host, kind in harmed.items():
        print(f"{kind}: {found[host]['reason']}")
        assert found[host]["outcome"] == "reverted", (host, kind)
        assert KINDS[kind].word in found[host]["reason"], (host, kind)
        assert ground.state(host) == before[host], kind
        assert ground.lets_in(host), kind


@pytest.mark.long
def test_of_20_random_lock_outs_no_host_is_lost(ground: Ground) -> None:
    """Up to three harms at once; in some the line is cut in the window in which the centre should come, in some the
    power."""
    chance = random.Random(SEED)
    ground.install()
    lost, began = [], time.monotonic()
    for first in range(0, RANDOM, HOSTS):
        hosts = ground.hosts[: min(HOSTS, RANDOM - first)]
        kinds = {host: chance.sample(sorted(KINDS), chance.randint(1, 3)) for host in hosts}
        fate = {host: chance.choice(["", "", "line", "power"]) for host in hosts}
        pushed = chance.sample(hosts, len(hosts) // 2)
        ground.harms(kinds)
        before = {host: ground.state(host) for host in hosts}
        with ThreadPoolExecutor(2 * HOSTS) as pool:
            fates = [pool.submit(meet, ground, host, fate[host], host in pushed) for host in hosts]
            delivered = {host: pool.submit(ground.deliver, host) for host in hosts if host not in pushed}
            if pushed:
                ground.push(pushed, "-e", "guard_go_on=true")
            for one in fates:
                one.result()
            outcomes = {host: one.result()["outcome"] for host, one in delivered.items()}
        outcomes |= {host: one["state"] for host, one in ground.guarded(pushed, within=180).items()}
        for host in hosts:
            how = "pushed" if host in pushed else "delivered"
            left = ground.otherwise(host, before[host])
            print(f"{host}: {how}, {' + '.join(kinds[host])}, {fate[host] or 'no'} cut: {outcomes[host]} {left}")
            if outcomes[host] != "reverted" or left:
                lost.append((first, host, how, kinds[host], fate[host], outcomes[host], left))
    print(f"{RANDOM} random lock-outs: {len(lost)} hosts lost, {time.monotonic() - began:.0f} s")
    assert lost == []


def meet(ground: Ground, host: str, fate: str, pushed: bool) -> None:
    """While the host waits for the centre: cut its line for some seconds, or its power."""
    if not fate:
        return
    where = "/var/lib/tram/guard/now/state.json" if pushed else "/var/lib/tram/site/runs/*/state.json"
    wait(lambda: '"confirming"' in ground.sh(host, f"cat {where} 2>/dev/null"), within=120)
    if fate == "line":
        ground.lab.cut(ground.site(host))
        time.sleep(5)
        ground.lab.mend(ground.site(host))
    else:
        ground.lab.power_cut(host)
        ground.lab.power_on(host)


@contextmanager
def half_way(ground: Ground, host: str) -> Iterator[None]:
    """A push that has changed sshd and works on; killed at the end, controller and all."""
    change = "echo 'MaxAuthTries 5' >/etc/ssh/sshd_config.d/10-lockout.conf; systemctl restart ssh"
    given = {"lockout": [change, "rm -f /root/at-work; touch /root/at-work; sleep 30"], **SECONDS}
    (ground.inventory / f"host_vars/{host}.yml").write_text(json.dumps(given))
    program = REPO / ".venv/bin/ansible-playbook"
    argv = [str(program), "-i", str(ground.inventory), str(PLAYBOOK), "--limit", host, "-e", "guard_go_on=true"]
    running = subprocess.Popen(
        argv, env={**os.environ, **ENV}, cwd=REPO, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait(lambda: "at-work" in ground.sh(host, "ls /root"), within=90)
        yield
    finally:
        os.killpg(running.pid, 9)
        running.wait()


def test_a_controller_that_dies_in_the_middle_leaves_a_host_that_goes_back_by_itself(ground: Ground) -> None:
    host = ground.hosts[0]
    before = ground.state(host)
    with half_way(ground, host):
        pass
    assert ground.guarded([host], within=120)[host]["state"] == "reverted"
    assert ground.state(host) == before
    assert ground.lets_in(host)


def test_a_second_run_is_refused_while_the_first_lives_and_takes_over_when_it_is_dead(ground: Ground) -> None:
    host = ground.hosts[1]
    with half_way(ground, host):
        ground.harms({host: []})
        second = ground.push([host], "-e", "guard_go_on=true")
        assert "Another run is under way on this host" in " ".join(second.failures())
    ground.harms({host: []})
    third = ground.push([host], "-e", "guard_go_on=true")
    assert third.failures() == []
    assert "maxauthtries 5" in ground.sh(host, "sshd -T"), "what the dead run did lets the centre in, so it stays"
    ground.sh(host, "rm /etc/ssh/sshd_config.d/10-lockout.conf; systemctl restart ssh")


def test_a_dry_run_arms_nothing(ground: Ground) -> None:
    host = ground.hosts[1]
    ground.harms({host: []})
    armed = ground.guard(host)["armed"]
    assert ground.push([host], "--check").failures() == []
    assert ground.guard(host)["armed"] == armed
