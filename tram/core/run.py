"""The one door to outside programs."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tram.core.errors import ProgramFailed


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended: its argv, exit code (negative: killed by that signal) and what it printed."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str


def run(
    argv: Sequence[str | Path],
    *,
    timeout: timedelta = timedelta(minutes=1),
    check: bool = True,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Ran:
    """Run a program to its end, with no shell in between.

    Without `stdin` the program reads an empty input. Secrets go through `stdin` or root-only files, never `argv`,
    because argv is public in the process list and quoted in errors.

    Raises: ProgramFailed when it is missing, takes longer than `timeout`, or (with `check`) ends with another code.
    """
    words = tuple(str(word) for word in argv)
    shown = shlex.join(words)
    try:
        done = subprocess.run(
            words,
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout.total_seconds(),
            check=False,
            env=env,
            cwd=cwd,
        )
    except FileNotFoundError as error:
        raise ProgramFailed(f"{words[0]}: no such program", hint="run scripts/setup.sh") from error
    except subprocess.TimeoutExpired as error:
        raise ProgramFailed(f"{shown}: not finished after {timeout.total_seconds():.0f} s") from error
    if check and done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["no message"]
        raise ProgramFailed(f"{shown}: exit {done.returncode}: {last[0]}")
    return Ran(words, done.returncode, done.stdout, done.stderr)
