"""One role of 60 tasks to one host over bad lines, by each engine: what it costs the line, the centre and the host.

    .venv/bin/python bench/delivery/run.py [--quick] [--engines tram,tuned] [--keep]

Three hosts of a lab take engine after engine from one queue, each from a fresh disk: first run, run without change, and
a run whose line is cut for 90 s in the middle. Writes results.json and the table in README.md, beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engines import PLAYBOOK, ROLE, Engine, engines, install_argv, tram_argv
from ground import HERE, LAB, LINES, Ground, Place, Spent
from table import write

from tram.bundle import build, pack
from tram.core.run import run
from tram.lab.lab import down

REQUIREMENTS = HERE.parents[1] / "requirements/bench.txt"
# Files of the role: that the middle was reached, and that the end was.
MIDDLE, LAST = "/etc/sysctl.d/60-bench.conf", "/etc/systemd/system/timers.target.wants/bench-clean.timer"
OUTAGE = timedelta(seconds=90)
_MIDDLE = timedelta(minutes=15)
_TREE, _RUNTIMES = "/root/bench", "/opt/tram/runtime"
_ATTEMPTS = """import glob, json
runs = [json.load(open(path)) for path in glob.glob("/var/lib/tram/site/runs/*/state.json")]
print(sum(run.get("apply_attempt", 1) - 1 for run in runs))"""
_LOCAL = "ansible-playbook -c local"


class Measuring:
    """The rows as they come, from several hosts at once."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self._lock = threading.Lock()

    def add(self, **row: Any) -> None:
        """One more row, also on the screen."""
        row["load"] = round(os.getloadavg()[0], 1)
        with self._lock:
            self.rows.append(row)
            print(json.dumps(row, ensure_ascii=False), flush=True)

    def keep(self, engine: Engine, line: str, kind: str, spent: Spent, **more: Any) -> None:
        """A run of an engine; what it said is kept only where it did not end well."""
        told = engine.told(spent.code, spent.said)
        figures = asdict(spent)
        said = figures.pop("said")
        if told.outcome == "done":
            said = ""
        elif kind != "cut":
            self.problems.append(f"{engine.name}, {line}, {kind}: {told.outcome}: {said[-1500:]}")
        self.add(engine=engine.name, line=line, run=kind, **asdict(told), **figures, **more, said=said[-300:])


def main() -> None:
    """Prepare, measure, write."""
    options = _options()
    work = Path(tempfile.mkdtemp(prefix="tram-bench-"))
    try:
        mitogen = ["--no-deps", "--target", work / "mitogen", "-r", REQUIREMENTS]
        run([sys.executable, "-m", "pip", "-q", "install", "--require-hashes", *mitogen], timeout=timedelta(minutes=5))
        ground = Ground(work)
        ground.prepare()
        found = _measure(ground, options)
    finally:
        if not options.keep:
            down(LAB)
            shutil.rmtree(work, ignore_errors=True)
    if not options.quick and not options.engines:
        (HERE / "results.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        write(found)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="measure what delivering a role costs")
    parser.add_argument("--quick", action="store_true", help="tram and tuned Ansible on ADSL only; writes nothing")
    parser.add_argument("--engines", default="", help="only those whose names have one of these words; writes nothing")
    parser.add_argument("--keep", action="store_true", help="leave the lab and the logs")
    return parser.parse_args()


def _measure(ground: Ground, options: argparse.Namespace) -> dict[str, Any]:
    began, load = datetime.now(UTC), os.getloadavg()
    words = ["tuned", "tram"] if options.quick else [word for word in options.engines.split(",") if word]
    chosen = [engine for engine in engines(ground) if not words or any(word in engine.name for word in words)]
    lines = ["adsl"] if options.quick else list(LINES)
    measuring = Measuring()
    installed = [_install(place, chosen) for place in ground.places]
    jobs: queue.SimpleQueue[tuple[Engine, str, str]] = queue.SimpleQueue()
    for job in _jobs(chosen, lines):
        jobs.put(job)
    lanes = [threading.Thread(target=_lane, args=(place, jobs, measuring)) for place in ground.places]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    _together(ground, chosen, measuring)
    if measuring.problems:
        raise SystemExit("not as it should be:\n" + "\n".join(measuring.problems))
    return {
        "date": began.strftime("%Y-%m-%d"),
        "minutes": round((datetime.now(UTC) - began).total_seconds() / 60, 1),
        "machine": {
            "cores": os.cpu_count(),
            "kernel": platform.release(),
            "load_before": [round(one, 1) for one in load],
            "load_after": [round(one, 1) for one in os.getloadavg()],
        },
        "versions": _versions(),
        "lines": LINES,
        "runtime": next((found for found in installed if found), None),
        "change_set_bytes": _change_set(ground),
        "rows": measuring.rows,
    }


def _jobs(chosen: list[Engine], lines: list[str]) -> list[tuple[Engine, str, str]]:
    """What is to be measured, the longest first: the slowest two engines on the slowest line take half of all time."""
    slow = [("runs", line, engine) for line in lines[:-1] for engine in chosen[:2]]
    rest = [("cut", "adsl", engine) for engine in reversed(chosen)]
    rest += [("runs", line, engine) for line in lines for engine in reversed(chosen)]
    return [(engine, line, kind) for kind, line, engine in dict.fromkeys(slow + rest)]


def _install(place: Place, chosen: list[Engine]) -> dict[str, int] | None:
    """tram's runtime onto the place's second disk: what that put on the line, once for each host."""
    tram = next((engine for engine in chosen if engine.disk == "ready"), None)
    if tram is None:
        return None
    spent = place.measure(install_argv(place), tram.env(place))
    if spent.code != 0:
        raise SystemExit(f"the runtime does not install: {spent.said[-1500:]}")
    place.put_aside("ready")
    return {"bytes": spent.bytes_down + spent.bytes_up, "packets": spent.packets_down + spent.packets_up}


def _lane(place: Place, jobs: queue.SimpleQueue[tuple[Engine, str, str]], measuring: Measuring) -> None:
    """One host takes what is next, until nothing is left. One engine's trouble does not stop the others."""
    while True:
        try:
            engine, line, kind = jobs.get_nowait()
        except queue.Empty:
            return
        try:
            place.fresh(engine.disk)
            place.line(line)
            if kind == "cut":
                _cut(place, engine, line, measuring)
                continue
            for name in ("first", "no change"):
                spent = place.measure(engine.argv(place), engine.env(place))
                measuring.keep(engine, line, name, spent)
            if engine.disk == "ready":
                _over_an_open_connection(place, engine, line, measuring)
                _local(place, line, measuring)
        except Exception as error:  # said at the end, with everything else that went wrong
            measuring.problems.append(f"{engine.name}, {line}, {kind}: {error!r}")
        finally:
            place.line("")


def _together(ground: Ground, chosen: list[Engine], measuring: Measuring) -> None:
    """tram to all hosts in one delivery: what it costs the centre for each, when starting and reading is shared."""
    tram = next((engine for engine in chosen if engine.disk == "ready"), None)
    if tram is None:
        return
    for place in ground.places:
        place.fresh(tram.disk)
        place.line("adsl")
    first, hosts = ground.places[0], len(ground.places)
    for name in ("first", "no change"):
        spent = first.measure(tram_argv(*ground.places), tram.env(first))
        told = tram.told(spent.code, spent.said)
        if told.outcome != "done":
            measuring.problems.append(f"{tram.name}, {hosts} hosts, {name}: {told.outcome}: {spent.said[-1500:]}")
        each = round(spent.controller_cpu / hosts, 2)
        run_name = f"{name}, {hosts} hosts in one delivery"
        measuring.add(engine=tram.name, line="adsl", run=run_name, wall=spent.wall, controller_cpu=each)


def _over_an_open_connection(place: Place, engine: Engine, line: str, measuring: Measuring) -> None:
    """Once more without change, within the minute in which the connection of the last delivery is left open."""
    with place.begin(engine.argv(place), engine.env(place), leave_open=True) as begun:
        begun.end()
    spent = place.measure(engine.argv(place), engine.env(place))
    measuring.keep(engine, line, "no change, connection open", spent)


def _cut(place: Place, engine: Engine, line: str, measuring: Measuring) -> None:
    """A first run; in its middle the line is gone for 90 s."""
    with place.begin(engine.argv(place), engine.env(place)) as begun:
        deadline = time.monotonic() + _MIDDLE.total_seconds()
        while not place.has(MIDDLE) and not begun.over() and time.monotonic() < deadline:
            time.sleep(0.1)
        place.lab.cut(place.site.code)
        time.sleep(OUTAGE.total_seconds())
        place.lab.mend(place.site.code)
        spent = begun.end()
    again = 0
    told = engine.told(spent.code, spent.said)
    if told.outcome != "done":  # whoever calls it again runs from the top what was done already
        again = told.ok or 0
    elif engine.disk == "ready":
        again = _twice(place)
    measuring.keep(engine, line, "cut", spent, at_the_end=place.has(LAST), tasks_again=again)


def _twice(place: Place) -> int:
    """How many starts too many the host's own journals of runs tell of."""
    ran = place.machine.sh(["python3", "-c", _ATTEMPTS])
    return int(ran.stdout)


def _local(place: Place, line: str, measuring: Measuring) -> None:
    """The same role once more, by plain Ansible on the host itself, from tram's own copy of Ansible."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        shutil.copytree(ROLE, tree / "roles/role60", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(PLAYBOOK, tree / "playbook.yml")
        shutil.copy(ROLE.parent / "measure.py", tree / "measure.py")
        here = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
        (tree / "inventory.yml").write_text(json.dumps({"all": {"hosts": {place.host: here}}}))
        place.put(tree, _TREE)
    playbook = [
        f"{_RUNTIMES}/current/launch.py",
        "ansible.cli.playbook",
        "-c",
        "local",
        "-i",
        "inventory.yml",
        "playbook.yml",
    ]
    argv = ["/usr/bin/python3", "-I", f"{_TREE}/measure.py", "/usr/bin/python3", "-I", *playbook]
    settings = ["env", "--chdir", _TREE, "LC_ALL=C.UTF-8"]
    ran = place.machine.sh([*settings, *argv], timeout=timedelta(minutes=10))
    told = json.loads(ran.stdout.strip().splitlines()[-1]) if ran.code == 0 else {"code": ran.code, "tail": ran.stderr}
    if told["code"] != 0 or told["changed"] != 0:
        raise SystemExit(f"{_LOCAL}: {told}")
    # Not from the control group: a program started from outside stays in the machine's.
    cpu, wall = round(told["user"] + told["sys"], 2), round(told["wall"], 2)
    measuring.add(engine=_LOCAL, line=line, run="no change", outcome="done", wall=wall, target_cpu=cpu)


def _change_set(ground: Ground) -> dict[str, int]:
    """The least that must travel: everything the host lacks, compressed; without change nothing but an order."""
    province, host = ground.lab.province, ground.places[0].site.hosts[0]
    content = build(PLAYBOOK, province, host, secrets=province.secrets_dir)
    return {"first": len(pack(content, ())), "no change": 0}


def _versions() -> dict[str, str]:
    said = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr
    pinned = next(line for line in REQUIREMENTS.read_text().splitlines() if line.startswith("mitogen=="))
    return {
        "python": platform.python_version(),
        "ansible-core": version("ansible-core"),
        "mitogen": pinned.split("==")[1].split()[0],
        "pyinfra": version("pyinfra"),
        "ssh": said.split(",")[0],
    }


if __name__ == "__main__":
    main()
