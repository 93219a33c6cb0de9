"""Small file work on "the remote host" when that is this host and this user: done at once, no shell for each step."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.plugins.connection.local import Connection as LocalConnection

_HOME = re.compile(r"~[A-Za-z0-9._-]*")


def runs_here(action: Any) -> bool:
    """Whether an action's commands run on this host as the user we are: local, not in the background, no other user.

    Becoming root as root is no change of user, for Ansible as for us.
    """
    connection = action._connection
    if not isinstance(connection, LocalConnection) or action._task.async_val or constants.DEFAULT_KEEP_REMOTE_FILES:
        return False
    if not connection.become:
        return True
    if constants.BECOME_ALLOW_SAME_USER:
        return False
    return bool(action.get_become_option("become_user") == action._get_remote_user())


def install() -> None:
    """Let this process's Ansible do the small file work itself wherever `runs_here`."""
    stock_make, stock_remove = ActionBase._make_tmp_path, ActionBase._remove_tmp_path
    stock_chmod, stock_expand, stock_exists = (
        ActionBase._remote_chmod,
        ActionBase._remote_expand_user,
        ActionBase._remote_file_exists,
    )

    def make_tmp_path(self: Any, remote_user: Any = None) -> Any:
        if not runs_here(self):
            return stock_make(self, remote_user)
        base = self._remote_expand_user(self.get_shell_option("remote_tmp", default="~/.ansible/tmp"), sudoable=False)
        base = os.path.expandvars(base)
        path = str(Path(base) / self._connection._shell._generate_temp_dir_name())
        try:
            Path(base).mkdir(mode=0o700, parents=True, exist_ok=True)
            Path(path).mkdir(mode=0o700)
        except OSError:
            return stock_make(self, remote_user)  # it finds the words for what is wrong
        self._cleanup_remote_tmp = True
        self._connection._shell.tmpdir = path + "/"
        return path + "/"

    def remove_tmp_path(self: Any, tmp_path: Any, force: bool = False) -> None:
        if tmp_path is None and self._connection._shell.tmpdir:
            tmp_path = self._connection._shell.tmpdir
        if not runs_here(self) or not tmp_path:
            stock_remove(self, tmp_path, force)
        elif force or self._should_remove_tmp_path(tmp_path):
            shutil.rmtree(tmp_path, ignore_errors=True)
            if Path(tmp_path).exists():
                stock_remove(self, tmp_path, force)
            else:
                self._connection._shell.tmpdir = None

    def remote_chmod(self: Any, paths: Any, mode: str, sudoable: bool = False) -> Any:
        if mode != "u+rwx" or not runs_here(self):
            return stock_chmod(self, paths, mode, sudoable)
        try:
            for path in paths:
                Path(path).chmod(Path(path).stat().st_mode & 0o7777 | 0o700)
        except OSError:
            return stock_chmod(self, paths, mode, sudoable)
        return {"rc": 0, "stdout": "", "stdout_lines": [], "stderr": "", "stderr_lines": []}

    def remote_expand_user(self: Any, path: Any, sudoable: bool = True, pathsep: Any = None) -> Any:
        head, slash, rest = str(path).partition("/")
        if not runs_here(self) or not _HOME.fullmatch(head) or ".." in rest.split("/"):
            return stock_expand(self, path, sudoable, pathsep)
        if head == "~":
            head += self._get_remote_user() or ""
        home = os.path.expanduser(head)  # noqa: PTH111  # an unknown name stays as it is, as in a shell
        return f"{home}/{rest}" if slash else home

    def remote_file_exists(self: Any, path: Any) -> bool:
        if not runs_here(self):
            return bool(stock_exists(self, path))
        return bool((Path(self._loader.get_basedir()) / path).exists())

    ActionBase._make_tmp_path = make_tmp_path
    ActionBase._remove_tmp_path = remove_tmp_path
    ActionBase._remote_chmod = remote_chmod
    ActionBase._remote_expand_user = remote_expand_user
    ActionBase._remote_file_exists = remote_file_exists
