#!/usr/bin/env python3
"""What the two commands' parts cost, and what the thousand-message story shows. Writes results.json and README.md here.

    .venv/bin/python bench/demo/run.py

No other lab may be up: the base image under it is built anew. A fresh clone, a fresh lab; then the demo again on the
same lab; then the mail story on it. About a quarter of an hour. The Debian packages of the machine itself are installed
already: their 20 seconds are not in the figures.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
LAB = "bench"


def timed(argv: list[str], cwd: Path) -> tuple[float, str]:
    """Seconds and output of a command that must end well."""
    began = time.monotonic()
    env = {**os.environ, "TRAM_LAB": LAB, "TRAM_TEST_LAB": LAB, "COLUMNS": "160", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        argv, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout[-4000:]}")
    return time.monotonic() - began, done.stdout


def changed(output: str) -> dict[str, int]:
    """Changed tasks by host, from the demo's last lines."""
    return {host: int(count) for host, count in re.findall(r"^  (\S+): ok=\d+ changed=(\d+) ", output, re.MULTILINE)}


def main() -> None:
    """Measure, write, print."""
    with tempfile.TemporaryDirectory(prefix="tram-bench-") as directory:
        clone = Path(directory) / "tram"
        subprocess.run(["git", "clone", "-q", REPO, clone], check=True)
        subprocess.run([REPO / ".venv/bin/tram", "lab", "down", "--name", LAB], check=True)
        shutil.rmtree("/var/cache/tram/images", ignore_errors=True)
        try:
            first, first_said = timed(["scripts/demo"], clone)
            again, again_said = timed(["scripts/demo"], clone)
            timed(["scripts/setup.sh", "dev"], clone)
            story = [".venv/bin/pytest", "-q", "-s", "tests/stories/test_mail.py", "-k", "thousand"]
            seconds, told = timed(story, clone)
        finally:
            subprocess.run([REPO / ".venv/bin/tram", "lab", "down", "--name", LAB], check=True)
    lines = re.findall(r"^\S+ -> \S+: .*", told, re.MULTILINE)
    results = {
        "how": "delivered",
        "demo_first_minutes": round(first / 60, 1),
        "demo_again_minutes": round(again / 60, 1),
        "changed_first": changed(first_said),
        "changed_again": changed(again_said),
        "story_minutes": round(seconds / 60, 1),
        "story": lines,
    }
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    (HERE / "README.md").write_text(page(results))
    print(page(results))


def page(results: dict[str, object]) -> str:
    """The figures as Markdown."""
    first, again = results["changed_first"], results["changed_again"]
    assert isinstance(first, dict)
    assert isinstance(again, dict)
    assert isinstance(results["story"], list)
    rows = "\n".join(f"| {host} | {first[host]} | {again.get(host, '?')} |" for host in first)
    story = "\n".join(f"- {line}" for line in results["story"])
    return f"""# The two commands, measured

Written by `bench/demo/run.py`; do not edit. A 2-core machine; roles {results["how"]}.

| | minutes |
|---|---|
| `scripts/demo`, fresh clone, base image to be built | {results["demo_first_minutes"]} |
| `scripts/demo` again | {results["demo_again_minutes"]} |

| host | tasks changed, first run | again |
|---|---|---|
{rows}

The story of a thousand messages, three cuts of the line and one of the power ({results["story_minutes"]} minutes):

{story}
"""


if __name__ == "__main__":
    main()
