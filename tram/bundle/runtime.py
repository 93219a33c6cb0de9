"""The site runtime: everything a host needs to run an ordered playbook by itself, as one reproducible file.

Same installed packages and same sources give the same bytes, so the artefact's digest is its identity. It serves Python
3.11 and 3.13 alike: pure Python only, nothing compiled (the host compiles it once, when it installs it).
"""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tram.bundle.runtime_content import runtime_files

_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 16 * 1024 * 1024}]


@dataclass(frozen=True, slots=True)
class Runtime:
    """A built artefact: its file, its id (first 16 hex of its SHA-256) and its size."""

    path: Path
    id: str
    bytes: int


def build_runtime(out: Path) -> Runtime:
    """Write `runtime-<id>.tar.xz` into the directory `out` and return it; a file already there with that id is kept.

    The archive holds the packages (`ansible`, `jinja2`, `markupsafe`, `yaml`, `packaging`, `tram`), `launch.py` and
    `bin/tram-site`, the launcher for /usr/local/sbin. It is to be unpacked into /opt/tram/runtime/<id>/.
    """
    content = compress(archive(runtime_files()))
    identity = hashlib.sha256(content).hexdigest()[:16]
    path = out / f"runtime-{identity}.tar.xz"
    if not path.is_file() or path.stat().st_size != len(content):
        out.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(content)
        part.replace(path)
    return Runtime(path, identity, len(content))


def archive(files: Mapping[str, bytes]) -> bytes:
    """A tar of the files (relative posix path → content) that depends on nothing else: no times, owners or order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            entry.mode = 0o755 if name.startswith("bin/") else 0o644
            tar.addfile(entry, io.BytesIO(files[name]))
    return buffer.getvalue()


def compress(content: bytes) -> bytes:
    """xz as small as it gets, with a dictionary that an old host with little memory can afford (16 MiB)."""
    return lzma.compress(content, format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, filters=_FILTERS)
