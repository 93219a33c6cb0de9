"""Asks the scanner of this host (clamd) about a stream of bytes."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from contextlib import closing


class NoAnswer(Exception):
    """The scanner did not say whether it is clean: nobody knows."""


class Infected(Exception):
    """The scanner found something; its name."""


def scan(chunks: Iterable[bytes], path: str, seconds: float) -> None:
    """Return if the scanner says it is clean, and only then.

    Raises Infected with the name of what was found, NoAnswer with what went wrong. Source: clamd(8), INSTREAM.
    """
    try:
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
            connection.settimeout(seconds)
            connection.connect(path)
            answer = ask(connection, chunks)
    except OSError as error:
        raise NoAnswer(str(error) or type(error).__name__) from error
    if answer == "stream: OK":
        return
    if answer.endswith(" FOUND"):
        raise Infected(answer.removeprefix("stream: ").removesuffix(" FOUND"))
    raise NoAnswer(answer or "the connection was closed")


def ask(connection: socket.socket, chunks: Iterable[bytes]) -> str:
    """Send the bytes; what was answered."""
    try:
        connection.sendall(b"zINSTREAM\0")
        for chunk in chunks:
            if chunk:
                connection.sendall(struct.pack("!I", len(chunk)) + chunk)
        connection.sendall(struct.pack("!I", 0))
    except BrokenPipeError:
        # It says why before it closes (too large, for example).
        pass
    said = b""
    while part := connection.recv(4096):
        said += part
    return said.strip(b"\0\n ").decode("utf-8", "replace")
