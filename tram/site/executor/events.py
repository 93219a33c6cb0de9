"""What a run tells: one JSON line an event for the runner, and a few plain lines for a person reading the log."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ansible.playbook.handler import Handler
from ansible.plugins.callback import CallbackBase

from tram.core.complaints import complaints

_BOUND = 2048  # bytes of a diff or a message: enough to know what happened, little enough for a thin link
_STATS = ("ok", "changed", "unreachable", "failures", "skipped", "rescued", "ignored")


class Events(CallbackBase):  # type: ignore[misc]
    """Ansible's callback that writes events to the file descriptor `fd` (-1: to nobody) and a short log to stdout."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "tram"

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._began = self._task_began = time.monotonic()
        self._done = 0
        self._of: int | None = None
        self._item_told = False
        self.stats = dict.fromkeys(_STATS, 0)
        self.handler_ran: Callable[[str, Any], None] | None = None

    def set_options(self, task_keys: Any = None, var_options: Any = None, direct: Any = None) -> None:
        """There are no options: what a run tells does not depend on settings."""

    def emit(self, kind: str, **body: Any) -> None:
        """Write one event."""
        if self._fd < 0:
            return
        line = json.dumps({"kind": kind, **body}, ensure_ascii=False, default=str).encode(errors="replace") + b"\n"
        while line:
            line = line[os.write(self._fd, line) :]

    def note(self, message: str) -> None:
        """Tell something that belongs to no task."""
        self.emit("note", at=_now(), message=_bounded(message))
        print(f"note: {message}", flush=True)

    def finish(self, cpu_seconds: float) -> None:
        """Write the last event."""
        stats = {("failed" if name == "failures" else name): count for name, count in self.stats.items()}
        seconds = round(time.monotonic() - self._began, 1)
        self.emit("stats", stats=stats, seconds=seconds, cpu_seconds=round(cpu_seconds, 2))

    # Ansible calls these.

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._of = sum(_count(block) for play in playbook.get_plays() for block in play.compile())

    def v2_playbook_on_play_start(self, play: Any) -> None:
        print(f"PLAY [{play.get_name()}]", flush=True)

    def v2_playbook_on_no_hosts_matched(self) -> None:
        self.note("a play of this playbook is for other hosts only")

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002
        self._start(task)
        self._done += 1

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self._start(task)

    def v2_playbook_on_include(self, included_file: Any) -> None:
        if self._of is not None and not included_file._is_role:
            self._of += 1

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._settle_handler(result)

    def v2_runner_on_ok(self, result: Any) -> None:
        self._settle_handler(result)
        if result.is_changed() and not self._item_told:
            self._tell("changed", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if not self._item_told:
            self._tell("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._tell("unreachable", result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        if result.is_changed():
            self._tell_item("changed", result)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        self._tell_item("ignored" if result.task.ignore_errors else "failed", result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        for host in sorted(stats.processed):
            summary = stats.summarize(host)
            for name in _STATS:
                self.stats[name] += summary[name]
            counts = " ".join(f"{'failed' if name == 'failures' else name}={summary[name]:<4}" for name in _STATS)
            print(f"{host:<26} : {counts}", flush=True)

    def _settle_handler(self, result: Any) -> None:
        if self.handler_ran is not None and isinstance(result.task, Handler):
            self.handler_ran(result.host.name, result.task)

    def _start(self, task: Any) -> None:
        self._task_began = time.monotonic()
        self._item_told = False
        self.emit("progress", done=self._done, of=self._of and max(self._of, self._done), task=task.get_name())

    def _tell_item(self, status: str, result: Any) -> None:
        self._item_told = True
        self._tell(status, result, item=str(self._get_item_label(result.result)))

    def _tell(self, status: str, result: Any, item: str | None = None) -> None:
        data: Mapping[str, Any] = result.result
        body: dict[str, Any] = {"task": result.task.get_name(), "status": status}
        body["seconds"] = round(time.monotonic() - self._task_began, 2)
        if "censored" not in data:
            if item is not None:
                body["item"] = _bounded(item)
            if isinstance(path := data.get("dest") or data.get("path"), str):
                body["path"] = path
            if status == "changed" and data.get("diff") and not _is_private(data):
                body["diff"] = _bounded(self._get_diff(data["diff"]))
            if status != "changed":
                body["message"] = _bounded("\n".join(complaints(data)))
        self.emit("task", at=_now(), **body)
        shown = f" ({body['item']})" if "item" in body else ""
        print(f"{status}: {body['task']}{shown}", flush=True)
        if "message" in body:
            print("    " + body["message"].replace("\n", "\n    "), flush=True)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _count(block: Any) -> int:
    total = 0
    for task in block.block:
        if hasattr(task, "block"):
            total += _count(task)
        elif not task.implicit:
            total += 1
    return total


def _is_private(data: Mapping[str, Any]) -> bool:
    """Whether the file a diff is of may not be read by everybody; then nothing of it may leave the host.

    Where the mode is not known, the file is taken for private. A diff of attributes alone shows no content.
    """
    diffs = data["diff"] if isinstance(data["diff"], list) else [data["diff"]]
    if all(isinstance(diff.get("after"), Mapping) for diff in diffs if isinstance(diff, Mapping)):
        return False
    mode = data.get("mode")
    path = data.get("dest") or data.get("path")
    try:
        if mode is None and path:
            mode = oct(os.stat(path).st_mode & 0o777)  # noqa: PTH116
        wanted = data.get("invocation", {}).get("module_args", {}).get("mode")
        return any(not _bits(value) & 0o004 for value in (mode, wanted) if value is not None) or mode is None
    except (OSError, ValueError, AttributeError):
        return True


def _bits(mode: object) -> int:
    return mode if isinstance(mode, int) else int(str(mode), 8)


def _bounded(text: str) -> str:
    content = text.encode(errors="replace")
    if len(content) <= _BOUND:
        return text
    return content[: _BOUND - 4].decode(errors="ignore") + " …"
