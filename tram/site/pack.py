"""A pack into the store: read with a bound, and nothing kept that is not asked for and whole.

xz of, for each object: 32 bytes digest, 8 bytes big-endian size, content. The tree comes first when it is not here yet.
"""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Iterator
from pathlib import Path

from tram.core.canonical import BadDocument
from tram.core.order import Order
from tram.core.tree import Tree
from tram.site.limits import MAX_OBJECT_BYTES, OBJECT_HEAD_BYTES, TREE_JSON_BYTES, XZ_MEMORY_BYTES
from tram.site.refusal import Refusal
from tram.site.store import Store

_PIECE_BYTES = 1 << 18


def unpack(path: Path, order: Order, store: Store) -> Tree:
    """Take every object of the pack at `path`; afterwards the order's tree is complete in the store.

    Raises: Refusal (damaged, path, too-large), before the first object is kept when the tree is the cause.
    """
    tree = store.tree(order.tree)
    wanted = _wanted(tree) if tree else {}
    for digest, content in _objects(path, order.bytes):
        if tree is None:
            tree = _first_is_the_tree(digest, content, order)
            wanted = _wanted(tree)
        elif wanted.get(digest) == len(content):
            store.put(digest, content)
        else:
            raise Refusal("damaged", f"the pack holds {digest}, which the tree does not name")
    if tree is None:
        raise Refusal("damaged", "the pack is empty")
    store.settle(tree)
    return tree


def _wanted(tree: Tree) -> dict[str, int]:
    return {entry.digest: entry.size for entry in tree.files.values()}


def _first_is_the_tree(digest: str, content: bytes, order: Order) -> Tree:
    if digest != order.tree:
        raise Refusal("damaged", "the pack does not begin with the order's tree")
    try:
        tree = Tree.parse(content)
    except BadDocument as error:
        reason = error.reason if error.reason in ("path", "too-large", "format") else "damaged"
        raise Refusal(reason, error.message) from error
    if tree.bytes != order.bytes:
        raise Refusal("damaged", f"the tree holds {tree.bytes} bytes, the order says {order.bytes}")
    return tree


def _objects(path: Path, tree_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Each object of a pack, its digest checked."""
    buffer = bytearray()
    seen = 0
    pieces = _decompressed(path)
    limit = tree_bytes + TREE_JSON_BYTES
    need = OBJECT_HEAD_BYTES
    head: tuple[str, int] | None = None
    for piece in pieces:
        buffer += piece
        while len(buffer) >= need:
            taken, buffer = bytes(buffer[:need]), buffer[need:]
            if head is None:
                head = (taken[:32].hex(), int.from_bytes(taken[32:], "big"))
                seen += head[1]
                if head[1] > MAX_OBJECT_BYTES:
                    raise Refusal("too-large", f"an object of {head[1]} bytes; the limit is {MAX_OBJECT_BYTES}")
                if seen > limit:
                    raise Refusal("too-large", f"the pack holds more than the {limit} bytes its order allows")
                need = head[1]
            else:
                if hashlib.sha256(taken).hexdigest() != head[0]:
                    raise Refusal("damaged", f"object {head[0]} of the pack is not what its digest says")
                yield head[0], taken
                head, need = None, OBJECT_HEAD_BYTES
    if head is not None or buffer:
        raise Refusal("damaged", "the pack ends in the middle of an object")


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
