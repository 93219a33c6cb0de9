"""The ground of the benchmark: three real hosts, each behind a line of its own that can be any line, and the figures.

Every run of every engine begins on a copy of the same disk: taken over by the centre, packages fetched but not
installed, so that what the role installs does not cross the line while it is measured. `ready` disks have tram's
runtime, too.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from subprocess import PIPE, Popen

from tram.act.bootstrap import Entry, bootstrap
from tram.act.key import make_key
from tram.act.outcome import Outcome
from tram.act.target import targets
from tram.core.run import run
from tram.lab.cgroup import hierarchies
from tram.lab.host import Machine
from tram.lab.lab import Lab, up
from tram.register import Site

HERE = Path(__file__).resolve().parent
LAB = os.environ.get("TRAM_LAB", "benchdelivery")
LINES: Mapping[str, Mapping[str, float]] = {
    "bad": {"down_bps": 512_000, "up_bps": 256_000, "rtt": 0.08, "loss": 0.01},
    "adsl": {"down_bps": 4_000_000, "up_bps": 512_000, "rtt": 0.06, "loss": 0.005},
}
_FAST: Mapping[str, float] = {"down_bps": 100_000_000, "up_bps": 100_000_000, "rtt": 0.001, "loss": 0.0}
_RUN = timedelta(minutes=30)
_QUIET = timedelta(seconds=3)  # without a packet: whatever was under way has arrived

_PREPARE = """set -e
echo 'Acquire::http::Proxy "http://192.0.2.1:3142";' > /etc/apt/apt.conf.d/90proxy
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q -y -d install cron logrotate rsyslog acl lsof psmisc nftables
apt-get -q -y -d install --no-install-recommends postfix postfix-pcre dovecot-core dovecot-imapd
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one run of a program cost. Bytes and packets of IP on the line, `up` away from the site; seconds."""

    code: int
    wall: float
    controller_cpu: float
    target_cpu: float
    bytes_down: int
    bytes_up: int
    packets_down: int
    packets_up: int
    lost: int
    said: str


class Ground:
    """The lab, and one `Place` a site that is not the hub."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.lab: Lab = up(HERE / "lab", LAB, print)
        os.environ["TRAM_LAB"] = LAB
        os.environ["TRAM_SECRETS"] = str(work / "secrets")
        self.key = make_key(self.lab.province.secrets_dir, "tram@benchline")
        for line in LINES:
            _write_register(work / f"register-{line}", line)
        self.places = [Place(self, site) for site in self.lab.province.sites if not site.is_hub]

    def prepare(self) -> None:
        """Every host taken over, with packages fetched, its disk put aside.

        Raises: SystemExit when a host cannot be taken over.
        """
        for place in self.places:
            self.lab.set_link(place.site.code, **_FAST)
        results = bootstrap(targets(self.lab.province, [], every=True), Entry(agent=False), self.key)
        if bad := [result for result in results if result.outcome is not Outcome.DONE]:
            raise SystemExit(f"not taken over: {bad}")
        for place in self.places:
            ran = place.machine.sh(["sh", "-c", _PREPARE], timeout=timedelta(minutes=10))
            if ran.code != 0:
                raise SystemExit(f"{place.machine.name}: {ran.stderr[-800:]}")
            place.put_aside("bare")


def _write_register(folder: Path, line: str) -> None:
    """The lab's register with every site on lines of this class: what tram knows of a line it knows from there."""
    shutil.copytree(HERE / "lab", folder, dirs_exist_ok=True)
    for path in (folder / "sites").glob("*.yml"):
        path.write_text(path.read_text().replace("class: prepared", f"class: {line}"))


class Place:
    """One site: a host, its line, its disks."""

    def __init__(self, ground: Ground, site: Site) -> None:
        self.ground, self.site = ground, site
        self.lab = ground.lab
        self.host = site.hosts[0].inventory_name
        self.address = str(site.hosts[0].address)
        self.machine: Machine = self.lab.machine(self.host)
        self.inventory = HERE / "lab"

    def put_aside(self, name: str) -> None:
        """Keep the host's disk as it is now."""
        self.machine.stop()
        kept = self._kept(name)
        shutil.rmtree(kept, ignore_errors=True)
        run(["cp", "-a", self.machine.upper, kept], timeout=timedelta(minutes=2))
        self._start()

    def fresh(self, name: str) -> None:
        """Boot the host from the disk of that name."""
        self.machine.cut_power()
        shutil.rmtree(self.machine.upper)
        run(["cp", "-a", self._kept(name), self.machine.upper], timeout=timedelta(minutes=2))
        self._start()

    def line(self, name: str) -> None:
        """Make the line that line ("": a fast one), and the register tell of it."""
        self.lab.set_link(self.site.code, cut=False, **LINES[name] if name else _FAST)
        self.inventory = self.ground.work / f"register-{name}" if name else HERE / "lab"

    def measure(self, argv: Sequence[str], env: Mapping[str, str]) -> Spent:
        """Run a program of the centre's to its end and tell what it cost."""
        with self.begin(argv, env) as begun:
            return begun.end()

    def begin(self, argv: Sequence[str], env: Mapping[str, str], *, leave_open: bool = False) -> Begun:
        """Start a program of the centre's, from the centre's seat in the lab. Its shared connection is ended with it,
        or left for the next."""
        self._quiet()
        return Begun(self, argv, env, leave_open=leave_open)

    def has(self, path: str) -> bool:
        """Whether the host has this file now."""
        pid = self.machine.init_pid()
        return pid is not None and os.path.lexists(f"/proc/{pid}/root{path}")

    def put(self, source: Path, target: str) -> None:
        """A folder onto the host, past the line."""
        shutil.copytree(source, f"/proc/{self.machine.init_pid()}/root{target}", dirs_exist_ok=True)

    def cpu(self) -> float:
        """Seconds of CPU that the host and everything on it has used since it was switched on."""
        for hierarchy in hierarchies():
            stat = hierarchy / self.machine.tag / "cpu.stat"
            if stat.exists():
                words = stat.read_text().split()
                return int(words[words.index("usage_usec") + 1]) / 1e6
        raise SystemExit("no unified control group hierarchy: the host's CPU seconds cannot be read")

    def counters(self) -> dict[str, int]:
        """Bytes and packets the line has carried so far, and packets it lost, both ways."""
        state = self.lab.link(self.site.code)
        found = {f"{what}_{way}": side[what] for way, side in (("down", state.down), ("up", state.up)) for what in side}
        found["lost"] = sum(count for name, count in found.items() if name.startswith(("lost_", "overflowed_")))
        return found

    def _quiet(self) -> dict[str, int]:
        """The counters once nothing is under way any more."""
        deadline = time.monotonic() + 20 * _QUIET.total_seconds()
        seen = self.counters()
        while time.monotonic() < deadline:
            time.sleep(_QUIET.total_seconds())
            now = self.counters()
            if now == seen:
                return now
            seen = now
        return seen

    def _start(self) -> None:
        self.machine.start()
        self.machine.wait_up()

    def _kept(self, name: str) -> Path:
        return self.machine.upper.parent / f"kept-{name}"


class Begun:
    """A program that runs, and the counters from before it."""

    def __init__(self, place: Place, argv: Sequence[str], env: Mapping[str, str], *, leave_open: bool) -> None:
        self.place = place
        self.log = place.ground.work / f"{place.host}.log"
        self.before, self.cpu_before = place.counters(), place.cpu()
        words = ["nsenter", f"--net=/run/netns/{place.lab.paths.core}", sys.executable, str(HERE / "spent.py")]
        words.append("leave" if leave_open else "end")
        self.process = Popen([*words, str(self.log), *argv], stdout=PIPE, text=True, env={**os.environ, **env})

    def over(self) -> bool:
        """Whether the program has ended."""
        return self.process.poll() is not None

    def end(self) -> Spent:
        """Wait for it. Its CPU seconds are its process tree's, those of shared connections it left included."""
        said, _ = self.process.communicate(timeout=_RUN.total_seconds())
        after = self.place._quiet()
        used = json.loads(said)
        carried = {name: count - self.before[name] for name, count in after.items()}
        return Spent(
            code=used["code"],
            wall=round(used["wall"], 2),
            controller_cpu=round(used["user"] + used["sys"], 2),
            target_cpu=round(self.place.cpu() - self.cpu_before, 2),
            bytes_down=carried["bytes_down"],
            bytes_up=carried["bytes_up"],
            packets_down=carried["packets_down"],
            packets_up=carried["packets_up"],
            lost=carried["lost"],
            said=self.log.read_text(errors="replace"),
        )

    def __enter__(self) -> Begun:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
