"""The nursery and its keeper, with real modules run by this interpreter."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tram.site.executor.keeper import Keeper

pytestmark = pytest.mark.slow

_INTERNAL = {
    "_ansible_check_mode": False,
    "_ansible_no_log": False,
    "_ansible_debug": False,
    "_ansible_diff": False,
    "_ansible_verbosity": 0,
    "_ansible_version": "2.19",
    "_ansible_syslog_facility": "LOG_USER",
    "_ansible_selinux_special_fs": [],
    "_ansible_socket": None,
    "_ansible_shell_executable": "/bin/sh",
    "_ansible_keep_remote_files": False,
    "_ansible_tmpdir": None,
    "_ansible_remote_tmp": "/tmp",
    "_ansible_ignore_unknown_opts": False,
    "_ansible_target_log_info": None,
    "_ansible_tracebacks_for": [],
}


@pytest.fixture
def packages() -> Path:
    spec = importlib.util.find_spec("ansible")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]).parent


@pytest.fixture
def keeper(packages: Path) -> Iterator[Keeper]:
    keeper = Keeper(packages)
    yield keeper
    keeper.close()


def request(packages: Path, module: str, arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What the engine would ask of the nursery."""
    params = {"ANSIBLE_MODULE_ARGS": {**arguments, **_INTERNAL, "_ansible_module_name": module}}
    return {
        "module": f"ansible.modules.{module}",
        "path": str(packages / f"ansible/modules/{module}.py"),
        "params": json.dumps(params).encode(),
        "profile": "legacy",
        "env": {},
        "cwd": "/",
        "module_utils": [],
        "collections": [],
        **more,
    }


def test_a_module_runs_and_answers(keeper: Keeper, packages: Path) -> None:
    reply = keeper.run(request(packages, "command", {"_raw_params": "pwd"}))
    assert reply["rc"] == 0
    assert json.loads(reply["stdout"])["stdout"] == "/"


def test_what_a_module_does_to_its_interpreter_dies_with_it(keeper: Keeper, packages: Path) -> None:
    first = request(packages, "command", {"_raw_params": "printenv MARK"}, env={"MARK": "here"})
    assert json.loads(keeper.run(first)["stdout"])["stdout"] == "here"
    second = request(packages, "command", {"_raw_params": "printenv MARK"})
    assert json.loads(keeper.run(second)["stdout"])["rc"] == 1


def test_a_module_that_fails_says_so(keeper: Keeper, packages: Path) -> None:
    reply = keeper.run(request(packages, "file", {"path": "/nonexistent/x", "state": "file"}))
    assert reply["rc"] == 1
    assert json.loads(reply["stdout"])["failed"] is True


def test_when_the_time_is_up_the_module_is_ended_and_the_next_one_runs(keeper: Keeper, packages: Path) -> None:
    def too_late(*_: object) -> None:
        raise TimeoutError

    previous = signal.signal(signal.SIGALRM, too_late)
    try:
        signal.setitimer(signal.ITIMER_REAL, 2)
        with pytest.raises(TimeoutError):
            keeper.run(request(packages, "command", {"_raw_params": "sleep 61.5"}))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert json.loads(keeper.run(request(packages, "command", {"_raw_params": "echo on"}))["stdout"])["stdout"] == "on"
    deadline = time.monotonic() + 5
    while _runs(b"sleep\x0061.5") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _runs(b"sleep\x0061.5")


def test_a_nursery_that_was_killed_is_started_anew(keeper: Keeper, packages: Path) -> None:
    keeper.start()
    assert keeper._process is not None
    os.kill(keeper._process.pid, signal.SIGKILL)
    keeper._process.wait()
    assert keeper.run(request(packages, "ping", {}))["rc"] == 0


def test_facts_are_gathered_once_until_something_changed(keeper: Keeper, packages: Path) -> None:
    facts = request(packages, "setup", {"gather_subset": ["!all", "!min", "date_time"]})
    first = keeper.run(facts)
    keeper.run(request(packages, "ping", {}))
    keeper.something_changed()
    time.sleep(1.1)
    third = keeper.run(facts)
    assert third is keeper.run(facts)
    assert first["stdout"] != third["stdout"]


def _runs(argv: bytes) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(argv):
                return True
        except OSError:
            continue
    return False
