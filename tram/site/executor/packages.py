"""The package cache, opened once for all `apt` tasks of a run: in the nursery, for the module's own process."""

from __future__ import annotations

import importlib
import re
import sys
from typing import Any

_MARK = re.compile(r"(?:/usr)?/bin/apt-mark manual ((?:[a-z0-9][a-z0-9.+-]* ?)+)")

_ASKS = re.compile(r"\S*/locale -a|\S*/apt-config dump")


def open_cache() -> Any:
    """Open the cache; takes as long as most other modules take altogether, on an old host a second or more."""
    importlib.import_module("apt.debfile")  # while `apt.Cache` is what its annotations mean
    return importlib.import_module("apt").Cache()


def lend(opened: Any) -> None:
    """Give the apt module the open cache for its first plain `apt.Cache()`; later ones are its own.

    As long as the module started no program, what it would ask `apt-mark` is known too: a package that is not marked
    as automatically installed need not be marked as not so, by a program that opens the cache anew.
    """
    apt = sys.modules["apt"]
    real_cache = apt.Cache
    lent = [opened]

    class Cache(real_cache):  # type: ignore[misc,valid-type]
        def __new__(cls, *args: object, **options: object) -> Any:
            if args or options or not lent:
                return real_cache(*args, **options)
            return lent.pop()

    vars(apt)["Cache"] = Cache

    module_class = sys.modules["ansible.module_utils.basic"].AnsibleModule
    real_run = module_class.run_command
    started: list[object] = []

    def run_command(self: Any, args: Any, *rest: Any, **options: Any) -> Any:
        mark = _MARK.fullmatch(args) if isinstance(args, str) and not (started or rest or options) else None
        names = mark[1].split() if mark else []
        if names and all(_is_manual(opened, name) for name in names):
            return 0, "".join(f"{name} was already set to manually installed.\n" for name in names), ""
        if not _ASKS.fullmatch(args if isinstance(args, str) else " ".join(map(str, args))):
            started.append(args)
        return real_run(self, args, *rest, **options)

    module_class.run_command = run_command


def _is_manual(opened: Any, name: str) -> bool:
    try:
        package = opened[name]
    except KeyError:
        return False
    return bool(package.name == name and package.is_installed and not package.is_auto_installed)
