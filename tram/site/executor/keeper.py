"""The nursery seen from the engine: started early, asked for each module, started anew when packages changed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tram.site.executor import nursery

RUNTIME = Path(__file__).resolve().parents[3]
_DPKG = Path("/var/lib/dpkg/status")
_APT = tuple(
    Path(name)
    for name in (
        "/etc/apt",
        "/etc/apt/apt.conf.d",
        "/etc/apt/sources.list.d",
        "/etc/apt/preferences.d",
        "/var/lib/apt/lists",
        "/var/lib/apt/extended_states",
        "/var/lib/dpkg/arch",
    )
)
_FACTS = "ansible.modules.setup"
_PACKAGES = "ansible.modules.apt"


class Keeper:
    """Runs modules, one at a time, in forked children of the nursery.

    `runtime` is the folder that holds the package `ansible`. Facts are gathered once for the same question until a
    module says, or does not deny, that it changed something.
    """

    def __init__(self, runtime: Path = RUNTIME) -> None:
        self._runtime = runtime
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._stamp: object = None
        self._packages_stamp: object = None
        self._facts: dict[bytes, dict[str, Any]] = {}
        self._owner = os.getpid()

    @property
    def is_ours(self) -> bool:
        """Whether this process may ask: a forked worker must not, its parent's conversation would be mixed up."""
        return os.getpid() == self._owner

    def start(self) -> None:
        """Begin now what the first module would wait for."""
        ours, theirs = socket.socketpair()
        self._stamp, self._packages_stamp = _stamps([_DPKG]), None
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(Path(nursery.__file__)), str(theirs.fileno()), str(self._runtime)],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=2,  # said expressly: Ansible marks the standard streams as not to be inherited
        )
        theirs.close()
        self._connection = ours

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run a module (see `nursery` for the request); returns rc, stdout and stderr (bytes)."""
        if request["module"] == _FACTS:
            key: bytes = request["params"] + json.dumps(request["env"], sort_keys=True).encode()
            if key not in self._facts:
                self._facts[key] = self._exchange(request)
            return self._facts[key]
        reply = self._exchange(request)
        if b'"changed": false' not in reply["stdout"] or b'"changed": true' in reply["stdout"]:
            self.something_changed()
        return reply

    def something_changed(self) -> None:
        """Forget gathered facts: what they tell may have changed."""
        self._facts.clear()

    def close(self) -> None:
        """End the nursery, and with it a module that still runs."""
        if self._process is not None and self._connection is not None:
            self._connection.close()
            self._process.terminate()
            self._process.wait()
        self._process = self._connection = None

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        connection = self._ready(is_packages=request["module"] == _PACKAGES)
        try:
            try:
                nursery.send(connection, request)
            except OSError:  # it died while nothing was asked of it: nothing is half done
                self.close()
                connection = self._ready(is_packages=False)
                nursery.send(connection, request)
            reply = nursery.receive(connection)
        except BaseException:
            # The task's time is up, or we are to stop: the module must not outlive its task.
            self._abandon()
            raise
        if reply is None:
            self.close()
            return {"rc": 1, "stdout": b"", "stderr": b"the process that runs modules ended unexpectedly"}
        return reply

    def _abandon(self) -> None:
        if self._process is not None and self._connection is not None:
            self._process.send_signal(signal.SIGUSR1)
            self.close()

    def _ready(self, *, is_packages: bool) -> socket.socket:
        """The connection to a nursery whose libraries, and whose open package cache, are those on the disk."""
        now = _stamps(_APT) if is_packages else None
        stale = self._stamp != _stamps([_DPKG]) or (now is not None and self._packages_stamp not in (None, now))
        if stale:
            self.close()
        if self._connection is None:
            self.start()
        if now is not None:
            self._packages_stamp = now
        assert self._connection is not None
        return self._connection


def _stamps(paths: list[Path] | tuple[Path, ...]) -> tuple[object, ...]:
    """What changes when a file, or a file in a folder, does: times and sizes, for settings also the entries'."""
    found: list[object] = []
    for path in paths:
        try:
            status = path.stat()
            found.append((status.st_mtime_ns, status.st_size, status.st_ino))
            if path.is_dir() and path.parts[1] == "etc":
                with os.scandir(path) as entries:
                    files = [
                        (entry.name, entry.stat().st_mtime_ns, entry.stat().st_size)
                        for entry in entries
                        if entry.is_file()
                    ]
                found.append(tuple(sorted(files)))
        except OSError:
            found.append(None)
    return tuple(found)
