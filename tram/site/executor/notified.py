"""Handlers that are owed: notified, but not yet run. Kept on the disk, because a run can be broken off at any moment.

A handler is owed from the moment its task begins (the task may change the host and be killed before it says so) until
the handler ran to its end. The next run that reads the file notifies it again; a handler run once too often is
harmless, one never run leaves a service on its old configuration.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.executor.play_iterator import PlayIterator
from ansible.playbook.handler import Handler
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.strategy import StrategyBase

Key = tuple[str, str, str]  # play's name, host, what was notified


class Notified:
    """The file of owed handlers. `owed` keeps the order of notification; a value is the handlers still to run."""

    def __init__(self, path: Path, note: Callable[[str], None]) -> None:
        self._path = path
        self._now_path = path.with_name(path.name + ".now")
        self._note = note
        self._inherited = _read(path) + [key for key in _read(self._now_path) if key not in _read(path)]
        self._owed: dict[Key, set[str] | None] = dict.fromkeys(self._inherited)
        self._now_fd = -1
        self._now_set = False
        self._play = ""
        self._played: set[str] = set()

    def play_started(self, iterator: Any) -> None:
        """Notify again what an earlier run owes in this play."""
        self._play = iterator._play.get_name()
        self._played.add(self._play)
        for key in self._inherited:
            play, host, handler = key
            if play == self._play and key in self._owed and host in iterator._host_states:
                iterator.add_notification(host, handler)
                self._note(f"handler {handler!r} is owed by an earlier run and was notified again")

    def task_starts(self, host: str, notifications: Any) -> None:
        """A task that may notify begins."""
        plain = [name for name in notifications or [] if isinstance(name, str) and "{{" not in name]
        if not plain and not self._now_set:
            return
        if self._now_fd < 0:
            self._now_fd = os.open(self._now_path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        content = _document([(self._play, host, name) for name in plain])
        os.pwrite(self._now_fd, content, 0)
        os.ftruncate(self._now_fd, len(content))
        self._now_set = bool(plain)

    def notified(self, host: str, name: str) -> None:
        """A handler was notified."""
        key = (self._play, host, name)
        if key not in self._owed:
            self._owed[key] = None
            self._save()

    def flushed(self, host: str, name: str, handlers: list[Any]) -> None:
        """Handlers are about to run for this notification."""
        key = (self._play, host, name)
        if handlers and key in self._owed:
            self._owed[key] = {handler._uuid for handler in handlers}

    def handler_ran(self, host: str, handler: Any) -> None:
        """A handler ran to its end, or was skipped by its own condition."""
        if isinstance(handler, TaskInclude):
            return  # what it includes has yet to run; the end of the run settles it
        before = len(self._owed)
        for key, waiting in list(self._owed.items()):
            if key[1] == host and waiting is not None:
                waiting.discard(handler._uuid)
                if not waiting:
                    del self._owed[key]
        if len(self._owed) != before:
            self._save()

    def finished(self, *, succeeded: bool) -> None:
        """The run ended by itself. After success its plays owe nothing; what other playbooks owe stays."""
        if self._now_fd >= 0:
            os.close(self._now_fd)
        if succeeded:
            self._owed = {key: waiting for key, waiting in self._owed.items() if key[0] not in self._played}
        if self._owed:
            self._save()
        else:
            self._path.unlink(missing_ok=True)
        self._now_path.unlink(missing_ok=True)

    def is_inherited(self, host: str, name: str) -> bool:
        """Whether an earlier run, not this one, notified it."""
        return (self._play, host, name) in self._inherited

    def _save(self) -> None:
        part = self._path.with_name(self._path.name + ".part")
        with part.open("wb") as file:
            file.write(_document(list(self._owed)))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)


def install(owed: Notified) -> None:
    """Let this process's Ansible keep the file."""
    stock_init, stock_add = PlayIterator.__init__, PlayIterator.add_notification
    stock_meta, stock_queue, stock_notify = StrategyBase._execute_meta, StrategyBase._queue_task, Handler.notify_host

    def init(self: Any, *args: Any, **options: Any) -> None:
        stock_init(self, *args, **options)
        owed.play_started(self)

    def add(self: Any, hostname: str, notification: str) -> None:
        stock_add(self, hostname, notification)
        owed.notified(hostname, notification)

    def meta(self: Any, task: Any, play_context: Any, iterator: Any, host: Any) -> Any:
        lost = []
        if task._get_meta() == "flush_handlers":
            for name in list(iterator.get_state_for_host(host.name).handler_notifications):
                handlers = list(self.search_handlers_by_notification(name, iterator))
                owed.flushed(host.name, name, handlers)
                if not handlers and owed.is_inherited(host.name, name):
                    lost.append(name)
        result = stock_meta(self, task, play_context, iterator, host)
        # An inherited notification may be of a role that is included further on.
        waiting = iterator.get_state_for_host(host.name).handler_notifications
        waiting.extend(name for name in lost if name not in waiting)
        return result

    def queue(self: Any, host: Any, task: Any, task_vars: Any, play_context: Any) -> None:
        owed.task_starts(host.name, None if isinstance(task, Handler) else task.notify)
        stock_queue(self, host, task, task_vars, play_context)

    def notify(self: Any, host: Any) -> Any:
        fresh = stock_notify(self, host)
        if fresh and not any(waiting and self._uuid in waiting for waiting in owed._owed.values()):
            owed.notified(host.name, self.get_name())
            owed.flushed(host.name, self.get_name(), [self])
        return fresh

    PlayIterator.__init__ = init
    PlayIterator.add_notification = add
    StrategyBase._execute_meta = meta
    StrategyBase._queue_task = queue
    Handler.notify_host = notify


def _document(keys: list[Key]) -> bytes:
    owed = [{"play": play, "host": host, "handler": handler} for play, host, handler in keys]
    return json.dumps({"format": 1, "owed": owed}, ensure_ascii=False, sort_keys=True).encode()


def _read(path: Path) -> list[Key]:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        document = json.loads(path.read_bytes())
        if document["format"] == 1:
            return [(str(key["play"]), str(key["host"]), str(key["handler"])) for key in document["owed"]]
    return []
