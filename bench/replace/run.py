#!/usr/bin/env python3
"""What a rebuilt server takes beside its forecast. Writes results.json and README.md here.

    .venv/bin/python -m bench.replace.run

Runs the stories of a replaced district server and of a lost hub, each on a lab of its own: about three quarters of an
hour, in which the machine should have nothing else to do.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
STORIES = ("test_replace.py", "test_hub_lost.py")


def told(story: str) -> list[dict[str, Any]]:
    """The figures a story prints; it must end well."""
    argv = [sys.executable, "-m", "pytest", "-q", "-s", "-m", "long", f"tests/stories/{story}"]
    done = subprocess.run(argv, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{story}: exit {done.returncode}\n{done.stdout[-4000:]}")
    return [json.loads(line) for line in re.findall(r"^\.*figures (\{.*\})$", done.stdout, re.MULTILINE)]


def main() -> None:
    """Measure, write, print."""
    found = {one["what"]: one for story in STORIES for one in told(story)}
    (HERE / "results.json").write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")
    (HERE / "README.md").write_text(page(found))
    print(page(found))


def page(found: dict[str, dict[str, Any]]) -> str:
    """The figures as Markdown."""
    rows = []
    for what, name in (("drill", "drill on a spare"), ("replace", "replaced")):
        one = found[what]
        for label, took, forecast, unit in (
            ("minutes in all", one["whole_seconds"] / 60, one["forecast_whole_seconds"] / 60, ""),
            ("on the line in all", one["carried_bytes"] / 1e6, one["forecast_whole_bytes"] / 1e6, " MB"),
            ("the backup on the line", one["line_bytes"] / 1e6, one["forecast_bytes"] / 1e6, " MB"),
        ):
            rows.append(f"| {name}: {label} | {forecast:.1f}{unit} | {took:.1f}{unit} | {took / forecast:.2f} |")
    hub = found["hub"]
    steps = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in found["replace"]["steps_seconds"].items())
    return f"""# A server rebuilt, measured

Written by `bench/replace/run.py`; do not edit. A district's mail server with 5,000 letters behind an ADSL line,
from the register, the roles and its backup, packages near
(`tests/stories/test_replace.py`). The first forecast is a guess; the second is made of the first one's measure.

| | forecast | took | ratio |
|---|---|---|---|
{chr(10).join(rows)}

Steps of the replacement: {steps}.

A hub that was lost, from its backup elsewhere ({hub["compared"]["files"]} files):
{hub["whole_seconds"] / 60:.1f} minutes (`tests/stories/test_hub_lost.py`).
"""


if __name__ == "__main__":
    main()
