"""A centre for the stories of delivery: a lab, a ledger and an inventory of its own, and the command operators use."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tram.core.events import Event
from tram.core.run import run
from tram.delivery.host import Way, deliver_host, find_host
from tram.delivery.policy import Policy, policy_for
from tram.delivery.progress import Progress
from tram.lab.lab import Lab, down, up
from tram.ledger import Ended, Job, Ledger, new_run_id, open_ledger, utc_now
from tram.register import Province, load
from tram.rollout.fanout import Work

from ...conftest import LAB, REPO, take_over

PROJECT = Path(__file__).parent
FAR, FAR_SITE = "huong-khe-srv1", "huong-khe"  # behind an ADSL line
NEAR, NEAR_SITE = "so-noi-vu-srv1", "so-noi-vu"
SITES = {FAR: FAR_SITE, NEAR: NEAR_SITE}
MARKS = tuple("123456")


@dataclass
class Centre:
    """What an operator has, and what can be seen of the hosts from outside, past the network."""

    lab: Lab
    inventory: Path
    ledger: Ledger

    @property
    def province(self) -> Province:
        return load(self.inventory)

    def edition(self, name: str, text: str = "") -> str:
        """What the next deliveries bring."""
        file = self.inventory / "group_vars/all.yml"
        file.write_text(json.dumps({"so_cong_van_edition": name, "so_cong_van_text": text}))
        return name

    def tram(self, *words: str, code: int = 0, **environment: str) -> str:
        """The command itself, from a shell; what it printed."""
        argv = [str(Path(sys.executable).with_name("tram")), *words, "--inventory", str(self.inventory)]
        env = {**os.environ, **environment}
        ran = subprocess.run(argv, cwd=REPO, env=env, capture_output=True, text=True, check=False, timeout=600)
        assert ran.returncode == code, f"{words}: exit {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def command(self, playbook: str, host: str, *, code: int = 0, **environment: str) -> dict[str, Any]:
        """`tram deliver PLAYBOOK --limit HOST`; its result."""
        words = ["deliver", str(PROJECT / playbook), "--limit", host, "--json"]
        (found,) = json.loads(self.tram(*words, code=code, **environment))
        return dict(found)

    def shown(self, run: str, host: str, *, code: int = 0) -> dict[str, Any]:
        """`tram runs show RUN --host HOST`: the host's line, with its events."""
        found = json.loads(self.tram("runs", "show", run, "--host", host, "--json", code=code))
        return {**found["hosts"][0], "events": found["events"]}

    def begin(self, playbook: str, host: str) -> Job:
        """A new run, as `tram deliver` writes it down before anything is sent."""
        name, file = new_run_id(utc_now()), str(PROJECT / playbook)
        self.ledger.begin(name, province=self.province.code, playbook=file, hosts=[(host, SITES[host])])
        return Job(name, host, SITES[host], file, str(self.inventory), self.ledger.url)

    def deliver(self, job: Job, way: Way | None = None) -> Ended:
        """What `tram deliver` does with a run of one host; what happened on the way is printed."""
        began, said = time.monotonic(), ""

        def tell(now: Progress) -> None:
            nonlocal said
            if (words := f"{now.phase} {now.note}") != said:
                said = words
                print(f"  {time.monotonic() - began:6.1f} s  {words}")

        return Work(lambda mine: deliver_host(mine, self.province, self.ledger, way, tell).ended)(job)

    def events(self, job: Job) -> list[Event]:
        """What the ledger has of the run; its numbers have no gap."""
        found = self.ledger.events(job.run, job.host)
        assert [event.seq for event in found] == list(range(1, len(found) + 1))
        return found

    def drop_sessions(self) -> None:
        """As when modems dial in anew: connections that stood over the lines are gone, and only this end knows."""
        for pid in map(int, run(["ip", "netns", "pids", self.lab.paths.core]).stdout.split()):
            with suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == "nc":
                    os.kill(pid, signal.SIGKILL)

    def policy(self, host: str) -> Policy:
        """How patient delivery is with a host's line, as it works it out."""
        return policy_for(find_host(self.province, host)[0].link, self.province)

    # At the host

    def plug_in(self, stick: Path, host: str) -> None:
        """Carry a stick to a host: what is on it is at /media/usb there."""
        usb = self.root(host) / "media/usb"
        shutil.rmtree(usb, ignore_errors=True)
        shutil.copytree(stick, usb)

    def pull_out(self, host: str, stick: Path) -> None:
        """Carry it back."""
        shutil.rmtree(stick)
        shutil.copytree(self.root(host) / "media/usb", stick)

    def sh(self, host: str, text: str, *, code: int = 0) -> str:
        """Run this at the host's own console, as root."""
        ran = self.lab.sh(host, ["sh", "-c", text])
        assert ran.code == code, f"{text}: exit {ran.code}\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    def root(self, host: str) -> Path:
        """Where the files of a host that runs are to be seen from here."""
        return Path(f"/proc/{self.lab.machine(host).init_pid()}/root")

    def marks(self, host: str, edition: str) -> Counter[str]:
        """How often each mark of an edition was made."""
        return marks(self.root(host), edition)

    def served(self, host: str) -> str:
        """The register as a person at the host reads it."""
        ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8099/', timeout=5).read().decode())"
        return self.sh(host, f'python3 -c "{ask}"')

    def etc(self, host: str) -> str:
        """Names, modes, owners and content of everything in /etc but its history, as one text to compare."""
        rest = "-path ./.git -prune -o -path ./.etckeeper -prune -o"
        return self.sh(
            host,
            f"cd /etc && find . {rest} ! -path . -printf '%p %m %u %g %l\\n' | sort;"
            f" find . {rest} -type f -exec sha256sum {{}} + | sort",
        )

    def healthy(self, host: str) -> str:
        """systemd's own word about the whole host, once its boot has ended."""
        return self.lab.sh(host, ["systemctl", "is-system-running", "--wait"]).stdout.strip()


def marks(root: Path, edition: str) -> Counter[str]:
    """How often each mark of an edition was made on the host whose files are there."""
    with suppress(OSError):
        words = [line.split() for line in (root / "var/lib/so-cong-van/marks").read_text().splitlines()]
        return Counter(mark for name, mark in words if name == edition)
    return Counter()


def wait(what: Callable[[], bool], *, within: timedelta) -> None:
    """Return as soon as it is so."""
    until = time.monotonic() + within.total_seconds()
    while not what():
        assert time.monotonic() < until, f"not within {within}"
        time.sleep(0.01)


@contextmanager
def open_centre(base: Path) -> Iterator[Centre]:
    """A lab with its hosts taken over and the runtime on the two that are not the hub; gone afterwards.

    $TRAM_TEST_LAB names a lab of yours that is up already: it is used as it is and left standing.
    """
    mine = os.environ.get("TRAM_TEST_LAB")
    name = mine or f"deliver{os.getpid() % 100000}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAM_LAB", name)
        patch.setenv("TRAM_LEDGER", f"sqlite:///{base / 'ledger.db'}")
        # What is remembered of hosts is of this lab's; the runtime takes half a minute to build and is the same.
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tram/runtime"
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        (base / "cache/tram").mkdir(parents=True)
        (base / "cache/tram/runtime").symlink_to(cache)
        patch.setenv("XDG_CACHE_HOME", str(base / "cache"))
        inventory = base / "inventory"
        shutil.copytree(LAB, inventory, ignore=shutil.ignore_patterns("__pycache__"))
        try:
            lab = up(LAB, name, print)
            take_over(lab)
            centre = Centre(lab, inventory, open_ledger(lab.province.code))
            centre.tram("deliver", "--install", "--limit", f"{FAR},{NEAR}")
            for host in SITES:
                centre.sh(host, "rm -f /var/lib/so-cong-van/marks")
            yield centre
        finally:
            if not mine:
                down(name)
