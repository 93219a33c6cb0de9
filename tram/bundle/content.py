"""What one host is to be given, as files and as the tree that names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tram.core.canonical import digest
from tram.core.tree import FileEntry, Tree


@dataclass(frozen=True, slots=True)
class File:
    """A file of a bundle: its bytes and mode (0o644, 0o755, 0o600)."""

    data: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class First:
    """What must happen before a role can be delivered: playbook `host` delivered to it (None: nothing), unless the
    centre has what comes of that already (`answered`); then playbook `centre` run at the centre."""

    role: str
    host: Path | None
    centre: Path
    answered: bool


@dataclass(frozen=True, slots=True)
class Content:
    """A built bundle: `objects` are the files' bytes by digest, `roles` the roles in it in order of use, `returns` the
    patterns of what comes back to the centre, `missing` the declared secrets the centre has no file for, `first` what
    must happen before this is sent."""

    tree: Tree
    objects: Mapping[str, bytes]
    roles: tuple[str, ...]
    returns: tuple[str, ...]
    missing: tuple[str, ...]
    first: tuple[First, ...] = ()


def content(
    files: Mapping[str, File],
    *,
    roles: tuple[str, ...],
    returns: tuple[str, ...],
    missing: tuple[str, ...],
    first: tuple[First, ...] = (),
) -> Content:
    """The content that these files are.

    Raises: BadDocument for a bad path or too much of anything.
    """
    entries = {path: FileEntry(digest(file.data), len(file.data), file.mode) for path, file in files.items()}
    objects = {entries[path].digest: file.data for path, file in files.items()}
    return Content(Tree(entries), MappingProxyType(objects), roles, returns, missing, first)
