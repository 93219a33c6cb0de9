"""Asks the scanner of this host (clamd) about a stream of bytes."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from contextlib import closing

from . import readable

INFECTED = (
    "Tệp “{file}” bị từ chối: phát hiện mã độc {name}. Tệp không được lưu. Hãy báo cho quản trị viên. "
    "· The file was refused: it carries {name}. It was not kept."
)
NOT_THROUGH = (
    "Tệp “{file}” quá lớn hoặc nén quá nhiều lớp nên không quét hết được mã độc ({name}). Tệp không được lưu. Hãy giải "
    "nén hoặc chia thành nhiều tệp rồi gửi lại. · The file is too large or packed too deeply to be scanned through, "
    "and was not kept. Unpack it or send it in parts."
)
# What clamd finds besides malware, by the beginning of its name (clamd.conf(5): AlertEncrypted…, AlertExceedsMax).
NO_MALWARE = {"Heuristics.Encrypted.": readable.LOCKED, "Heuristics.Limits.Exceeded": NOT_THROUGH}


class NoAnswer(Exception):
    """The scanner did not say whether it is clean: nobody knows."""


class Infected(Exception):
    """The scanner found something; its name."""


def refusal(file: str, name: str) -> str:
    """What is said to who sent a file in which the scanner found `name`, and what he or she can do."""
    text = next((text for beginning, text in NO_MALWARE.items() if name.startswith(beginning)), INFECTED)
    return text.format(file=file, name=name)


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
