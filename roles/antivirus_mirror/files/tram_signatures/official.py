"""ClamAV's own sets at the hub."""

from __future__ import annotations

from pathlib import Path

SETS = ("main", "daily", "bytecode")


def header(path: Path) -> dict[str, str]:
    """The first 512 bytes of a set: ClamAV-VDB:when:version:signatures:level:md5:dsig:builder:seconds.

    Raises: ValueError, OSError.
    """
    with path.open("rb") as file:
        fields = file.read(512).decode("ascii", errors="replace").strip().split(":")
    if len(fields) < 8 or fields[0] != "ClamAV-VDB":
        raise ValueError(f"{path.name}: no set of ClamAV's")
    return {"version": fields[2], "signatures": fields[3], "level": fields[4], "seconds": fields[-1]}


def versions(directory: Path) -> dict[str, int]:
    """Versions of the sets that are there."""
    found = {}
    for name in SETS:
        path = directory / f"{name}.cvd"
        if path.exists():
            found[name] = int(header(path)["version"])
    return found
