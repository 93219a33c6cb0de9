"""Tasks executed in this process, where Ansible forks a worker and carries its result through a queue and a thread.

What the fork protected is protected otherwise: the task (with its parents) is a copy, the variables are a copy, the
result goes through pickle as it would on the queue. Actions that are not Ansible's own keep their fork.
"""

from __future__ import annotations

import pickle
from typing import Any

from ansible._internal import _task
from ansible.executor import task_executor
from ansible.executor.process.worker import WorkerProcess
from ansible.executor.task_result import _RawTaskResult
from ansible.plugins import strategy as strategies
from ansible.plugins.loader import action_loader
from ansible.plugins.strategy import StrategyBase

_BUILTIN = ("ansible.plugins.action.", "ansible_collections.ansible.builtin.plugins.action.")


def install() -> None:
    """Let this process's Ansible execute tasks inline."""
    stock_queue_task = StrategyBase._queue_task

    def queue_task(self: Any, host: Any, task: Any, task_vars: Any, play_context: Any) -> None:
        strategies.WorkerProcess = _worker_for(self, task)
        try:
            stock_queue_task(self, host, task, task_vars, play_context)
        finally:
            strategies.WorkerProcess = WorkerProcess

    StrategyBase._queue_task = queue_task


def _worker_for(strategy: Any, task: Any) -> Any:
    def worker(**given: Any) -> Any:
        if not _is_builtin(task):
            return WorkerProcess(**given)
        return InlineWorker(strategy, **given)

    return worker


def _is_builtin(task: Any) -> bool:
    """Whether the action is Ansible's own code, which is known to leave the process as it found it."""
    found = action_loader.get(task.action, class_only=True, collection_list=task.collections)
    return found is None or str(found.__module__).startswith(_BUILTIN)


class InlineWorker:
    """Has a worker process's face and executes the task in `start`."""

    pid = None

    def __init__(
        self,
        strategy: Any,
        *,
        task_vars: Any,
        host: Any,
        task: Any,
        play_context: Any,
        loader: Any,
        variable_manager: Any,
        shared_loader_obj: Any,
        **_: Any,
    ) -> None:
        self.exitcode = 0
        self._queue = Queue(strategy)
        self._host, self._task_vars, self._play_context = host, task_vars, play_context
        self._task = task.copy(exclude_tasks=True)
        self._loader, self._variable_manager, self._plugins = loader, variable_manager, shared_loader_obj

    def start(self) -> None:
        """Execute the task; its result waits in the strategy's list when this returns."""
        data = self._variable_manager._inventory._inventory
        localhost = data.localhost
        try:
            with _task.TaskContext(self._task):
                result = task_executor.TaskExecutor(
                    self._host,
                    self._task,
                    self._task_vars.copy(),
                    self._play_context,
                    self._loader,
                    self._plugins,
                    self._queue,
                    self._variable_manager,
                ).run()
        except (SystemExit, GeneratorExit):
            # A worker that exits by itself is a dead worker, for Ansible as here.
            self.exitcode = 1
            return
        finally:
            data.localhost = localhost
        self._queue.send_task_result(
            _RawTaskResult(host=self._host, task=self._task, return_data=result, task_fields=self._task.dump_attrs())
        )

    def is_alive(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing to close."""


class Queue:
    """The engine's end and the worker's end of the result queue in one: what is sent has arrived."""

    def __init__(self, strategy: Any) -> None:
        self._strategy = strategy

    def send_callback(self, name: str, result: Any) -> None:
        self._strategy._tqm.send_callback(name, self._carried(result))

    def send_task_result(self, result: Any) -> None:
        carried = self._carried(result)
        with self._strategy._results_lock:
            self._strategy._results.append(carried)

    def _carried(self, result: Any) -> Any:
        wire = pickle.loads(pickle.dumps(result.as_wire_task_result(), protocol=5))  # noqa: S301
        return self._strategy._convert_wire_task_result_to_raw(wire)
