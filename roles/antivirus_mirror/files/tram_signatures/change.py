"""What operators change: each is one new release, or one clear word why not."""

from __future__ import annotations

import argparse
import datetime
import hashlib
import sys
from pathlib import Path
from typing import BinaryIO

from .entry import YARA_MAX_BYTES, Entry, checked
from .place import Place
from .publication import Result, publish
from .trial import Sample
from .words import Refused, both

DPKG = Path("/var/lib/dpkg/info")


def add(place: Place, options: argparse.Namespace) -> Result | None:
    """Add a signature and publish. Call it `alone`.

    Raises: Refused.
    """
    samples: tuple[Sample, ...] = ()
    known = ""
    if options.file is not None:
        sample = taken(options.file, place)
        kind, value, size = "sha256", digest(sample), sample.stat().st_size
        samples = (Sample(sample, found=True),)
        known = digest(sample, "md5")
    elif options.yara is not None:
        kind, value, size = "yara", read_rules(options.yara), None
    else:
        kind = next(kind for kind in ("sha256", "md5", "ndb") if getattr(options, kind) is not None)
        value, size = getattr(options, kind), options.size
        # The name in the line gives way to the one that is asked for.
        value = value.partition(":")[2] if kind == "ndb" else value
    entry = checked(Entry(options.name, kind, value, size, options.note, _now(), options.who, options.sweep))
    if known := known or (entry.value if kind == "md5" else ""):
        packaged(known)
    note = options.note or both(f"thêm {entry.name}", f"added {entry.name}")
    return publish(place, lambda entries: _with(entries, entry), note=note, sweep=options.sweep, samples=samples)


def allow(place: Place, options: argparse.Namespace) -> Result | None:
    """Say that a file is no virus, and publish. Call it `alone`.

    Raises: Refused.
    """
    samples: tuple[Sample, ...] = ()
    value, size = options.sha256, None
    if options.file is not None:
        sample = taken(options.file, place)
        value, size = digest(sample), sample.stat().st_size
        samples = (Sample(sample, found=False),)
    entry = checked(Entry(options.name, "allow", value, size, options.note, _now(), options.who))
    note = options.note or both(f"cho phép {entry.name}", f"allowed {entry.name}")
    return publish(place, lambda entries: _with(entries, entry), note=note, samples=samples)


def remove(place: Place, name: str, note: str) -> Result | None:
    """Remove an entry, and publish. Call it `alone`.

    Raises: Refused.
    """
    name = name.removeprefix("Tram.")

    def without(entries: list[Entry]) -> list[Entry]:
        left = [entry for entry in entries if entry.name != name]
        if len(left) == len(entries):
            raise Refused(f"không có chữ ký nào tên {name}", f"there is no signature of the name {name}")
        return left

    return publish(place, without, note=note or both(f"bỏ {name}", f"removed {name}"))


def _with(entries: list[Entry], entry: Entry) -> list[Entry]:
    """The entries and the new one; the very same said twice is one."""
    for other in entries:
        if other.name == entry.name:
            if other.finds == entry.finds:
                return entries
            raise Refused(
                f"tên {entry.name} đã dùng cho chữ ký khác; chọn tên khác hoặc bỏ cái cũ trước",
                f"the name {entry.name} is another signature's: choose another one, or remove that first",
            )
        if other.finds == entry.finds:
            raise Refused(f"đã có dưới tên {other.name}", f"it is there already as {other.name}")
    return [*entries, entry]


def taken(given: str, place: Place) -> Path:
    """Copy a sample to where it is tried.

    Raises: Refused.
    """
    target = place.work / "sample"
    try:
        if given == "-":
            _copy(sys.stdin.buffer, target, place.sample_max_bytes)
        else:
            path = Path(given)
            if not path.is_file():
                raise Refused(f"{given}: không phải tệp", "there is no such file")
            with path.open("rb") as file:
                _copy(file, target, place.sample_max_bytes)
    except OSError as error:
        raise Refused(f"không đọc được tệp mẫu ({error})", "the sample cannot be read") from error
    return target


def _copy(source: BinaryIO, target: Path, most: int) -> None:
    with target.open("wb") as copy:
        left = most + 1
        while left and (part := source.read(min(left, 1 << 20))):
            copy.write(part)
            left -= len(part)
    if not left:
        raise Refused(
            f"tệp mẫu lớn hơn {most} byte: các máy không quét tệp lớn như thế",
            f"the sample is over {most} bytes, and so no host scans it",
        )


def digest(path: Path, kind: str = "sha256") -> str:
    """Hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def packaged(md5: str) -> None:
    """Refuse what is a file of a package of Debian's: dpkg knows the MD5 of each.

    Raises: Refused.
    """
    for listed in DPKG.glob("*.md5sums"):
        for line in listed.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(md5):
                path = line[32:].strip()
                raise Refused(
                    f"đó là tệp /{path} của gói {listed.stem} (Debian): không thể là vi-rút",
                    f"that is the file /{path} of Debian's package {listed.stem}: no virus",
                )


def read_rules(given: str) -> str:
    """The text of YARA rules.

    Raises: Refused.
    """
    try:
        with sys.stdin.buffer if given == "-" else Path(given).open("rb") as file:
            return file.read(YARA_MAX_BYTES + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"không đọc được luật YARA ({error})", "the YARA rules cannot be read") from error


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
