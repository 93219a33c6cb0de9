"""Run a program and tell what it cost this machine: it, its children, and what it left running, as one JSON line.

    spent.py end|leave LOG program arguments…

What it and its children say goes to the file LOG. Shared ssh connections outlive the program that opened them: they
become children of this process (a subreaper, prctl(2)), and with `end` are ended when the program is over and are in
the CPU seconds.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def main() -> None:
    """Run, reap, tell."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    began = time.monotonic()
    with Path(sys.argv[2]).open("wb") as log:
        code = subprocess.run(
            sys.argv[3:], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False
        ).returncode
    wall = time.monotonic() - began
    if sys.argv[1] == "end":
        _end_the_rest()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"code": code, "wall": wall, "user": used.ru_utime, "sys": used.ru_stime}))


def _end_the_rest() -> None:
    me = os.getpid()
    children = Path(f"/proc/{me}/task/{me}/children")
    while left := [int(pid) for pid in children.read_text().split()]:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        for pid in left:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
