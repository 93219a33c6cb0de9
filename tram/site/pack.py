"""A pack into the store: read with a bound, and nothing kept before all of it is proven to be what was ordered.

xz of a sketch of the tree (`tram.core.sketch`) and the contents that are not here. It is read twice: the first time
only to see that contents and sketch together make the tree that the signed order names.
"""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Iterator
from pathlib import Path

from tram.core import sketch
from tram.core.canonical import BadDocument
from tram.core.order import Order
from tram.core.tree import Tree
from tram.site.limits import PACK_HEAD_BYTES, TREE_JSON_BYTES, XZ_MEMORY_BYTES
from tram.site.refusal import Refusal
from tram.site.store import Store

_PIECE_BYTES = 1 << 18


def unpack(path: Path, order: Order, store: Store) -> Tree:
    """Take every object of the pack at `path`; afterwards the order's tree is complete in the store.

    Raises: Refusal (damaged, path, too-large, format); nothing is kept then, but for `damaged` when what the pack took
    for granted is not here.
    """
    try:
        tree = _prove(path, order)
    except BadDocument as error:
        reason = error.reason if error.reason in ("path", "too-large", "format") else "damaged"
        raise Refusal(reason, error.message) from error
    for digest, content in _read(path, order)[1]:
        store.put(digest, content)
    store.settle(tree)
    return tree


def _prove(path: Path, order: Order) -> Tree:
    """The order's tree, after a look at everything in the pack."""
    slots, contents = _read(path, order)
    tree = sketch.complete(slots, [digest for digest, _ in contents])
    if tree.digest != order.tree:
        raise Refusal("damaged", "what is in the pack is not the order's tree")
    if tree.bytes != order.bytes:
        raise Refusal("damaged", f"the tree holds {tree.bytes} bytes, the order says {order.bytes}")
    return tree


def _read(path: Path, order: Order) -> tuple[list[sketch.Slot], Iterator[tuple[str, bytes]]]:
    """A pack's sketch, and each of its contents with its digest."""
    stream = _Stream(path)
    length = int.from_bytes(stream.take(PACK_HEAD_BYTES))
    if length > TREE_JSON_BYTES:
        raise Refusal("too-large", f"a sketch of {length} bytes; the limit is {TREE_JSON_BYTES}")
    slots = sketch.parse(stream.take(length))
    sizes = [slot.size for slot in slots if slot.digest is None]
    if sum(sizes) > order.bytes:
        raise Refusal("too-large", f"the pack holds {sum(sizes)} bytes of files, its order allows {order.bytes}")
    return slots, stream.contents(sizes)


class _Stream:
    """What a pack holds, unpacked as it is taken."""

    def __init__(self, path: Path) -> None:
        self._pieces = _decompressed(path)
        self._buffer = bytearray()

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        while len(self._buffer) < size:
            piece = next(self._pieces, None)
            if piece is None:
                raise Refusal("damaged", "the pack ends before all that it announces")
            self._buffer += piece
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def contents(self, sizes: list[int]) -> Iterator[tuple[str, bytes]]:
        """Contents of these sizes with their digests, and then the end."""
        for size in sizes:
            content = self.take(size)
            yield hashlib.sha256(content).hexdigest(), content
        if self._buffer or next(self._pieces, None) is not None:
            raise Refusal("damaged", "the pack holds more than the tree names")


def _decompressed(path: Path) -> Iterator[bytes]:
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)
    try:
        with path.open("rb") as file:
            while not decoder.eof:
                data = file.read(_PIECE_BYTES) if decoder.needs_input else b""
                if decoder.needs_input and not data:
                    raise Refusal("damaged", "the pack is cut short")
                if piece := decoder.decompress(data, _PIECE_BYTES):
                    yield piece
            if decoder.unused_data or file.read(1):
                raise Refusal("damaged", "there is something after the end of the pack")
    except lzma.LZMAError as error:
        raise Refusal("damaged", f"the pack is not xz as it must be: {error}") from error
