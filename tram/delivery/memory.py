"""What the centre remembers so that less has to travel, or be made again; without it everything still works."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from tram import bundle
from tram.bundle.content import Content
from tram.bundle.remembered import cache_dir
from tram.bundle.runtime import Base, Runtime, build_base, pack_of
from tram.bundle.runtime_content import PACKAGES, own_files
from tram.core.canonical import BadDocument, dumps
from tram.core.tree import Tree

_KEPT_TREES = 2000
_KEPT_RUNTIME_FILES = 20


class TreeMemory:
    """Trees that were sent once, by digest: names and digests of files, no content."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or cache_dir() / "trees"

    def keep(self, content: Content) -> None:
        """Remember a tree; the oldest go."""
        with suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self.folder / content.tree.digest
            if path.exists():
                os.utime(path)
                return
            new = path.with_name(f".{path.name}.{os.getpid()}")
            new.write_bytes(content.tree.canonical())
            new.replace(path)
            found = sorted(self.folder.glob("[0-9a-f]*"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
            for old in found[_KEPT_TREES:]:
                old.unlink(missing_ok=True)

    def objects(self, trees: Iterable[str]) -> set[str]:
        """The digests of all that is in these trees, as far as they are remembered, theirs included."""
        return {found for tree in trees for found in self._objects(tree)}

    def _objects(self, digest: str) -> Iterator[str]:
        try:
            tree = Tree.parse((self.folder / digest).read_bytes())
        except (OSError, BadDocument):
            return
        if tree.digest == digest:
            yield digest
            yield from (entry.digest for entry in tree.files.values())


class HostMemory:
    """Which runtimes a host was last known to have: what goes to it on a stick must name one of those."""

    def __init__(self, province: str, folder: Path | None = None) -> None:
        self.folder = (folder or cache_dir() / "hosts") / province

    def keep(self, host: str, runtimes: Iterable[str]) -> None:
        """The host has these now."""
        with suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = self.folder / f".{host}.{os.getpid()}"
            new.write_text(json.dumps(list(runtimes)))
            new.replace(self.folder / f"{host}.json")

    def runtimes(self, host: str) -> tuple[str, ...]:
        """Those it had; none when that is not known."""
        try:
            found = json.loads((self.folder / f"{host}.json").read_text())
        except (OSError, ValueError):
            return ()
        return tuple(str(name) for name in found) if isinstance(found, list) else ()


def runtime() -> Runtime:
    """The site runtime of this installation.

    Its base takes half a minute of an old controller, so it is kept and built anew only when what it is made of has
    changed, which is seen in a few milliseconds. Our own files are read each time.
    """
    folder = cache_dir() / "runtime"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # many hosts want it at once, one builds it
        built = Runtime(_base(folder), own_files())
        (folder / f"{built.id}.index").write_bytes(dumps(built.index))
        _tidy(folder)
    return built


def lacking_bytes(built: Runtime, known: Iterable[str]) -> int:
    """About what travels to bring a host with these runtimes to `built`, as far as they are remembered."""
    if built.id in known:
        return 0
    base, here = 0, set[str]()
    for name in known:
        with suppress(OSError, ValueError, KeyError, TypeError):
            index = json.loads((cache_dir() / "runtime" / f"{name}.index").read_bytes())
            base = max(base, built.base.bytes if index["base"]["sha256"] == built.base.sha256 else 0)
            here |= {found[0] for found in index["files"].values()}
    lacking = [path for path, found in built.index["files"].items() if found[0] not in here]
    return built.base.bytes - base + len(pack_of(built.files, lacking))


def _base(folder: Path) -> Base:
    key = folder / f"base-{_sources()}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(key.read_text())
        path = folder / str(found["file"])
        if path.stat().st_size == found["bytes"]:
            return Base(path, str(found["sha256"]), int(found["bytes"]), list(map(str, found["names"])))
    built = build_base(folder)
    known = {"file": built.path.name, "sha256": built.sha256, "bytes": built.bytes, "names": built.names}
    key.write_text(json.dumps(known))
    return built


def _tidy(folder: Path) -> None:
    """Bases, their keys and indexes: the newest stay."""
    for pattern in ("base-*.tar.xz", "base-*.json", "*.index"):
        found = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for old in found[_KEPT_RUNTIME_FILES:]:
            old.unlink(missing_ok=True)


def _sources() -> str:
    """Name, size and time of every file the base may be made of, and how it is made."""
    seen = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(Path(bundle.__path__[0]).glob("runtime*.py"))))
    for _distribution, package, _without in PACKAGES:
        spec = importlib.util.find_spec(package)
        for base in spec.submodule_search_locations or () if spec else ():
            for folder, folders, names in os.walk(base):
                folders[:] = sorted(name for name in folders if name != "__pycache__")
                for name in sorted(names):
                    found = (Path(folder) / name).stat()
                    seen.update(f"{folder}/{name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return seen.hexdigest()[:32]
