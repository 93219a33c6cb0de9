"""Run `ansible-playbook` as an operator would, and follow it event by event.

Nothing of ours is needed to run a playbook; this only turns Ansible's own JSON lines (callback `ansible.posix.jsonl`)
into typed results, for a progress display and for tests that ask which task changed what.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tram.core.complaints import complaints
from tram.core.errors import ProgramFailed


@dataclass(frozen=True, slots=True)
class TaskResult:
    """How one task ended on one host. `status`: ok, changed, skipped, failed or unreachable; `message` is
    Ansible's own word for it, empty unless it failed."""

    task: str
    host: str
    status: str
    message: str


@dataclass(slots=True)
class Recap:
    """How a playbook ended: exit code of ansible-playbook, its own counts by host, every result, what it warned of."""

    code: int = 0
    stats: dict[str, dict[str, int]] = field(default_factory=dict)
    results: list[TaskResult] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def changed(self) -> list[str]:
        """What changed, as `host: task`."""
        return [f"{result.host}: {result.task}" for result in self.results if result.status == "changed"]

    def failures(self) -> list[str]:
        """What failed or was not reached, as `host: task: message`."""
        bad = [result for result in self.results if result.status in ("failed", "unreachable")]
        return [f"{result.host}: {result.task}: {result.message}" for result in bad]

    def executions(self) -> dict[str, int]:
        """Tasks that did run, by host."""
        ran = [result.host for result in self.results if result.status != "skipped"]
        return {host: ran.count(host) for host in sorted(set(ran))}


def ansible_program(name: str) -> Path:
    """A program of the environment we run in (`ansible-playbook`, `ansible-inventory`)."""
    return Path(sys.executable).parent / name


def run_playbook(
    playbook: Path,
    inventory: Path,
    *,
    extra: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    follow: Callable[[TaskResult], None] | None = None,
) -> Recap:
    """Run a playbook to its end; `follow` is called with each result as it comes.

    A failed task is no exception: read `code` and `failures()`.

    Raises: ProgramFailed when ansible-playbook gives no recap at all (wrong syntax, no inventory), with its last words.
    """
    argv = [str(ansible_program("ansible-playbook")), "-i", str(inventory), *extra, str(playbook)]
    environment = {**os.environ, **(env or {}), "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.jsonl"}
    recap = Recap()
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            for result in _read(line, recap):
                recap.results.append(result)
                if follow:
                    follow(result)
    recap.code = process.returncode
    if not recap.stats and recap.code != 0:
        said = " / ".join(recap.notes[-4:]) or "no message"
        raise ProgramFailed(f"ansible-playbook {playbook}: exit {recap.code}: {said}")
    return recap


def _read(line: str, recap: Recap) -> Iterator[TaskResult]:
    try:
        event = json.loads(line)
    except ValueError:
        if line.strip():
            recap.notes.append(line.strip())
        return
    kind = event.get("_event", "")
    if kind == "v2_playbook_on_stats":
        recap.stats = event["stats"]
    elif kind.startswith("v2_runner_on_") and kind != "v2_runner_on_start":
        task = event["task"]["name"]
        for host, result in event["hosts"].items():
            yield TaskResult(task, host, _status(kind, result), _message(result))


def _status(kind: str, result: Mapping[str, Any]) -> str:
    ended = kind.removeprefix("v2_runner_on_")
    if ended == "ok":
        return "changed" if result.get("changed") else "ok"
    return ended


def _message(result: Mapping[str, Any]) -> str:
    if not (result.get("failed") or result.get("unreachable")):
        return ""
    items = [item for item in result.get("results", []) if isinstance(item, dict) and item.get("failed")]
    return " / ".join(word for part in (*items, result) for word in complaints(part))[:2000]
