"""Writes down everything Ansible tells a callback, for comparison."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: recorder
type: aggregate
short_description: writes down everything
description: [writes down everything]
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "recorder"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self._file = Path(os.environ["TRAM_RECORD"]).open("a")  # noqa: SIM115

    def _write(self, event, *words):
        self._file.write(json.dumps([event, *words], default=repr, sort_keys=True) + "\n")
        self._file.flush()

    def _result(self, event, result, **more):
        item = result.result.get("_ansible_item_label")
        self._write(event, result.host.name, result.task_name, item, result.result, more)

    def v2_playbook_on_play_start(self, play):
        self._write("play", play.get_name())

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._write("task", task.get_name(), str(task.action), task.check_mode)

    def v2_playbook_on_handler_task_start(self, task):
        self._write("handler", task.get_name())

    def v2_playbook_on_notify(self, handler, host):
        self._write("notify", handler.get_name(), host.name)

    def v2_playbook_on_include(self, included_file):
        self._write("include", Path(included_file._filename).name, [h.name for h in included_file._hosts])

    def v2_playbook_on_no_hosts_matched(self):
        self._write("no hosts")

    def v2_runner_on_start(self, host, task):
        self._write("start", host.name, task.get_name())

    def v2_runner_on_ok(self, result):
        self._result("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._result("failed", result, ignored=ignore_errors)

    def v2_runner_on_skipped(self, result):
        self._result("skipped", result)

    def v2_runner_on_unreachable(self, result):
        self._result("unreachable", result)

    def v2_runner_item_on_ok(self, result):
        self._result("item ok", result)

    def v2_runner_item_on_failed(self, result):
        self._result("item failed", result)

    def v2_runner_item_on_skipped(self, result):
        self._result("item skipped", result)

    def v2_runner_retry(self, result):
        self._result("retry", result)

    def v2_runner_on_async_ok(self, result):
        self._result("async ok", result)

    def v2_runner_on_async_failed(self, result):
        self._result("async failed", result)

    def v2_on_file_diff(self, result):
        self._result("diff", result)

    def v2_playbook_on_stats(self, stats):
        self._write("stats", {host: stats.summarize(host) for host in sorted(stats.processed)})
