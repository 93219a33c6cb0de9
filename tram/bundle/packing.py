"""The pack: what a site lacks, in as few bytes as a small machine can unpack.

An xz stream over records of 32 bytes SHA-256, 8 bytes big-endian size, content: the tree first, then each object once,
in the order of its first path.
"""

from __future__ import annotations

import lzma
from collections.abc import Collection, Iterator

from tram.bundle.content import Content
from tram.core.canonical import digest

# The reader needs this much memory, so it is no larger than what is packed, and never above 8 MiB.
_MIN_WINDOW, _MAX_WINDOW = 2**16, 2**23


def pack(content: Content, have: Collection[str]) -> bytes:
    """Everything of `content` whose digest is not in `have`; its name is the digest of these bytes."""
    data = b"".join(bytes.fromhex(name) + len(body).to_bytes(8) + body for name, body in _lacking(content, have))
    window = min(max(1 << max(len(data) - 1, 1).bit_length(), _MIN_WINDOW), _MAX_WINDOW)
    # lc=4, pb=0: almost all of it is text. No checksum of xz's own: each object has its digest.
    best = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": window, "lc": 4, "lp": 0, "pb": 0}
    return lzma.compress(data, format=lzma.FORMAT_XZ, check=lzma.CHECK_NONE, filters=[best])


def _lacking(content: Content, have: Collection[str]) -> Iterator[tuple[str, bytes]]:
    tree = content.tree.canonical()
    wanted = {digest(tree): tree} | {e.digest: content.objects[e.digest] for e in content.tree.files.values()}
    return ((name, body) for name, body in wanted.items() if name not in have)
