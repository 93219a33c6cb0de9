"""Releases on the disk: each whole in a directory of its own, from the moment that the directory has its name."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .compiled import CANARY, File
from .words import Refused

ENVELOPE, ENTRIES = "release.json", "entries.txt"


@dataclass(frozen=True, slots=True)
class Release:
    """A release as it was signed."""

    directory: Path
    text: str
    signature: str

    @property
    def told(self) -> dict[str, Any]:
        """What release.json's `release` says."""
        return dict(json.loads(self.text))

    @property
    def serial(self) -> int:
        """Its number."""
        return int(self.told["serial"])

    @property
    def same(self) -> list[tuple[str, str]]:
        """What it finds: two releases with the same are one, but for the canary."""
        return [(file["name"], file["sha256"]) for file in self.told["files"] if file["name"] != CANARY]

    def file(self, name: str) -> bytes:
        """The content of a file."""
        return (self.directory / "files" / name).read_bytes()

    def entries(self) -> str:
        """The sources it was made of."""
        return (self.directory / ENTRIES).read_text(encoding="utf-8")


def envelope(text: str, signature: str) -> str:
    """What is served as release.json."""
    return json.dumps({"release": text, "signature": signature}, ensure_ascii=False) + "\n"


def opened(path: Path) -> tuple[str, str]:
    """Text and signature of a release.json.

    Raises: OSError, ValueError.
    """
    given = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(given, dict) or not all(isinstance(given.get(key), str) for key in ("release", "signature")):
        raise ValueError(f"{path}: no release")
    return given["release"], given["signature"]


def releases(shelf: Path) -> list[Release]:
    """All that are kept, the newest last. What cannot be read is none."""
    found = []
    for directory in sorted((path for path in shelf.glob("*") if path.name.isdigit()), key=lambda path: int(path.name)):
        try:
            release = Release(directory, *opened(directory / ENVELOPE))
            if release.serial == int(directory.name):
                found.append(release)
        except (OSError, ValueError, KeyError):
            continue
    return found


def put(shelf: Path, work: Path, entries: str, files: list[File], signed: tuple[str, str]) -> Release:
    """Lay a release down: all of it or nothing.

    Raises: Refused, when the disk is full.
    """
    text, signature = signed
    serial = int(json.loads(text)["serial"])
    new = work / str(serial)
    try:
        (new / "files").mkdir(parents=True)
        for file in files:
            write(new / "files" / file.name, file.content)
        write(new / ENTRIES, entries.encode())
        write(new / ENVELOPE, envelope(text, signature).encode())
        for directory in (new / "files", new):
            sync(directory)
        shelf.mkdir(parents=True, exist_ok=True)
        new.rename(shelf / str(serial))
        sync(shelf)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        raise Refused(f"không ghi được bản phát hành ({error})", "the release could not be written") from error
    return Release(shelf / str(serial), text, signature)


def prune(shelf: Path, keep: int) -> None:
    """Leave the newest."""
    for release in releases(shelf)[:-keep]:
        shutil.rmtree(release.directory)


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file that is on the disk when this returns."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())


def replace(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace a file whole, on the disk."""
    new = path.with_name(f".{path.name}.new")
    try:
        write(new, content, mode)
        new.rename(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(directory: Path) -> None:
    """Have a directory's names on the disk."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
