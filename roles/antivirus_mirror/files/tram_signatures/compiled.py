"""From entries to the files a scanner loads. The same entries make the same files, but for the canary."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from .entry import Entry

ALL = ("full", "reduced", "province", "on-demand")
CANARY = "tram-canary.hsb"
LEVEL = 73
"""Functionality level from which on a hash may come without a size."""

# In hexadecimal, so that no scanner finds this program.
EICAR = bytes.fromhex(
    "58354f2150254041505b345c505a58353428505e2937434329377d2445494341522d5354414e444152442d"
    "414e544956495255532d544553542d46494c452124482b482a"
)


@dataclass(frozen=True, slots=True)
class File:
    """A file of a release."""

    name: str
    content: bytes
    profiles: tuple[str, ...] = ALL

    @property
    def sha256(self) -> str:
        """Its name on the mirror."""
        return hashlib.sha256(self.content).hexdigest()


def compiled(entries: Iterable[Entry], serial: int, canary: str) -> list[File]:
    """All files of release `serial`, by name."""
    lines: dict[str, list[str]] = {
        CANARY: [_hash_line(hashlib.sha256(canary.encode()).hexdigest(), len(canary.encode()), f"Canary.{serial}")],
        "tram-eicar.ndb": [f"Tram.Test.EICAR:0:0:{EICAR.hex()}"],
    }
    files: list[File] = []
    for entry in entries:
        match entry.kind:
            case "sha256":
                lines.setdefault("tram-hashes.hsb", []).append(_hash_line(entry.value, entry.size, entry.name))
            case "md5":
                lines.setdefault("tram-hashes.hdb", []).append(f"{entry.value}:{entry.size}:Tram.{entry.name}")
            case "ndb":
                lines.setdefault("tram-patterns.ndb", []).append(f"Tram.{entry.name}:{entry.value}")
            case "allow":
                lines.setdefault("tram-allowed.sfp", []).append(_hash_line(entry.value, entry.size, entry.name))
            case "yara":
                # A file each, named by a hash: one rule's mistake is not another's.
                mark = hashlib.sha256(entry.name.encode()).hexdigest()[:12]
                files.append(File(f"tram-rule-{mark}.yar", entry.value.encode()))
    files += [File(name, ("\n".join(those) + "\n").encode()) for name, those in lines.items()]
    return sorted(files, key=lambda file: file.name)


def _hash_line(digest: str, size: int | None, name: str) -> str:
    return f"{digest}:{'*' if size is None else size}:Tram.{name}:{LEVEL}"
