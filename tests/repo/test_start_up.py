"""`tram` loads what the command needs and nothing else: an old controller waits seconds for the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tram.cli.main import COMMANDS

pytestmark = pytest.mark.slow
TRAM = Path(sys.executable).with_name("tram")
HEAVY = ("ansible", "dask", "distributed", "fabric", "jinja2", "openpyxl", "paramiko", "pyinfra", "sqlalchemy")
PROGRAM = """
import contextlib, json, sys
from tram.cli.main import main
sys.argv = ["tram", *sys.argv[1:]]
with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(SystemExit):
    main()
print(*sys.modules)
"""

LISTED = """
import json
from tram.cli.main import COMMANDS, load_command
def said(command): return {"name": command.name, "help": " ".join(command.help.split("\\n\\n")[0].split())}
print(json.dumps({name: said(load_command(name)) for name in COMMANDS}))
"""


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (("--help",), ()),
        (("lab", "--help"), ()),
        (("lab", "status", "--name", "nobody"), ()),
        (("runs", "--help"), ("sqlalchemy",)),
        (("rollout", "--help"), ("sqlalchemy",)),
        (("courier", "--help"), ("sqlalchemy",)),
    ],
)
def test_a_command_loads_no_heavy_package_it_does_not_need(words: tuple[str, ...], needed: tuple[str, ...]) -> None:
    argv = [sys.executable, "-c", PROGRAM, *words]
    ran = subprocess.run(argv, capture_output=True, check=True, text=True, timeout=120)
    loaded = set(ran.stdout.split())
    assert "tram.cli.main" in loaded
    assert [name for name in HEAVY if name in loaded and name not in needed] == [], ran.stderr[-500:]


def test_the_list_of_commands_says_of_each_what_it_says_itself() -> None:
    # In a process of its own: texts are in the language a module was loaded in, and other tests load some in English.
    ran = subprocess.run([sys.executable, "-c", LISTED], capture_output=True, check=True, text=True, timeout=120)
    assert json.loads(ran.stdout) == {name: {"name": name, "help": COMMANDS[name][1]} for name in COMMANDS}


@pytest.mark.parametrize(
    ("typed", "offered"), [("tram la", "lab"), ("tram lab sta", "status"), ("tram runs sh", "show")]
)
def test_the_shell_completes_commands_and_their_sub_commands(typed: str, offered: str) -> None:
    words = {"_TRAM_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    ran = subprocess.run([TRAM], env={**os.environ, **words}, capture_output=True, check=True, text=True, timeout=120)
    assert ran.stdout.split() == [offered]


def test_completion_is_installed_by_one_option(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    argv = [TRAM, "--install-completion", "bash"]
    subprocess.run(argv, env={**os.environ, **home}, capture_output=True, check=True, text=True, timeout=120)
    written = (tmp_path / ".bash_completions/tram.sh").read_text()
    assert "_TRAM_COMPLETE=complete_bash" in written
