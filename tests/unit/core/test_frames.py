"""The wire: what is written is read back whatever the pieces it comes in, and what is no message is said to be none."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tram.core.frames import MAX_FRAME_BYTES, BrokenWire, encode, read_data, read_frame, write_data, write_frame

values = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20)
messages = st.dictionaries(st.text(max_size=8), values, max_size=6).map(lambda found: {**found, "t": "x"})


class Drip:
    """A pipe that hands over a byte or two at a time."""

    def __init__(self, content: bytes) -> None:
        self._stream = io.BytesIO(content)

    def read(self, size: int, /) -> bytes:
        return self._stream.read(min(size, 2))


def framed(body: bytes) -> io.BytesIO:
    return io.BytesIO(struct.pack(">I", len(body)) + body)


@given(st.lists(messages | st.binary(max_size=300), max_size=6))
def test_messages_and_data_come_back_in_their_order_in_whatever_pieces(sent: list[dict[str, Any] | bytes]) -> None:
    wire = io.BytesIO()
    written = sum(write_data(wire, one) if isinstance(one, bytes) else write_frame(wire, one) for one in sent)
    assert written == len(wire.getvalue())
    stream, found = Drip(wire.getvalue()), []
    while (frame := read_frame(stream)) is not None:
        found.append(b"".join(read_data(stream, frame)) if frame["t"] == "data" else frame)
    assert found == sent


@given(messages, st.data())
def test_a_stream_that_ends_within_a_message_is_broken_and_one_that_ends_between_is_not(
    message: dict[str, Any], data: st.DataObject
) -> None:
    whole = encode(message)
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(BrokenWire, match="ended in the middle of a message"):
        read_frame(io.BytesIO(whole[:cut]))
    assert read_frame(io.BytesIO(b"")) is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b'"t"', "without a kind"),
        (b"[]", "without a kind"),
        (b"{}", "without a kind"),
        (b'{"t":1}', "without a kind"),
        (b"\xff\xfe{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"", "not JSON"),
    ],
)
def test_what_is_no_message_is_said_to_be_none(body: bytes, said: str) -> None:
    with pytest.raises(BrokenWire, match=said):
        read_frame(framed(body))


def test_an_announced_size_above_the_limit_is_refused_before_anything_is_read() -> None:
    stream = io.BytesIO(struct.pack(">I", MAX_FRAME_BYTES + 1) + b"x" * 100)
    with pytest.raises(BrokenWire, match=f"announces a message of {MAX_FRAME_BYTES + 1} bytes"):
        read_frame(stream)
    assert stream.tell() == 4
    with pytest.raises(BrokenWire, match="is larger than"):
        encode({"t": "x", "much": "x" * MAX_FRAME_BYTES})


@pytest.mark.parametrize("size", [-1, True, "3", None, 1.5])
def test_data_of_no_sensible_size_is_refused(size: object) -> None:
    with pytest.raises(BrokenWire, match="no sensible size"):
        list(read_data(io.BytesIO(b"abc"), {"t": "data", "bytes": size}))


def test_data_that_stops_early_says_how_much_is_missing() -> None:
    pieces = read_data(io.BytesIO(b"abc"), {"t": "data", "bytes": 5})
    assert next(pieces) == b"abc"
    with pytest.raises(BrokenWire, match="2 bytes before the end"):
        next(pieces)


def test_messages_are_canonical_so_that_the_same_is_the_same_bytes() -> None:
    assert encode({"t": "x", "b": 1, "a": "ơ"}) == encode({"a": "ơ", "b": 1, "t": "x"})
    assert json.loads(encode({"t": "ơ"})[4:]) == {"t": "ơ"}
    with pytest.raises(ValueError, match="JSON compliant"):
        encode({"t": "x", "n": float("nan")})
