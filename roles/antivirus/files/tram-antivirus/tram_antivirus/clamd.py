"""Talk to clamd over its socket. Source: clamd(8), COMMANDS."""

from __future__ import annotations

import os
import re
import socket
import struct
from pathlib import Path

from tram_antivirus.settings import Failed

CHUNK = 1 << 16
UNSCANNED = ("Heuristics.Limits.Exceeded", "Heuristics.Encrypted")
"""What clamd says of a file it could not look into to the end: a reason to refuse mail, none to take a file away."""


class Silent(Failed):
    """clamd does not answer."""


class Unscanned(Failed):
    """clamd answered, but could not scan this one."""


class Clamd:
    """clamd at its socket; one connection a question, so nothing has to be kept in step."""

    def __init__(self, path: Path, seconds: float = 10) -> None:
        self.path, self.seconds = path, seconds

    def ping(self) -> bool:
        """Whether it answers."""
        try:
            return self._ask(b"zPING\0") == "PONG"
        except Silent:
            return False

    def version(self) -> str:
        """The engine's version, as clamd says it."""
        return self._ask(b"zVERSION\0")

    def reload(self) -> None:
        """Have it read its signatures again. It goes on with the old ones until it has."""
        self._ask(b"zRELOAD\0")

    def stream(self, content: bytes) -> str | None:
        """Name of what is found in these bytes; None: nothing.

        Raises:
            Silent: no answer.
            Unscanned: no verdict.
        """
        with self._connect() as sock:
            try:
                sock.sendall(b"zINSTREAM\0" + struct.pack("!I", len(content)) + content + b"\0\0\0\0")
            except OSError as error:
                raise Silent(f"clamd: {error}") from error
            return verdict(self._answer(sock))

    def file(self, handle: int) -> str | None:
        """Name of what is found in an open file; None: nothing. clamd needs no right of its own to read it.

        Raises:
            Silent: no answer.
            Unscanned: no verdict.
        """
        with self._connect() as sock:
            try:
                sock.sendall(b"zFILDES\0")
                socket.send_fds(sock, [b"\0"], [handle])
            except OSError as error:
                raise Silent(f"clamd: {error}") from error
            answer = self._answer(sock)
        if answer.endswith(" ERROR"):
            # AppArmor's profile of clamd also judges what is handed to it: then the bytes themselves are.
            return self._streamed(handle)
        return verdict(answer)

    def _streamed(self, handle: int) -> str | None:
        with self._connect() as sock:
            try:
                sock.sendall(b"zINSTREAM\0")
                at = 0
                while part := os.pread(handle, CHUNK, at):
                    sock.sendall(struct.pack("!I", len(part)) + part)
                    at += len(part)
                sock.sendall(b"\0\0\0\0")
            except BrokenPipeError:
                pass
            except OSError as error:
                raise Silent(f"clamd: {error}") from error
            return verdict(self._answer(sock))

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(self.seconds)
        try:
            sock.connect(str(self.path))
        except OSError as error:
            sock.close()
            raise Silent(f"clamd at {self.path}: {error}") from error
        return sock

    def _ask(self, command: bytes) -> str:
        with self._connect() as sock:
            try:
                sock.sendall(command)
            except OSError as error:
                raise Silent(f"clamd: {error}") from error
            return self._answer(sock)

    def _answer(self, sock: socket.socket) -> str:
        said = b""
        try:
            while not said.endswith(b"\0") and (part := sock.recv(4096)):
                said += part
        except OSError as error:
            raise Silent(f"clamd: {error}") from error
        if not said.endswith(b"\0"):
            raise Silent("clamd hung up")
        return said[:-1].decode("utf-8", "backslashreplace")


def verdict(answer: str) -> str | None:
    """The name in clamd's answer, None for OK.

    Raises:
        Unscanned: the answer is neither.
    """
    if answer.endswith(": OK"):
        return None
    found = re.fullmatch(r"(?:stream|fd\[\d+\]): (.+) FOUND", answer)
    if not found:
        raise Unscanned(f"clamd: {answer}")
    return found[1].removesuffix(".UNOFFICIAL")
