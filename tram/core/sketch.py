"""A pack's first part: the tree without the digests of what comes behind it, because whoever reads it works them out.

A digest is 32 bytes that no compression makes smaller, and most files are small.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tram.core.canonical import BadDocument, check_format, dumps, fields, is_digest, kind, loads
from tram.core.tree import MAX_FILE_BYTES, MAX_JSON_BYTES, FileEntry, Tree

FORMAT = 2  # 1 had a digest before each content
_LENGTH_BYTES = 4
_COMES, _KNOWN = frozenset({"size", "mode"}), frozenset({"digest", "size", "mode"})


@dataclass(frozen=True, slots=True)
class Slot:
    """A file of the tree: `digest` is None when its content comes behind the sketch, in the order of paths."""

    path: str
    digest: str | None
    size: int
    mode: int


def draw(tree: Tree, have: Collection[str]) -> tuple[bytes, list[str]]:
    """The sketch for a site that has these objects, its length before it, and the digests of what is to follow."""
    follow: dict[str, None] = {}
    files = {}
    for path, entry in tree.files.items():
        files[path] = {"size": entry.size, "mode": entry.mode}
        if entry.digest in have or entry.digest in follow:
            files[path] |= {"digest": entry.digest}  # type: ignore[dict-item]
        else:
            follow[entry.digest] = None
    body = dumps({"format": FORMAT, "files": files})
    return len(body).to_bytes(_LENGTH_BYTES) + body, list(follow)


def parse(data: bytes) -> list[Slot]:
    """The slots of a sketch (without its length).

    Raises: BadDocument.
    """
    found = loads(data, what="pack", limit=MAX_JSON_BYTES)
    check_format(found, FORMAT, what="pack")
    files = fields(found, frozenset({"format", "files"}), what="pack")["files"]
    if not isinstance(files, dict):
        raise BadDocument(f'pack: "files" is {kind(files)}, not an object')
    return [_slot(path, entry) for path, entry in sorted(files.items())]


def complete(slots: list[Slot], came: list[str]) -> Tree:
    """The tree, once the digests of what came are known.

    Raises: BadDocument, as any tree.
    """
    rest: Iterator[str] = iter(came)
    return Tree({slot.path: FileEntry(slot.digest or next(rest), slot.size, slot.mode) for slot in slots})


def _slot(path: str, found: object) -> Slot:
    what = f"pack: {path[:80]!a}"
    known = isinstance(found, dict) and "digest" in found
    entry = fields(found, _KNOWN if known else _COMES, what=what)
    size, mode, digest = entry["size"], entry["mode"], entry.get("digest")
    if type(size) is not int or type(mode) is not int or size < 0:
        raise BadDocument(f'{what}: "size" and "mode" must be whole numbers')
    if size > MAX_FILE_BYTES:
        raise BadDocument(f"{what}: {size} bytes, at most {MAX_FILE_BYTES} a file", reason="too-large")
    if known and not is_digest(digest):
        raise BadDocument(f'{what}: "digest" is not 64 hexadecimal digits')
    return Slot(path, str(digest) if known else None, size, mode)
