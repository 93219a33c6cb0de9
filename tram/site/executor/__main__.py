"""The executor as a program; what it promises is in the package's docstring."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

from tram.site.executor.keeper import Keeper


def main() -> NoReturn:
    options = _options()
    rundir: Path = options.rundir.resolve()
    tree = rundir / "tree"
    sys.dont_write_bytecode = True  # the tree stays as it was delivered
    _isolate(tree, rundir)
    os.chdir(tree)
    keeper = Keeper()
    keeper.start()
    from tram.site.executor.engine import run_playbook  # noqa: PLC0415  # the nursery starts up beside this import

    arguments = ["-i", options.inventory, "--diff", options.playbook]
    if options.check:
        arguments.append("--check")
    notified = None if options.check else (options.notified or rundir / "notified.json").absolute()
    code = run_playbook(arguments, keeper=keeper, fd=options.events, notified=notified)
    sys.exit(code)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tram.site.executor", description="run one playbook on this host")
    parser.add_argument("rundir", type=Path, metavar="RUNDIR", help="a run's directory; its tree/ is what runs")
    parser.add_argument("--playbook", default="playbook.yml", help="name in the tree (default: %(default)s)")
    parser.add_argument("--inventory", default="inventory.yml", help="name in the tree (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="change nothing, tell what would change")
    parser.add_argument("--events", type=int, default=-1, metavar="FD", help="write events to this file descriptor")
    parser.add_argument("--notified", type=Path, metavar="FILE", help="handlers owed (default: RUNDIR/notified.json)")
    return parser.parse_args()


def _isolate(tree: Path, rundir: Path) -> None:
    """Settings come from the tree alone, never from the environment or from another's ansible.cfg."""
    for name in list(os.environ):
        if name.startswith(("ANSIBLE_", "_ANSIBLE_", "PYTHON")):
            del os.environ[name]
    settings = tree / "ansible.cfg"
    if not settings.is_file():
        settings = rundir / "ansible.cfg"
        settings.touch(mode=0o600)
    os.environ.update(
        ANSIBLE_CONFIG=str(settings),
        ANSIBLE_HOME=str(rundir / "ansible"),
        ANSIBLE_NOCOLOR="1",
        ANSIBLE_RETRY_FILES_ENABLED="0",
    )
    if "UTF-8" not in os.environ.get("LC_ALL", os.environ.get("LANG", "")).upper().replace("UTF8", "UTF-8"):
        os.environ["LC_ALL"] = "C.UTF-8"


if __name__ == "__main__":
    main()
