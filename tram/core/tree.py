"""What a host is to be given: every file with digest, size and mode. The same content has the same digest anywhere."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tram.core.canonical import BadDocument, check_format, digest, dumps, fields, is_digest, kind, loads

FORMAT = 1
MAX_FILES = 20_000
MAX_BYTES = 64 * 2**20
MAX_FILE_BYTES = 16 * 2**20
MAX_JSON_BYTES = 4 * 2**20
MAX_PART_BYTES = 255  # ext4's and every other file system's limit of a name
MAX_PATH_BYTES = 1024  # leaves room for the directory a tree is put into, within PATH_MAX
MODES = (0o644, 0o755, 0o600)

_TREE_KEYS = frozenset({"format", "files"})
_FILE_KEYS = frozenset({"digest", "size", "mode"})


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One regular file: SHA-256 of its content, bytes, and one of the modes 0644, 0755, 0600."""

    digest: str
    size: int
    mode: int


@dataclass(frozen=True, slots=True)
class Tree:
    """All files by their path, relative to where the tree is put; checked when it is made, then unchangeable.

    Raises: BadDocument for a bad path, entry or too much of anything.
    """

    files: Mapping[str, FileEntry]

    def __post_init__(self) -> None:
        _check(self.files)
        object.__setattr__(self, "files", MappingProxyType(dict(sorted(self.files.items()))))

    @classmethod
    def parse(cls, data: bytes) -> Tree:
        """The tree that these canonical bytes are.

        Raises: BadDocument.
        """
        found = loads(data, what="tree", limit=MAX_JSON_BYTES)
        check_format(found, FORMAT, what="tree")
        files = fields(found, _TREE_KEYS, what="tree")["files"]
        if not isinstance(files, dict):
            raise BadDocument(f'tree: "files" is {kind(files)}, not an object')
        return cls({path: _entry(path, entry) for path, entry in files.items()})

    def canonical(self) -> bytes:
        """The bytes the digest is of."""
        files = {path: {"digest": e.digest, "size": e.size, "mode": e.mode} for path, e in self.files.items()}
        return dumps({"format": FORMAT, "files": files})

    @property
    def digest(self) -> str:
        """The tree's name."""
        return digest(self.canonical())

    @property
    def bytes(self) -> int:
        """Size of all files together, a content that is there twice counted twice."""
        return sum(entry.size for entry in self.files.values())


def check_path(path: str) -> str:
    """The path itself, when it can only mean a file below the directory it is put into.

    Raises: BadDocument (reason `path`).
    """
    problem = _path_problem(path)
    if problem:
        shown = path if len(path) <= 80 else f"{path[:80]}…"
        raise BadDocument(f"path {shown!a}: {problem}", reason="path")
    return path


def _path_problem(path: str) -> str:
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in path):
        return "has a control character"  # also half a surrogate pair, which has no bytes
    parts = path.split("/")
    problems = {
        "is empty": not path,
        "is absolute": path.startswith("/"),
        "has a backslash": "\\" in path,
        "has an empty part": "" in parts,
        'has a part "." or ".."': "." in parts or ".." in parts,
        f"has a part of more than {MAX_PART_BYTES} bytes": any(len(part.encode()) > MAX_PART_BYTES for part in parts),
        f"is longer than {MAX_PATH_BYTES} bytes": len(path.encode()) > MAX_PATH_BYTES,
    }
    return next((words for words, wrong in problems.items() if wrong), "")


def _entry(path: str, found: object) -> FileEntry:
    what = f"tree: {path[:80]!a}"
    entry = fields(found, _FILE_KEYS, what=what)
    if not isinstance(entry["digest"], str):
        raise BadDocument(f'{what}: "digest" is {kind(entry["digest"])}, not text')
    numbers = []
    for name in ("size", "mode"):
        value = entry[name]
        if type(value) is not int:
            raise BadDocument(f'{what}: "{name}" is {kind(value)}, not a whole number')
        numbers.append(value)
    return FileEntry(entry["digest"], numbers[0], numbers[1])


def _check(files: Mapping[str, FileEntry]) -> None:
    if len(files) > MAX_FILES:
        raise BadDocument(f"tree: {len(files)} files, at most {MAX_FILES} are allowed", reason="too-large")
    sizes: dict[str, int] = {}
    for path, entry in files.items():
        check_path(path)
        what = f"tree: {path[:80]!a}"
        if not is_digest(entry.digest):
            raise BadDocument(f'{what}: "digest" is not 64 hexadecimal digits')
        if entry.mode not in MODES:
            raise BadDocument(f"{what}: mode {entry.mode:o} is not one of 644, 755, 600")
        if entry.size < 0:
            raise BadDocument(f"{what}: size {entry.size} is less than 0")
        if entry.size > MAX_FILE_BYTES:
            raise BadDocument(f"{what}: {entry.size} bytes, at most {MAX_FILE_BYTES} a file", reason="too-large")
        if sizes.setdefault(entry.digest, entry.size) != entry.size:
            raise BadDocument(f"{what}: another file has the same digest and another size")
        parents = path.split("/")[:-1]
        for end in range(1, len(parents) + 1):
            if "/".join(parents[:end]) in files:
                raise BadDocument(f"{what}: {'/'.join(parents[:end])!a} is a file, not a directory", reason="path")
    total = sum(entry.size for entry in files.values())
    if total > MAX_BYTES:
        raise BadDocument(f"tree: {total} bytes of files, at most {MAX_BYTES} are allowed", reason="too-large")
