"""The machine as an exporter sees it: files below a root, programs, the clock. Tests give another of each."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tram.core.errors import ProgramFailed
from tram.core.run import Ran, run
from tram_exporters.textfile import Absent, Unreadable

Runner = Callable[[Sequence[str], float], Ran]


def outside(argv: Sequence[str], seconds: float) -> Ran:
    """Run a program of the host in plain English; any exit code. Raises: Absent when it is not there, Unreadable."""
    if shutil.which(argv[0]) is None:
        raise Absent(f"{argv[0]} is not installed")
    try:
        env = {**os.environ, "LC_ALL": "C.UTF-8"}
        return run(argv, timeout=timedelta(seconds=seconds), check=False, env=env)
    except ProgramFailed as error:
        raise Unreadable(error.message) from error


@dataclass(frozen=True, slots=True)
class Machine:
    """Where files are, how programs are run, what time it is (seconds since the epoch)."""

    root: Path = Path("/")
    run: Runner = outside
    now: float = field(default_factory=time.time)

    def at(self, path: str) -> Path:
        """A path of the machine."""
        return self.root / path.lstrip("/")

    def text(self, path: str) -> str:
        """A small file's content. Raises: Absent when it is not there, Unreadable."""
        try:
            return self.at(path).read_text(encoding="utf-8", errors="replace").strip()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise Absent(path) from error
        except OSError as error:
            raise Unreadable(f"{path}: {error.strerror}") from error

    def number(self, path: str) -> int:
        """A file that holds one whole number, decimal or 0x…. Raises: Absent, Unreadable."""
        said = self.text(path)
        try:
            return int(said, 0)
        except ValueError as error:
            raise Unreadable(f"{path}: {said[:40]!r} is no number") from error

    def found(self, pattern: str) -> list[str]:
        """Paths of the machine that fit, sorted."""
        return sorted(f"/{path.relative_to(self.root)}" for path in self.root.glob(pattern.lstrip("/")))

    @property
    def container(self) -> bool:
        """Whether this is a container: its hardware is another's, who reads it."""
        return self.at("/run/systemd/container").exists()
