"""A proxy command (ssh_config's ProxyCommand) as the line to a host."""

from __future__ import annotations

import socket
import subprocess
from contextlib import suppress
from typing import Any


class ProxyLine(socket.socket):
    """A socket that is a command's standard output to read from and its standard input to write to.

    Not paramiko's own ProxyCommand: that one spins when the command ends before ssh does. What it prints comes through
    a socket, which has timeouts; what it reads goes through a pipe, so that each direction can end by itself.
    """

    def __init__(self, command: str) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            words = ["sh", "-c", f"exec {command}"]
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=theirs.fileno(), stderr=subprocess.DEVNULL, bufsize=0
            )
        super().__init__(fileno=ours.detach())

    def send(self, data: Any, flags: int = 0) -> int:
        """Send at least some of `data`; how much. Raises: OSError when the command has ended."""
        assert flags == 0
        assert self._process.stdin is not None
        return self._process.stdin.write(data) or 0

    def close(self) -> None:
        """End the command, which by itself may wait for the other side, and take note so that no zombie stays."""
        super().close()
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        self._process.kill()
        self._process.wait()
