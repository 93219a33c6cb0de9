"""The site runtime: everything a host needs to run an ordered playbook by itself; a new one travels as what changed.

Same installed packages and same sources give the same bytes, so the digest of its index is its identity. It serves
Python 3.11 and 3.13 alike: pure Python only, nothing compiled (the host compiles it once, when it installs it). Its
two parts and how they travel: docs/contracts/runtime.md.
"""

from __future__ import annotations

import io
import lzma
import os
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tram.bundle.runtime_content import base_files, own_files
from tram.core.canonical import digest, dumps

FORMAT = 1
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 16 * 1024 * 1024}]


@dataclass(frozen=True, slots=True)
class Base:
    """Others' packages as one artefact: its file, SHA-256, size, and what it puts into the runtime's directory."""

    path: Path
    sha256: str
    bytes: int
    names: Sequence[str]


@dataclass(frozen=True)
class Runtime:
    """A built runtime: its base, and our own files by their path."""

    base: Base
    files: Mapping[str, bytes]

    @cached_property
    def index(self) -> Mapping[str, Any]:
        """The document that names all of it."""
        base = {"sha256": self.base.sha256, "bytes": self.base.bytes, "names": list(self.base.names)}
        files = {path: [digest(content), len(content)] for path, content in self.files.items()}
        return {"format": FORMAT, "base": base, "files": files}

    @cached_property
    def id(self) -> str:
        """The first 16 hexadecimal digits of the index's SHA-256."""
        return digest(dumps(self.index))[:16]

    @cached_property
    def bytes(self) -> int:
        """What travels to a host that has nothing of it."""
        return self.base.bytes + len(pack_of(self.files, self.files))


def build_runtime(out: Path) -> Runtime:
    """Build all of it; the base goes into the directory `out`.

    Raises: NotCapable when a package it is made of is not installed here.
    """
    return Runtime(build_base(out), own_files())


def build_base(out: Path) -> Base:
    """Write the base as `base-<16 digits of its SHA-256>.tar.xz` into `out`; one that is there with that name stays.

    Raises: NotCapable, as `build_runtime`.
    """
    files = base_files()
    content = compress(archive(files))
    found = digest(content)
    path = out / f"base-{found[:16]}.tar.xz"
    if not path.is_file() or path.stat().st_size != len(content):
        out.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(content)
        part.replace(path)
    return Base(path, found, len(content), sorted({name.partition("/")[0] for name in files}))


def pack_of(files: Mapping[str, bytes], paths: Iterable[str]) -> bytes:
    """The files of these paths, one behind the other in the order of their names, as small as they get."""
    return compress(b"".join(files[path] for path in sorted(paths)))


def archive(files: Mapping[str, bytes]) -> bytes:
    """A tar of the files (relative posix path → content) that depends on nothing else: no times, owners or order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(files[name]))
    return buffer.getvalue()


def compress(content: bytes) -> bytes:
    """xz as small as it gets, with a dictionary that an old host with little memory can afford (16 MiB)."""
    return lzma.compress(content, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, filters=_FILTERS)
