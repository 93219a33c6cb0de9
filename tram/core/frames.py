"""The wire of an exchange: length-prefixed JSON messages, and raw data after those that announce it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from tram.core.errors import TramError

# A message is an order, a state or a batch of events; what is larger travels as data. The bound is what a reader may
# have to hold in memory because the other end says so.
MAX_FRAME_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 16
_LENGTH = struct.Struct(">I")


class BrokenWire(TramError):
    """The other end sent what is no message, or stopped in the middle of one."""


class Readable(Protocol):
    """What bytes come from: a pipe, a socket's file, a buffer. `read(n)` may return fewer, and b"" only at the end."""

    def read(self, size: int, /) -> bytes | None: ...


class Writable(Protocol):
    """Where bytes go."""

    def write(self, data: bytes, /) -> object: ...

    def flush(self) -> object: ...


def write_frame(stream: Writable, message: Mapping[str, Any], *, flush: bool = True) -> int:
    """Send one message; returns the bytes it took. `flush=False` lets the next frame share a packet.

    Raises: BrokenWire when the message is larger than `MAX_FRAME_BYTES`.
    """
    body = encode(message)
    stream.write(body)
    if flush:
        stream.flush()
    return len(body)


def encode(message: Mapping[str, Any]) -> bytes:
    """The bytes of one message: 4 bytes big-endian length, then canonical JSON (sorted keys, no spaces, UTF-8)."""
    body = json.dumps(message, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    if len(body) > MAX_FRAME_BYTES:
        raise BrokenWire(f"a message of {len(body)} bytes is larger than {MAX_FRAME_BYTES}")
    return _LENGTH.pack(len(body)) + body


def read_frame(stream: Readable, limit: int = MAX_FRAME_BYTES) -> dict[str, Any] | None:
    """Receive one message, or None when the other end closed between two messages.

    Raises: BrokenWire for a message larger than `limit` bytes, that is not a JSON object with a text "t", or cut short.
    """
    head = _read_exactly(stream, _LENGTH.size, at_start=True)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > limit:
        raise BrokenWire(f"the other end announces a message of {length} bytes; the limit is {limit}")
    body = _read_exactly(stream, length)
    try:
        message = json.loads(body or b"")
    except (ValueError, RecursionError) as error:
        raise BrokenWire("the other end sent a message that is not JSON") from error
    if not isinstance(message, dict) or not isinstance(message.get("t"), str):
        raise BrokenWire('the other end sent a message without a kind ("t")')
    return message


def write_data(stream: Writable, data: bytes, *, flush: bool = True) -> int:
    """Send raw data: the frame that announces it, then the bytes. Returns the bytes it took."""
    taken = write_frame(stream, {"t": "data", "bytes": len(data)}, flush=False)
    stream.write(data)
    if flush:
        stream.flush()
    return taken + len(data)


def read_data(stream: Readable, frame: Mapping[str, Any]) -> Iterator[bytes]:
    """The raw data that `frame` (`{"t":"data","bytes":n}`) announced, in pieces as they come. Read it to its end.

    Raises: BrokenWire when the frame announces no sensible number, or the stream ends before n bytes came.
    """
    left = frame.get("bytes")
    if not isinstance(left, int) or isinstance(left, bool) or left < 0:
        raise BrokenWire("the other end announces data of no sensible size")
    while left:
        piece = stream.read(min(left, _CHUNK_BYTES))
        if not piece:
            raise BrokenWire(f"the stream ended {left} bytes before the end of the data")
        left -= len(piece)
        yield piece


def _read_exactly(stream: Readable, size: int, *, at_start: bool = False) -> bytes | None:
    """`size` bytes; None when the stream is at its end and nothing of a message was read yet (`at_start`)."""
    read = bytearray()
    while len(read) < size:
        piece = stream.read(size - len(read))
        if not piece:
            if at_start and not read:
                return None
            raise BrokenWire("the stream ended in the middle of a message")
        read += piece
    return bytes(read)
