#!/usr/bin/python3
"""Keep the mirror's disk within its bound: the oldest files nobody needs go; the journal hears before it is full.

Needed is what is in signatures/ (its own program keeps that small), a set *.cvd of ClamAV's, and what a file named.txt
in the area lists, one path a line. Exit code: 0, or 3 when the bound cannot be kept.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DAY_SECONDS = 86400


@dataclass(frozen=True, slots=True)
class Kept:
    """A file on the mirror."""

    path: Path
    taken: int
    """Bytes of disk."""
    written: float


def main() -> int:
    """Tidy, and say what the journal should hear."""
    options = arguments()
    top: Path = options.directory
    files = sorted(found(top), key=lambda file: file.written)
    used = sum(file.taken for file in files)
    over = max(used - options.max_bytes, options.keep_free_bytes - free(top))
    gone = 0
    for file in evictable(top, files):
        if over <= 0 and not leftover(file):
            continue
        if not options.dry:
            file.path.unlink(missing_ok=True)
        over, used, gone = over - file.taken, used - file.taken, gone + 1
    if gone:
        print(f"<6>đã bỏ {gone} tệp cũ · {gone} old files removed; {used} bytes stay")
    percent = 100 * used // options.max_bytes
    if over > 0:
        print(
            f"<3>kho đầy: thiếu {over} byte mà không còn tệp nào bỏ được · full: {over} bytes too many, none to remove"
        )
        return 3
    if percent >= options.warn_percent:
        print(
            f"<4>kho đã dùng {percent} % · the mirror's disk is {percent} % full ({used} of {options.max_bytes} bytes)"
        )
    return 0


def found(top: Path) -> Iterator[Kept]:
    """Every regular file below the areas."""
    for directory, _, names in os.walk(top):
        for name in names:
            path = Path(directory) / name
            status = path.lstat()
            if path.is_file() and not path.is_symlink():
                yield Kept(path, status.st_blocks * 512, status.st_mtime)


def evictable(top: Path, files: list[Kept]) -> Iterator[Kept]:
    """Files nobody needs, the oldest first; before them, what writers that died have left."""
    named = {path for area in top.iterdir() if area.is_dir() for path in names(area)}
    free_to_go = [
        file
        for file in files
        if len(file.path.relative_to(top).parts) > 1
        and file.path.relative_to(top).parts[0] != "signatures"
        and file.path.suffix != ".cvd"
        and file.path.name != "named.txt"
        and file.path not in named
    ]
    yield from sorted((file for file in files if leftover(file)), key=lambda file: file.written)
    yield from (file for file in free_to_go if not leftover(file))


def leftover(file: Kept) -> bool:
    """Whether a writer died over it: hidden, and a day old."""
    return file.path.name.startswith(".") and file.written < time.time() - DAY_SECONDS


def names(area: Path) -> Iterator[Path]:
    """What an area says must stay."""
    listed = area / "named.txt"
    if listed.is_file():
        yield from (area / line.strip() for line in listed.read_text(encoding="utf-8").splitlines() if line.strip())


def free(top: Path) -> int:
    """Bytes the disk has left."""
    disk = os.statvfs(top)
    return disk.f_bavail * disk.f_frsize


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--max-bytes", type=int, required=True)
    parser.add_argument("--keep-free-bytes", type=int, required=True)
    parser.add_argument("--warn-percent", type=int, required=True)
    parser.add_argument("--dry", action="store_true", help="remove nothing")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
