"""Keeps the executor's promises (tram/site/executor) for playbooks that are a JSON list of steps, so that a run takes
milliseconds. A step: {"write": path, "text": …} when it is not so yet, {"append": path} always, {"remove": path},
{"sleep": seconds}, {"until": path} is there, {"fail": message}; paths are absolute."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("rundir", type=Path)
    parser.add_argument("--playbook")
    parser.add_argument("--events", type=int)
    parser.add_argument("--notified")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    steps = json.loads((given.rundir / "tree" / given.playbook).read_text())
    stats = dict.fromkeys(("ok", "changed", "failed", "skipped", "rescued", "ignored", "unreachable"), 0)

    def tell(kind: str, **body: Any) -> None:
        os.write(given.events, json.dumps({"kind": kind, **body}).encode() + b"\n")

    code = 0
    for number, step in enumerate(steps, 1):
        name = step.get("name", f"step {number}")
        tell("progress", done=number, of=len(steps), task=name)
        if "fail" in step:
            stats["failed"] += 1
            tell("task", at="2026-11-21T19:05:00Z", task=name, status="failed", seconds=0.1, message=step["fail"])
            code = 2
            break
        stats["ok"] += 1
        if act(step, given.check):
            stats["changed"] += 1
            tell("task", at="2026-11-21T19:05:00Z", task=name, status="changed", seconds=0.1)
    tell("stats", stats=stats, seconds=0.2, cpu_seconds=0.1)
    print("through")
    return code


def act(step: dict[str, Any], check: bool) -> bool:
    """Do one step; whether it changed anything."""
    time.sleep(step.get("sleep", 0))
    while "until" in step and not Path(step["until"]).exists():
        time.sleep(0.02)
    if "append" in step:
        with Path(step["append"]).open("a") as file:
            file.write("x")
        return True
    if "remove" in step:
        path = Path(step["remove"])
        there = path.exists()
        path.unlink(missing_ok=True)
        return there
    if "write" not in step:
        return False
    path, text = Path(step["write"]), step["text"]
    if path.exists() and path.read_text() == text:
        return False
    if not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return True


if __name__ == "__main__":
    sys.exit(main())
