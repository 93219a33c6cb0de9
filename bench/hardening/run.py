#!/usr/bin/env python3
"""Judges hosts before and after playbooks/harden.yml by programs that are not ours; writes results.json and README.md.

    .venv/bin/python bench/hardening/run.py [--content DIRECTORY]

A fresh lab: the hub and a mail site with Debian 12, a mail site with Debian 13. `--content` is a directory with
ssg-debian12-ds.xml and ssg-debian13-ds.xml, built from ComplianceAsCode; without it Debian's own content is taken,
which has ANSSI's profiles for Debian 12 alone. About an hour. `--on LAB --steps …` goes on with a lab of yours.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import referees
from table import write

from tram.lab.lab import Lab, down, open_lab, up
from tram.push.playbook import Recap, run_playbook

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
NAME = "benchhardening"
RESULTS = HERE / "results.json"
# Host -> the host of another site that looks at it from outside.
HOSTS = {
    "trung-tam-hub1": "so-noi-vu-srv1",
    "so-noi-vu-srv1": "huong-khe-srv1",
    "huong-khe-srv1": "so-noi-vu-srv1",
}
STEPS = ("ground", "before", "apply", "after")


def register(folder: Path) -> Path:
    """The lab's register, with Debian 13 and the webmail at its district."""
    shutil.copytree(REPO / "inventories/lab", folder)
    site = folder / "sites/huong-khe.yml"
    text = site.read_text(encoding="utf-8").replace("suite: bookworm", "suite: trixie")
    site.write_text(
        text.replace("functions: [dns, antivirus, mail]", "functions: [dns, antivirus, mail, webmail]"),
        encoding="utf-8",
    )
    return folder


def ground(inventory: Path) -> Lab:
    """Hosts with every service, not hardened."""
    lab = up(inventory, NAME, print)
    tram("host", "bootstrap", "--all", inventory=inventory)
    demand(run_playbook(REPO / "playbooks/site.yml", inventory))
    # As after the first night: what is pending is role updates' to install in its window, not the run's.
    for host in HOSTS:
        lab.sh(host, ["sh", "-c", "apt-get -q update && apt-get -q -y upgrade"], timeout=timedelta(minutes=20))
    tram("deliver", "--install", "--all", inventory=inventory)
    return lab


def tram(*words: str, inventory: Path, good: tuple[int, ...] = (0,)) -> str:
    """`tram …` as an operator says it; returns what it printed."""
    done = subprocess.run(
        [REPO / ".venv/bin/tram", *words, "-i", str(inventory)], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode not in good:
        sys.exit(f"tram {' '.join(words)}: exit {done.returncode}\n{done.stdout[-3000:]}")
    return done.stdout


def demand(recap: Recap) -> Recap:
    """A playbook that must not fail."""
    if recap.code != 0:
        sys.exit("\n".join(recap.failures()))
    return recap


def judged(lab: Lab, datastreams: dict[str, Path]) -> dict[str, Any]:
    """Every host by every judge. The lines are made fast: nmap asks 65,535 times."""
    suites = {host.inventory_name: host.suite for site in lab.province.sites for host in site.hosts}
    before = {site.code: lab.link(site.code).line for site in lab.province.sites if not site.is_hub}
    for code in before:
        lab.set_link(code, down_bps=100_000_000, up_bps=100_000_000, rtt=0.002, loss=0.0)
    found = {}
    for host, neighbour in HOSTS.items():
        print(f"judging {host}", flush=True)
        found[host] = referees.judge(lab, host, neighbour, datastreams.get(suites[host]))
    for code, line in before.items():
        if line:
            lab.set_link(code, down_bps=line.down_bps, up_bps=line.up_bps, rtt=line.rtt, loss=line.loss)
    return found


def applied(lab: Lab, inventory: Path) -> dict[str, Any]:
    """What hardening costs, delivered: the first run and the second, and what the verify playbooks say then."""
    found: dict[str, Any] = {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    for name in ("first", "second"):
        count = {site.code: lab.link(site.code) for site in lab.province.sites if not site.is_hub}
        began = time.monotonic()
        told = json.loads(tram("deliver", "harden", "--all", "--now", "--json", inventory=inventory, good=(0, 1)))
        seconds = time.monotonic() - began
        carried = {
            code: {way: getattr(lab.link(code), way)["bytes"] - getattr(old, way)["bytes"] for way in ("down", "up")}
            for code, old in count.items()
        }
        keep = ("outcome", "reason", "seconds", "sent", "received", "stats")
        hosts = {row["host"]: {key: row[key] for key in keep} for row in told}
        found[name] = {"seconds": round(seconds, 1), "line_bytes": carried, "hosts": hosts}
    found["verify"] = {}
    with tempfile.TemporaryDirectory() as directory:
        for playbook in sorted((REPO / "playbooks/verify").glob("*.yml")):
            recap = run_playbook(playbook, inventory, extra=["-e", f"verify_results_dir={directory}"])
            found["verify"][playbook.stem] = "green" if recap.code == 0 else recap.failures()
    return found


def main() -> None:
    """Measure what the steps say, write, print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--content", type=Path, help="directory of datastreams instead of Debian's own")
    options.add_argument("--on", metavar="LAB", help="a lab that is up, left standing")
    options.add_argument("--inventory", type=Path, help="the register of that lab")
    options.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    asked = options.parse_args()
    os.environ["TRAM_LAB"] = asked.on or NAME
    # The day tells which state of Debian's archive was installed.
    results = json.loads(RESULTS.read_text()) if set(asked.steps) != set(STEPS) and RESULTS.exists() else {}
    results["measured"] = datetime.now(UTC).date().isoformat()
    with tempfile.TemporaryDirectory(prefix="tram-bench-") as directory:
        inventory = (asked.inventory or register(Path(directory) / "lab")).resolve()
        try:
            lab = open_lab(asked.on) if asked.on else ground(inventory)
            for step in asked.steps:
                if step in ("before", "after"):
                    for host in HOSTS:
                        referees.install(lab, host)
                    name, datastreams = contents(lab, asked.content)
                    results["content"] = name
                    results[step] = judged(lab, datastreams)
                elif step == "apply":
                    results["apply"] = applied(lab, inventory)
                RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
        finally:
            if not asked.on:
                down(NAME)
    write(results)


def contents(lab: Lab, directory: Path | None) -> tuple[str, dict[str, Path]]:
    """Name and datastreams by suite: what was given, or Debian's."""
    if directory:
        found = referees.found_content(directory)
        return f"ComplianceAsCode, {referees.content_version(next(iter(found.values())))}", found
    return referees.archive_content(lab, {"bookworm": "so-noi-vu-srv1", "trixie": "huong-khe-srv1"})


if __name__ == "__main__":
    main()
