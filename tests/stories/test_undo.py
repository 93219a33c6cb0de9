"""Each control that says it can be undone is undone exactly: /etc as it was before, and what runs goes by it."""

from __future__ import annotations

import difflib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tram.lab.lab import Lab, down, up
from tram.push.playbook import Recap, run_playbook
from tram_audit.control import ControlShape
from tram_audit.loading import load_rules

from ..conftest import REPO, take_over
from .lockout.province import HUB, write_province

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(3600)]

SEED, SAMPLE = 20261122, 1
RECORDS = "/var/lib/tram/controls"
CHECKER = REPO / "tests/stories/hardening/in_effect.py"
# What changes by itself between two looks, whoever hardens.
MOVES = (
    "fs.dentry-state", "fs.inode-", "fs.file-nr", "fs.quota", "kernel.random.", "kernel.ns_last_pid", "kernel.pty.nr",
    "kernel.sched_domain", "kernel.hostname", "kernel.domainname", "net.netfilter.", "net.ipv4.tcp_mem", "fs.aio-nr",
)  # fmt: skip
# Whoever adds or removes an account (a package's own scripts, too) leaves in these what stood one change before. They
# are no setting, and put back they would be the backup of something else. Their rights are compared, their content not.
BACKUPS = ("passwd-", "group-", "shadow-", "gshadow-", "subuid-", "subgid-")
# The way of the centre into the host, not of any control: it comes with the first push under guard (role guard).
STAYS = ("tram-guard.service",)
EFFECT = {
    "kernel values": "sysctl -a 2>/dev/null | sort",
    "sshd": "sshd -T 2>/dev/null | sort",
    "firewall": "nft --stateless list ruleset 2>/dev/null",
    "units": "systemctl list-unit-files --no-legend --no-pager --plain | awk '{print $1, $2}' | sort",
    "drop-ins": "systemctl show '*' --property=Id,DropInPaths,NeedDaemonReload"
    " | awk -v RS= '/DropInPaths=[^\\n]|Reload=yes/ {gsub(\"\\n\", \" \"); print}' | grep -v 'Id=user-' | sort",
    "what runs": "systemctl list-units --type=service,socket,timer --state=active --no-legend --plain"
    " | awk '{print $1}' | grep -v -e ^user@ -e ^user-runtime-dir@",
    "mounts": "sort /proc/1/mounts | grep -v -e /run/user/",
    "packages": "dpkg-query -W -f '${Package} ${db:Status-Status}\\n' | grep ' installed' | sort",
    "accounts": "getent passwd | sort; getent group | sort",
    "rights": "find /etc /usr/bin /usr/sbin /var/log /boot /root /home -xdev -printf '%p %m %u %g\\n' 2>/dev/null"
    " | grep -v -e ^/var/log/ -e ^/etc/.git/ -e '[.]ansible' -e ^/etc/ssl/certs | sort",
}


@dataclass
class Ground:
    """A lab, its inventory, the hosts to be hardened, and how each was before."""

    lab: Lab
    inventory: Path
    hosts: list[str]
    before: dict[str, str]
    effect: dict[str, dict[str, str]]

    def sh(self, host: str, text: str) -> str:
        return self.lab.sh(host, ["sh", "-c", text]).stdout

    def seen(self, host: str) -> dict[str, str]:
        """What is in effect, by kind."""
        found = {kind: self.sh(host, command) for kind, command in EFFECT.items()}
        lines = found["kernel values"].splitlines()
        found["kernel values"] = "\n".join(line for line in lines if not line.startswith(MOVES))
        ran = self.lab.machine(host).sh(["python3", "-"], stdin=CHECKER.read_text(), timeout=timedelta(minutes=2))
        found["otherwise than on disk"] = "\n".join(json.loads(ran.stdout))
        return found

    def differs(self, host: str, *paths: str, but: Sequence[str] = ()) -> str:
        """etckeeper's word for what is otherwise in /etc than before; `but` these paths, and its own list of modes."""
        left_out = " ".join(f"':(exclude){path}'" for path in (".etckeeper", *BACKUPS, *but))
        chosen, base = " ".join(paths) or ".", self.before[host]
        return self.sh(host, f"cd /etc && git add -A && git diff --cached --stat {base} -- {chosen} {left_out}")

    def records(self, host: str) -> dict[str, dict[str, Any]]:
        """What the host's role `control` knows, by control."""
        rows = self.sh(host, f"cd {RECORDS} && for one in *.json; do tr -d '\\n' <$one; echo; done").splitlines()
        return {record["control"]: record for record in map(json.loads, rows)}

    def harden(self, off: list[str]) -> Recap:
        """Plain Ansible, with these controls taken back."""
        for host in self.hosts:
            file = self.inventory / f"host_vars/{host}.yml"
            file.write_text(json.dumps({"control_off": off}), encoding="utf-8")
        recap = run_playbook(REPO / "playbooks/harden.yml", self.inventory)
        assert recap.failures() == []
        return recap

    def tram(self, *words: str) -> str:
        """The command operators use."""
        argv = [str(Path(sys.executable).with_name("tram")), *words, "--inventory", str(self.inventory)]
        ran = subprocess.run(argv, cwd=REPO, capture_output=True, text=True, check=False, timeout=900)
        assert ran.returncode == 0, f"{words}: exit {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran.stderr


@pytest.fixture(scope="module")
def controls() -> dict[str, ControlShape]:
    return dict(load_rules(REPO / "security").controls)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A lab of its own: a small hub, and hosts that are base and no more, Debian 12 and 13; then all are hardened."""
    folder = tmp_path_factory.mktemp("undo")
    hosts = [*write_province(folder / "province", 2, hub="hub_cache, dns, pki"), HUB]
    name = os.environ.get("TRAM_UNDO_LAB") or f"undo{os.getpid() % 100000}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAM_LAB", name)
        try:
            lab = up(folder / "province", name, print)
            take_over(lab)
            assert run_playbook(REPO / "playbooks/site.yml", folder / "province").failures() == []
            found = Ground(lab, folder / "province", hosts, {}, {})
            for one in found.hosts:
                found.sh(one, "cd /etc && etckeeper unclean && etckeeper commit 'story: before'; true")
                found.before[one] = found.sh(one, "git -C /etc rev-parse HEAD").strip()
                found.effect[one] = found.seen(one)
            hardened = found.harden([])
            for one in found.hosts:
                print(f"{one} hardened: {hardened.stats[one]}; {len(found.records(one))} controls have a record")
            yield found
        finally:
            down(name)


def paths_of(record: dict[str, Any]) -> set[str]:
    """The files in /etc that a control's record speaks of."""
    words = " ".join(f"{key} {state.get('path', '')}" for key, state in record["before"].items())
    return {word for word in words.replace(":", " ").split() if word.startswith("/etc/")}


def test_the_hosts_are_hardened_and_the_hub_stands(ground: Ground) -> None:
    assert ground.lab.sh(HUB, ["systemctl", "is-system-running"]).stdout.strip() in ("running", "degraded")
    for host in ground.hosts:
        assert ground.records(host) != {}
        assert ground.differs(host) != ""
        after = ground.seen(host)
        same = [
            kind
            for kind in ("sshd", "firewall", "units", "drop-ins", "packages")
            if after[kind] == ground.effect[host][kind]
        ]
        assert same == [], "what is compared after the undo must have been changed by hardening"


def test_one_control_is_taken_back_by_the_command_and_put_on_again(
    ground: Ground, controls: dict[str, ControlShape]
) -> None:
    host = ground.hosts[0]
    records = ground.records(host)
    shared = [path for record in records.values() for path in paths_of(record)]
    alone = [
        code
        for code, record in sorted(records.items())
        if code in controls and controls[code].undo == "previous value"
        and (mine := paths_of(record)) and all(shared.count(path) == 1 for path in mine)
    ]  # fmt: skip
    for code in random.Random(SEED).sample(alone, min(SAMPLE, len(alone))):
        files = sorted(path.removeprefix("/etc/") for path in paths_of(records[code]))
        said = ground.tram("harden", "undo", code, "--host", host, "--push")
        assert code in said
        assert ground.records(host)[code]["off"] is True
        assert ground.differs(host, *files) == "", code
        print(f"undone alone: {code} ({', '.join(files)})")
        ground.tram("harden", "redo", code, "--host", host, "--push")
        assert ground.records(host)[code]["off"] is False
        assert ground.differs(host, *files) != "", code


def test_whatever_a_role_changes_belongs_to_a_control_of_the_baselines(
    ground: Ground, controls: dict[str, ControlShape]
) -> None:
    known = {code for host in ground.hosts for code in ground.records(host)}
    assert sorted(known - set(controls)) == [], "these nobody could take back"


def test_all_of_them_are_taken_back_and_the_hosts_are_as_they_were(
    ground: Ground, controls: dict[str, ControlShape]
) -> None:
    off = [code for code, control in controls.items() if control.undo != "none"]
    known = {host: ground.records(host) for host in ground.hosts}
    began = time.monotonic()
    ground.harden(off)
    print(f"{len(off)} controls with an undo taken back in {time.monotonic() - began:.0f} s")
    wrong = []
    for host in ground.hosts:
        records = ground.records(host)
        stay = {path for code, record in records.items() if code not in off for path in paths_of(record)}
        here = [code for code in off if code in known[host]]
        print(f"{host}: {len(here)} of them had changed something here, {len(known[host]) - len(here)} have no undo")
        wrong += [f"{host}: {code} is on" for code, one in records.items() if code in off and not one["off"]]
        if otherwise := ground.differs(host, but=[path.removeprefix("/etc/") for path in stay]):
            wrong.append(f"{host}: {otherwise}")
        after = ground.seen(host)
        for kind, before in ground.effect[host].items():
            lines = difflib.unified_diff(before.splitlines(), after[kind].splitlines(), lineterm="", n=0)
            differ = [line for line in lines if line[:1] in "+-" and not line.startswith(("+++", "---"))]
            wrong += [f"{host}: {kind}: {line}" for line in differ if not any(path in line for path in (*stay, *STAYS))]
    assert wrong == []


def test_a_second_run_with_all_taken_back_changes_nothing(ground: Ground, controls: dict[str, ControlShape]) -> None:
    off = [code for code, control in controls.items() if control.undo != "none"]
    assert ground.harden(off).changed() == []
