"""Modules on this host: handed to the nursery instead of packed, written, chmodded and started anew.

Only the two seams at which Ansible builds a module and executes it are replaced. Everything between is Ansible's own
code, and so is the whole way of whatever is not an ordinary Python module, run here, as the user and by the interpreter
that we are: such a task costs what it always cost.
"""

from __future__ import annotations

import json
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import ansible.executor.module_common as common
import ansible.plugins.action as action_plugins
from ansible import constants
from ansible.module_utils.common.json import Direction, get_module_encoder
from ansible.module_utils.common.text.converters import to_text
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import module_utils_loader
from ansible.utils.collection_loader import AnsibleCollectionConfig

from tram.site.executor.here import runs_here
from tram.site.executor.keeper import Keeper

_PROFILE = "legacy"
# These change how an interpreter starts or which libraries it loads: too late for one that runs already.
_TOO_LATE = re.compile(r"PYTHON|LD_|GCONV_|LOCPATH|MALLOC_|GLIBC_")
_LOST_IMPORT = re.compile(rb"No module named 'ansible(\.module_utils|_collections)\b")


class Payload(bytes):
    """What Ansible takes for the code of a module to be piped to an interpreter; in truth a request to the nursery."""

    request: dict[str, Any]
    given: dict[str, Any]


def install(keeper: Keeper) -> None:
    """Let this process's Ansible run modules through the nursery wherever that makes no difference but in cost."""
    stock_configure = ActionBase._configure_module
    stock_pipelining = ActionBase._is_pipelining_enabled
    stock_execute = ActionBase._low_level_execute_command
    stock_modify = common.modify_module
    here: list[Any] = []

    def configure(self: Any, module_name: Any, module_args: Any, task_vars: Any) -> Any:
        if not (keeper.is_ours and runs_here(self)):
            keeper.something_changed()
            return stock_configure(self, module_name, module_args, task_vars)
        here.append(self)
        try:
            return stock_configure(self, module_name, module_args, task_vars)
        finally:
            here.pop()

    def modify(**given: Any) -> Any:
        request = _request(given) if here else None
        if request is None:
            return stock_modify(**given)
        payload = Payload(b"# runs in a warm interpreter\n")
        payload.request, shebang = request
        payload.given = given
        return common._BuiltModule(
            b_module_data=payload, module_style="new", shebang=shebang, serialization_profile=_PROFILE
        )

    def pipelining(self: Any, module_style: str, wrap_async: bool = False) -> bool:
        if module_style == "new" and not wrap_async and keeper.is_ours and runs_here(self):
            return True
        return bool(stock_pipelining(self, module_style, wrap_async))

    def execute(self: Any, cmd: Any, sudoable: bool = True, in_data: Any = None, **options: Any) -> Any:
        if not isinstance(in_data, Payload):
            return stock_execute(self, cmd, sudoable=sudoable, in_data=in_data, **options)
        reply = keeper.run({**in_data.request, "cwd": self._loader.get_basedir()})
        if reply["rc"] and _LOST_IMPORT.search(reply["stdout"] + reply["stderr"]):
            # Only Ansible's own packing knows where this module's support code was moved to.
            code = stock_modify(**in_data.given).b_module_data
            return stock_execute(self, cmd, sudoable=sudoable, in_data=code, **options)
        out, err = (to_text(reply[name], errors="surrogate_then_replace") for name in ("stdout", "stderr"))
        return {
            "rc": reply["rc"],
            "stdout": out,
            "stdout_lines": out.splitlines(),
            "stderr": err,
            "stderr_lines": err.splitlines(),
        }

    ActionBase._configure_module = configure
    ActionBase._is_pipelining_enabled = pipelining
    ActionBase._low_level_execute_command = execute
    action_plugins.modify_module = modify


def _request(given: dict[str, Any]) -> tuple[dict[str, Any], str] | None:
    """The request for a module about to be built, and its shebang; None when it needs the stock way."""
    path = given["module_path"]
    environment = given["environment"] or {}
    interpreter = _interpreter(path)
    folders = _module_utils_folders()
    if interpreter is None or _has_extras() or _hides_core(tuple(folders)):
        return None
    if any(_TOO_LATE.match(name) for name in environment):
        return None
    task_vars, templar = given["task_vars"] or {}, given["templar"]
    shebang, program = common._get_shebang(
        interpreter, task_vars, templar, remote_is_local=given.get("remote_is_local", False)
    )
    if not _is_this_interpreter(program):
        return None
    if constants.config.get_config_value("PYTHON_MODULE_RLIMIT_NOFILE", variables=task_vars) not in (0, "0"):
        return None
    encoder = get_module_encoder(_PROFILE, Direction.CONTROLLER_TO_MODULE)
    try:
        params = json.dumps({"ANSIBLE_MODULE_ARGS": given["module_args"]}, cls=encoder)
    except TypeError as error:
        raise common.AnsibleError(f"Failed to serialize arguments for the {given['module_name']!r} module.") from error
    request = {
        "module": _dotted_name(given["module_name"], path),
        "path": path,
        "params": params.encode(),
        "profile": _PROFILE,
        "env": {str(name): str(value) for name, value in environment.items()},
        "module_utils": folders,
        "collections": [str(folder) for folder in AnsibleCollectionConfig.collection_paths],
    }
    return request, shebang


@cache
def _interpreter(path: str) -> str | None:
    """The interpreter an ordinary Python module names; None for every other kind of module."""
    source = Path(path).read_bytes()
    if common._is_binary(source) or common.REPLACER in source or not common.NEW_STYLE_PYTHON_MODULE_RE.search(source):
        return None
    interpreter, arguments = common._extract_interpreter(source)
    if arguments:
        return None
    return interpreter or "/usr/bin/python"


@cache
def _is_this_interpreter(program: str) -> bool:
    return os.path.realpath(program) == os.path.realpath(sys.executable)


@cache
def _has_extras() -> bool:
    """Whether settings ask for what only Ansible's own wrapper does: metadata, debuggers, coverage."""
    value = constants.config.get_config_value
    return bool(value("_MODULE_METADATA") or value("_ANSIBALLZ_COVERAGE_CONFIG") or value("_ANSIBALLZ_DEBUGPY_CONFIG"))


@cache
def _dotted_name(name: str, path: str) -> str:
    try:
        return str(common._get_ansible_module_fqn(path))
    except ValueError:
        return f"ansible.legacy.{name}"


@cache
def _hides_core(folders: tuple[str, ...]) -> bool:
    """Whether support code of a role stands in for Ansible's own of the same name, which the nursery has loaded."""
    core = Path(common._MODULE_UTILS_PATH)
    return any((core / path.name).exists() for folder in folders for path in Path(folder).glob("[!_]*"))


def _module_utils_folders() -> list[str]:
    core = Path(common._MODULE_UTILS_PATH).resolve()  # Ansible writes it as executor/../module_utils
    return [
        folder
        for folder in module_utils_loader._get_paths(subdirs=False)
        if Path(folder).is_dir() and Path(folder).resolve() != core
    ]
