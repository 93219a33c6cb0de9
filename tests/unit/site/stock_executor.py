"""The executor's promises kept by stock `ansible-playbook`, followed by its JSON lines."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

WORDS = {"v2_runner_on_ok": "ok", "v2_runner_on_failed": "failed", "v2_runner_on_unreachable": "unreachable"}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("rundir", type=Path)
    parser.add_argument("--playbook")
    parser.add_argument("--events", type=int)
    parser.add_argument("--notified")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    began = time.monotonic()
    program = Path(sys.executable).parent / "ansible-playbook"
    argv = [program, "-i", "inventory.yml", given.playbook, *(["--check"] if given.check else [])]
    env = {
        **os.environ,
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.jsonl",
        "ANSIBLE_HOME": str(given.rundir / "ansible"),
    }
    process = subprocess.Popen(argv, cwd=given.rundir / "tree", env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    done, stats = 0, {}
    for line in process.stdout:
        event = json.loads(line) if line.startswith("{") else {}
        kind = event.get("_event")
        if kind == "v2_playbook_on_task_start":
            done += 1
            tell(given.events, "progress", done=done, of=None, task=event["task"]["name"])
        elif kind in WORDS:
            told = event["task"]["name"], WORDS[kind], next(iter(event["hosts"].values()))
            report(given.events, *told)
        elif kind == "v2_playbook_on_stats":
            stats = next(iter(event["stats"].values()), {})
    code = process.wait()
    stats["failed"] = stats.pop("failures", 0)
    tell(given.events, "stats", stats=stats, seconds=time.monotonic() - began, cpu_seconds=os.times().children_user)
    return code


def report(fd: int, task: str, status: str, result: dict[str, Any]) -> None:
    """Tell of a task unless it was ok."""
    changed = status == "ok" and result.get("changed")
    if changed or status != "ok":
        message = {} if changed else {"message": str(result.get("msg", ""))[:2048]}
        tell(fd, "task", task=task, status="changed" if changed else status, seconds=0.0, **message)


def tell(fd: int, kind: str, **body: Any) -> None:
    os.write(fd, json.dumps({"kind": kind, **body}).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
