"""Ansible's own `ansible-playbook`, in this process, with its costly parts exchanged (see each module's first line)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tram.site.executor import tables
from tram.site.executor.keeper import Keeper

_VERSIONS = ("2.19",)


def run_playbook(arguments: Sequence[str], *, keeper: Keeper, fd: int, notified: Path | None) -> int:
    """Run `ansible-playbook` with these arguments; returns its exit code. Events go to `fd`.

    On another ansible-core than the one this was made for, everything runs the stock way.
    """
    tables.install_early()
    from ansible.cli.playbook import PlaybookCLI  # noqa: PLC0415
    from ansible.executor.task_queue_manager import TaskQueueManager  # noqa: PLC0415
    from ansible.release import __version__  # noqa: PLC0415

    from tram.site.executor.events import Events  # noqa: PLC0415

    events = Events(fd)
    if str(__version__).rpartition(".")[0] in _VERSIONS:
        _install(keeper)
    else:
        events.note(f"ansible-core {__version__} is not known here: tasks run the slow way")
    owed = _remember_handlers(notified, events)
    _use_callbacks(TaskQueueManager, events)
    _stop_modules_on_signals(TaskQueueManager, keeper)
    code = 250
    try:
        PlaybookCLI.cli_executor(["ansible-playbook", *arguments])
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    finally:
        keeper.close()
        if owed is not None:
            owed.finished(succeeded=code == 0)
        events.finish(_cpu_seconds())
    return code


def _install(keeper: Keeper) -> None:
    from tram.site.executor import here, modules, workers  # noqa: PLC0415

    tables.install_late()
    workers.install()
    here.install()
    modules.install(keeper)


def _remember_handlers(path: Path | None, events: Any) -> Any:
    if path is None:
        return None
    from tram.site.executor import notified  # noqa: PLC0415

    owed = notified.Notified(path, events.note)
    notified.install(owed)
    events.handler_ran = owed.handler_ran
    return owed


def _use_callbacks(manager: Any, events: Any) -> None:
    """Ours first, then those that the tree's settings enable by name."""

    def load_callbacks(self: Any) -> None:
        if self._callback_plugins:
            return
        from ansible import constants  # noqa: PLC0415
        from ansible.plugins.loader import callback_loader  # noqa: PLC0415

        plugins = [events, *filter(None, (callback_loader.get(name) for name in constants.CALLBACKS_ENABLED))]
        for plugin in plugins:
            plugin._init_callback_methods()
            plugin.set_options()
        self._callback_plugins[:] = plugins

    manager.load_callbacks = load_callbacks


def _stop_modules_on_signals(manager: Any, keeper: Keeper) -> None:
    stock_handler = manager._signal_handler

    def handler(self: Any, number: int, frame: Any) -> None:
        keeper.close()
        sys.stdout.flush()
        stock_handler(self, number, frame)

    manager._signal_handler = handler


def _cpu_seconds() -> float:
    import resource  # noqa: PLC0415

    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
