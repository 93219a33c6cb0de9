"""Seeing every command line that runs while something is done: the lab's processes are all in the machine's /proc."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType

_EVERY_SECONDS = 0.05


class ArgvWatch:
    """Collects the command lines of all processes, lab hosts' included, while the context is open."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> ArgvWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        known: set[str] = set()
        young: set[str] = set()
        while not self._stop.wait(_EVERY_SECONDS):
            now = {entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()}
            # A process just forked still shows its parent's words until it calls exec: it is looked at twice.
            for pid in (now - known) | young:
                self._look(pid)
            young, known = now - known, now

    def _look(self, pid: str) -> None:
        try:
            self.seen.add(Path("/proc", pid, "cmdline").read_bytes())
        except OSError:
            return
