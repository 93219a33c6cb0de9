"""What is published, on a stick: for hosts behind a line that is cut, and for another centre."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import official, shelf
from .place import Place
from .words import Refused


def export(place: Place, target: Path, *, sets: bool) -> int:
    """Write release.json and files/ as they are served, and ClamAV's own sets to clamav/; return the serial.

    Raises: Refused.
    """
    kept = shelf.releases(place.releases)
    if not kept:
        raise Refused("chưa phát hành bản nào", "nothing has been published yet")
    last = kept[-1]
    try:
        (target / "files").mkdir(parents=True, exist_ok=True)
        for file in last.told["files"]:
            _copied(target / "files" / file["sha256"], last.file(file["name"]))
        if sets and official.versions(place):
            (target / "clamav").mkdir(exist_ok=True)
            for path in [*place.clamav.glob("*.cdiff"), *place.clamav.glob("*.cvd")]:
                new = target / "clamav" / f"{path.name}.new"
                shutil.copyfile(path, new)
                new.replace(target / "clamav" / path.name)
        # Last: who finds it finds all it names.
        _copied(target / shelf.ENVELOPE, shelf.envelope(last.text, last.signature).encode())
    except OSError as error:
        raise Refused(f"không ghi được vào {target} ({error})", f"{target} cannot be written to") from error
    return last.serial


def _copied(target: Path, content: bytes) -> None:
    new = target.with_name(f"{target.name}.new")
    new.write_bytes(content)
    new.replace(target)
