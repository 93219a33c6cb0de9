"""What the benchmarks on a lab share: a lab of their own or a given one, a shell on its hosts, waiting, the page."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from tram.lab.lab import Lab, down, up

REPO = Path(__file__).parents[1]


def options_of(doc: str | None, *, lab: str) -> argparse.Namespace:
    """The command line; `lab` is what a given one must have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lab", help=f"one that is up, with {lab}")
    parser.add_argument("--inventory", type=Path, default=REPO / "inventories/lab")
    parser.add_argument("--keep", action="store_true", help="leave the lab standing")
    return parser.parse_args()


@contextmanager
def bench_lab(options: argparse.Namespace, name: str, playbooks: Sequence[str]) -> Iterator[Lab]:
    """The lab that was given, or one of that name with its hosts taken over and these playbooks applied."""
    lab = up(options.inventory, options.lab or name, print)
    try:
        if not options.lab:
            tool, environment = Path(sys.executable).parent, {"TRAM_LAB": name, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
            for command in (
                [tool / "tram", "host", "bootstrap", "--all", "-i", options.inventory],
                [tool / "ansible-playbook", "-i", options.inventory, *playbooks],
            ):
                subprocess.run([str(word) for word in command], cwd=REPO, env=environment, check=True)
        yield lab
    finally:
        if not options.lab and not options.keep:
            down(name)


def sh(lab: Lab, host: str, script: str) -> str:
    """Run a script on a host, past the network."""
    ran = lab.sh(host, ["sh", "-c", script], timeout=timedelta(minutes=10))
    if ran.code != 0:
        raise SystemExit(f"{host}: {script[:200]}: {ran.stderr or ran.stdout}")
    return re.sub(r"\s+$", "", ran.stdout)


def wait(what: str, condition: Callable[[], bool], *, within: timedelta) -> None:
    """Wait, within reason."""
    until = time.monotonic() + within.total_seconds()
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"{what}: not within {within.total_seconds():.0f} s")
        time.sleep(0.5)


def write(here: Path, results: dict[str, Any], table: str) -> None:
    """Keep the results, put their table into the page beside them, and print it."""
    (here / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    page = (here / "README.md").read_text(encoding="utf-8")
    start, end = "<!-- table -->\n", "\n<!-- /table -->"
    before, after = page.split(start)[0], page.split(end)[1]
    (here / "README.md").write_text(before + start + table + end + after, encoding="utf-8")
    print(table)
