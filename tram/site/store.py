"""Content by its digest, and the trees of which all content is here.

An object is in the store only if its content is what its name says; a tree is in `trees/` only if all its objects are
in the store. So whoever finds a tree's name needs to send nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from tram.core.canonical import BadDocument
from tram.core.tree import Tree
from tram.site import durable
from tram.site.limits import KEPT_TREES
from tram.site.place import Place
from tram.site.refusal import Refusal


class Store:
    """The objects and trees of one host."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def path(self, digest: str) -> Path:
        """Where an object is, or would be."""
        return self.place.objects / digest[:2] / digest

    def has(self, digest: str, size: int) -> bool:
        """Whether the object is here, by its size; its content is checked when it is used."""
        try:
            return self.path(digest).stat().st_size == size
        except OSError:
            return False

    def put(self, digest: str, content: bytes) -> None:
        """Keep an object whose digest the caller has checked. Not yet on the disk for good: `settle` does that."""
        path = self.path(digest)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        new = path.with_name(f".{digest}.{os.getpid()}.new")
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)

    def settle(self, tree: Tree) -> None:
        """Say that a tree is complete, after its objects' names are on the disk.

        Raises: Refusal (damaged) when an object is missing.
        """
        missing = [path for path, entry in tree.files.items() if not self.has(entry.digest, entry.size)]
        if missing:
            raise Refusal("damaged", f"{len(missing)} files of the tree did not come, the first is {missing[0]}")
        for name in sorted({entry.digest[:2] for entry in tree.files.values()}):
            durable.sync_directory(self.place.objects / name)
        durable.sync_directory(self.place.objects)
        durable.write(self.place.trees / tree.digest, tree.canonical())

    def touch(self, digest: str) -> None:
        """Make a tree the newest, because an order asks for it."""
        with suppress(OSError):
            os.utime(self.place.trees / digest)

    def trees(self) -> list[str]:
        """The digests of complete trees, newest first."""
        found = [path for path in self.place.trees.iterdir() if not path.name.startswith(".")]
        return [path.name for path in sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)]

    def tree(self, digest: str) -> Tree | None:
        """A complete tree, or None when it is not here or something of it is missing; then its name is taken back."""
        path = self.place.trees / digest
        try:
            tree = Tree.parse(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, BadDocument):
            path.unlink(missing_ok=True)
            return None
        if tree.digest != digest or not all(self.has(entry.digest, entry.size) for entry in tree.files.values()):
            path.unlink(missing_ok=True)
            return None
        return tree

    def lay_out(self, tree: Tree, into: Path) -> None:
        """Make every file of the tree be there as it should be; what is right already stays as it is.

        Raises: Refusal (damaged) when an object is not what it was when it came; it is removed, to be sent again.
        """
        into.mkdir(mode=0o700, exist_ok=True)
        for name, entry in tree.files.items():
            path = into / name
            if _digest_of(path) != entry.digest:
                content = self._content(entry.digest, tree)
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.unlink(missing_ok=True)
                path.write_bytes(content)
            path.chmod(entry.mode)

    def _content(self, digest: str, tree: Tree) -> bytes:
        path = self.path(digest)
        with suppress(OSError):
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == digest:
                return content
        path.unlink(missing_ok=True)
        (self.place.trees / tree.digest).unlink(missing_ok=True)
        raise Refusal(
            "damaged", f"object {digest} is not what it was when it came", hint="the disk may be failing; send again"
        )

    def sweep(self, needed: Collection[str] = ()) -> int:
        """Remove what neither the last trees nor the `needed` ones (of waiting runs) use; returns the bytes won."""
        names = self.trees()
        kept = set(names[:KEPT_TREES]) | set(needed)
        used: set[str] = set()
        for name in names:
            if name in kept and (tree := self.tree(name)) is not None:
                used |= {entry.digest for entry in tree.files.values()}
            else:
                (self.place.trees / name).unlink(missing_ok=True)
        won = 0
        for path in self.place.objects.glob("*/*"):
            if path.name not in used:
                with suppress(OSError):
                    won += path.stat().st_size
                    path.unlink()
        return won


def _digest_of(path: Path) -> str:
    try:
        if path.is_symlink():
            return ""
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
