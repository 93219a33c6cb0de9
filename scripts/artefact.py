"""One zip of our code for hosts that have Debian's Python: the same bytes from the same sources anywhere."""

from __future__ import annotations

import io
import lzma
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Stored, not deflated: zlib differs from machine to machine, and bundles are compressed as a whole."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            file.writestr(entry, data)
    return out.getvalue()


def command(target: Path, files: Mapping[str, bytes]) -> int:
    """Write the artefact and print its size; with --check only say whether it is up to date, and end with 1 if not."""
    made = zipped(files)
    if "--check" in sys.argv[1:]:
        fine = target.is_file() and target.read_bytes() == made
        print("up to date" if fine else f"{target.relative_to(REPO)}: run scripts/{Path(sys.argv[0]).name}")
        return 0 if fine else 1
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(made)
    print(f"{target.relative_to(REPO)}: {len(made)} bytes, {len(lzma.compress(made))} as a bundle compresses it")
    return 0
