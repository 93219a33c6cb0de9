"""Each control that says it can be undone is undone exactly: /etc as it was before, and what runs goes by it."""

from __future__ import annotations

import difflib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tram.lab.lab import Lab, down, up
from tram.push.playbook import Recap, run_playbook
from tram_audit.control import ControlShape
from tram_audit.loading import load_rules

from ..conftest import REPO, take_over
from .lockout.province import HUB, write_province

pytestmark = [pytest.mark.lab, pytest.mark.long]

SEED, SAMPLE = 20261122, 1
RECORDS = "/var/lib/tram/controls"
# What changes by itself between two looks, whoever hardens.
MOVES = (
    "fs.dentry-state", "fs.inode-", "fs.file-nr", "fs.quota", "kernel.random.", "kernel.ns_last_pid", "kernel.pty.nr",
    "kernel.sched_domain", "kernel.hostname", "kernel.domainname", "net.netfilter.", "net.ipv4.tcp_mem", "fs.aio-nr",
)  # fmt: skip
EFFECT = {
    "kernel values": "sysctl -a 2>/dev/null | sort",
    "sshd": "sshd -T 2>/dev/null | sort",
    "firewall": "nft --stateless list ruleset 2>/dev/null",
    "units": "systemctl list-unit-files --no-legend --no-pager --plain | awk '{print $1, $2}' | sort",
    "what runs": "systemctl list-units --type=service,socket,timer --state=active --no-legend --plain"
    " | awk '{print $1}'",
    "packages": "dpkg-query -W -f '${Package} ${db:Status-Status}\\n' | grep ' installed' | sort",
    "rights": "find /etc /usr/bin /usr/sbin /var/log /boot /root /home -xdev -printf '%p %m %u %g\\n' 2>/dev/null"
    " | grep -v -e ^/var/log/ -e ^/etc/.git/ -e '[.]ansible' -e ^/etc/ssl/certs | sort",
}


@dataclass
class Ground:
    """A lab, its inventory, the host to be hardened, and how that was before."""

    lab: Lab
    inventory: Path
    host: str
    before: str
    effect: dict[str, str]

    def sh(self, text: str) -> str:
        ran = self.lab.sh(self.host, ["sh", "-c", text])
        return ran.stdout

    def seen(self) -> dict[str, str]:
        """What is in effect, by kind."""
        found = {kind: self.sh(command) for kind, command in EFFECT.items()}
        lines = found["kernel values"].splitlines()
        found["kernel values"] = "\n".join(line for line in lines if not line.startswith(MOVES))
        return found

    def differs(self, *paths: str, but: Sequence[str] = ()) -> str:
        """etckeeper's word for what is otherwise in /etc than before; `but` these paths, and its own list of modes."""
        left_out = " ".join(f"':(exclude){path}'" for path in (".etckeeper", *but))
        chosen = " ".join(paths) or "."
        return self.sh(f"cd /etc && git add -A && git diff --cached --stat {self.before} -- {chosen} {left_out}")

    def records(self) -> dict[str, dict[str, Any]]:
        """What the host's role `control` knows, by control."""
        names = self.sh(f"ls {RECORDS} 2>/dev/null").split()
        return {name.removesuffix(".json"): json.loads(self.sh(f"cat {RECORDS}/{name}")) for name in names}

    def harden(self, off: list[str]) -> Recap:
        """Plain Ansible, with these controls taken back."""
        file = self.inventory / f"host_vars/{self.host}.yml"
        file.write_text(json.dumps({"control_off": off}), encoding="utf-8")
        recap = run_playbook(REPO / "playbooks/harden.yml", self.inventory, extra=["--limit", self.host])
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
    """A lab of its own: a small hub, and a host that is base and no more; then the host is hardened."""
    folder = tmp_path_factory.mktemp("undo")
    [host] = write_province(folder / "province", 1, hub="hub_cache, dns, pki", suite="bookworm")
    name = os.environ.get("TRAM_UNDO_LAB") or f"undo{os.getpid() % 100000}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAM_LAB", name)
        try:
            lab = up(folder / "province", name, print)
            take_over(lab)
            for playbook in ("base", "pki"):
                recap = run_playbook(REPO / f"playbooks/{playbook}.yml", folder / "province")
                assert recap.failures() == []
            found = Ground(lab, folder / "province", host, "", {})
            found.sh("cd /etc && etckeeper unclean && etckeeper commit 'story: before'; true")
            found.before = found.sh("git -C /etc rev-parse HEAD").strip()
            found.effect = found.seen()
            hardened = found.harden([])
            print(f"hardened: {hardened.stats[host]}; {len(found.records())} controls have a record")
            yield found
        finally:
            down(name)


def paths_of(record: dict[str, Any]) -> set[str]:
    """The files in /etc that a control's record speaks of."""
    words = " ".join(f"{key} {state.get('path', '')}" for key, state in record["before"].items())
    return {word for word in words.replace(":", " ").split() if word.startswith("/etc/")}


def test_the_hub_stands_so_that_the_host_can_be_hardened(ground: Ground) -> None:
    assert ground.lab.sh(HUB, ["systemctl", "is-system-running"]).stdout.strip() in ("running", "degraded")
    assert ground.records() != {}
    assert ground.differs() != ""


def test_one_control_is_taken_back_by_the_command_and_put_on_again(
    ground: Ground, controls: dict[str, ControlShape]
) -> None:
    records = ground.records()
    shared = [path for record in records.values() for path in paths_of(record)]
    alone = [
        code
        for code, record in sorted(records.items())
        if code in controls and controls[code].undo == "previous value"
        and (mine := paths_of(record)) and all(shared.count(path) == 1 for path in mine)
    ]  # fmt: skip
    for code in random.Random(SEED).sample(alone, min(SAMPLE, len(alone))):
        mine = sorted(path.removeprefix("/etc/") for path in paths_of(records[code]))
        said = ground.tram("harden", "undo", code, "--host", ground.host, "--push")
        assert code in said
        assert ground.records()[code]["off"] is True
        assert ground.differs(*mine) == "", code
        print(f"undone alone: {code} ({', '.join(mine)})")
        ground.tram("harden", "redo", code, "--host", ground.host, "--push")
        assert ground.records()[code]["off"] is False
        assert ground.differs(*mine) != "", code


def test_whatever_a_role_changes_belongs_to_a_control_of_the_baselines(
    ground: Ground, controls: dict[str, ControlShape]
) -> None:
    assert sorted(set(ground.records()) - set(controls)) == [], "these nobody could take back"


def test_all_of_them_are_taken_back_and_the_host_is_as_it_was(
    ground: Ground, controls: dict[str, ControlShape]
) -> None:
    off = [code for code, control in controls.items() if control.undo != "none"]
    known = ground.records()
    ground.harden(off)
    records = ground.records()
    stay = {path for code, record in records.items() if code not in off for path in paths_of(record)}
    here = [code for code in off if code in known]
    print(f"undone at once: {len(here)} of {len(off)} controls with an undo; the others changed nothing on this host")
    assert [code for code, record in records.items() if code in off and not record["off"]] == []
    assert ground.differs(but=[path.removeprefix("/etc/") for path in stay]) == ""
    after = ground.seen()
    otherwise = []
    for kind, before in ground.effect.items():
        lines = difflib.unified_diff(before.splitlines(), after[kind].splitlines(), "before", "after", lineterm="", n=0)
        otherwise += [f"{kind}: {line}" for line in lines if not any(path in line for path in stay)]
    assert otherwise == []


def test_a_second_run_with_all_taken_back_changes_nothing(ground: Ground, controls: dict[str, ControlShape]) -> None:
    off = [code for code, control in controls.items() if control.undo != "none"]
    assert ground.harden(off).changed() == []
