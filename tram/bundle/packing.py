"""The pack: what a site lacks, in as few bytes as a small machine can unpack.

An xz stream over the tree's sketch (`tram.core.sketch`) and the contents the site lacks, each once, in the order of
their first path.
"""

from __future__ import annotations

import lzma
from collections.abc import Collection

from tram.bundle.content import Content
from tram.core import sketch

# The reader needs this much memory, so it is no larger than what is packed, and never above 8 MiB.
_MIN_WINDOW, _MAX_WINDOW = 2**16, 2**23


def pack(content: Content, have: Collection[str]) -> bytes:
    """The tree, and everything of `content` whose digest is not in `have`; its name is the digest of these bytes."""
    first, follow = sketch.draw(content.tree, have)
    data = first + b"".join(content.objects[name] for name in follow)
    window = min(max(1 << max(len(data) - 1, 1).bit_length(), _MIN_WINDOW), _MAX_WINDOW)
    # lc=4, pb=0: almost all of it is text. No checksum of xz's own: the tree's digest is one of everything.
    best = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": window, "lc": 4, "lp": 0, "pb": 0}
    return lzma.compress(data, format=lzma.FORMAT_XZ, check=lzma.CHECK_NONE, filters=[best])
