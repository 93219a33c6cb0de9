"""The centre's office in the stories of rollouts: an inventory, a ledger, and what an operator types there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from tram.core.run import Ran
from tram.lab.lab import Lab
from tram.ledger import HostRow, Ledger, RolloutRow

from ...conftest import LAB, REPO

STACK = Path(__file__).parent / "notice.yml"
HUB, PILOT, FAR = "trung-tam-hub1", "so-noi-vu-srv1", "huong-khe-srv1"
HOSTS = (HUB, PILOT, FAR)
RULES = {"soak": "1 s", "reach": "15 s", "retry_first": "2 s", "retry_most": "4 s"}


@dataclass
class Office:
    """`inventory` is a copy of the lab's; `ledger` one of its own; `stack` what is rolled out."""

    lab: Lab
    base: Path
    stack: str = str(STACK)
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    @classmethod
    def open(cls, lab: Lab, base: Path) -> Office:
        shutil.copytree(LAB, base / "inventory", ignore=shutil.ignore_patterns("__pycache__"))
        office = cls(lab, base)
        office.rule()
        return office

    @property
    def inventory(self) -> Path:
        return self.base / "inventory"

    @property
    def ledger(self) -> Ledger:
        return Ledger(f"sqlite:///{self.base / 'ledger.db'}")

    def rule(self, **rules: object) -> None:
        """The province's rules of rollouts, in this story."""
        (self.inventory / "rollout.yml").write_text(json.dumps(RULES | rules))

    def give(self, host: str | None = None, **variables: object) -> None:
        """Variables of a host, or of all, beside what the register says."""
        path = self.inventory / (f"host_vars/{host}.json" if host else "group_vars/all.json")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(variables))

    # What an operator types

    def argv(self, *words: str) -> tuple[list[str], Mapping[str, str]]:
        program = Path(sys.executable).with_name("tram")
        environment = {
            **os.environ,
            "TRAM_LAB": self.lab.paths.name,
            "TRAM_LEDGER": f"sqlite:///{self.base / 'ledger.db'}",
            "LC_ALL": "en_US.UTF-8",
        }
        return [str(program), "rollout", *words, "--inventory", str(self.inventory)], environment

    def tram(self, *words: str) -> Ran:
        """`tram rollout …`, to its end; printed, for whoever reads the log of the story."""
        argv, environment = self.argv(*words)
        ran = subprocess.run(argv, cwd=REPO, env=environment, capture_output=True, text=True, timeout=600, check=False)
        print(f"$ tram rollout {' '.join(words)}\n{ran.stdout}{ran.stderr}exit {ran.returncode}")
        return Ran(tuple(argv), ran.returncode, ran.stdout, ran.stderr)

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """`tram rollout …` as a process that goes on beside the story."""
        argv, environment = self.argv(*words)
        with (self.base / "beside.log").open("a") as log:
            process = subprocess.Popen(argv, cwd=REPO, env=environment, stdout=log, stderr=log, text=True)
        self.running.append(process)
        return process

    def kill(self, process: subprocess.Popen[str]) -> None:
        """As `kill -9` does it."""
        process.send_signal(signal.SIGKILL)
        assert process.wait(20) == -signal.SIGKILL, "it had ended before"

    def close(self) -> None:
        for process in self.running:
            process.kill()
            process.wait(20)

    # What the ledger says

    @property
    def rollout(self) -> RolloutRow:
        return self.ledger.rollouts.newest()[0]

    def rows(self) -> dict[str, HostRow]:
        """Every host of the rollout; none before it is written down."""
        found = self.ledger.rollouts.newest()
        return {row.host: row for row in self.ledger.show(found[0].run).hosts} if found else {}

    def waves(self) -> list[tuple[str, str]]:
        """Each wave's name and how it stands."""
        return [(wave.name, wave.state) for wave in self.ledger.rollouts.waves(self.rollout.run)]

    def reason(self, host: str) -> str:
        return self.rows()[host].reason

    # What the hosts say

    def done(self, host: str) -> list[str]:
        """A line each time the work was done at the host."""
        return self.lab.sh(host, ["cat", "/var/lib/bang-tin/done"]).stdout.splitlines()

    def runs(self, host: str) -> dict[str, dict[str, Any]]:
        """The runs that the host itself has on its disk, with the journal of each."""
        script = "cd /var/lib/tram/site/runs && for run in *; do echo \"$run $(tr -d '\\n' <$run/state.json)\"; done"
        lines = self.lab.sh(host, ["sh", "-c", script]).stdout.splitlines()
        return {run: json.loads(journal) for run, _space, journal in (line.partition(" ") for line in lines)}


def wait(what: str, condition: Callable[[], bool], *, within: timedelta) -> None:
    """Until it is so. Raises: AssertionError that says what was not."""
    until = time.monotonic() + within.total_seconds()
    while not condition():
        assert time.monotonic() < until, f"{what}: not within {within.total_seconds():.0f} s"
        time.sleep(0.1)
