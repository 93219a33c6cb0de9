"""What was found, taken out of reach and kept so that it can be put back. Root only."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

from tram_antivirus import state
from tram_antivirus.settings import Failed
from tram_antivirus.walk import Found, open_directory

CHUNK = 1 << 18
MASK = bytes(byte ^ 0xA5 for byte in range(256))
"""What is kept is not what it was: no scanner finds it again, and nobody runs it by accident."""
ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}")
KEEP_FREE_BYTES = 50_000_000


def put(room: Path, found: Found, name: str) -> str:
    """Take a file into quarantine; returns its id.

    Raises:
        Failed: it could not be kept, or is no longer where it was found; then it was left where it is.
    """
    number = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + secrets.token_hex(3)
    own = room / f".{number}"
    status = found.status
    free = os.statvfs(room)
    if free.f_bavail * free.f_frsize < status.st_size + KEEP_FREE_BYTES:
        raise Failed("too little disk to keep it")
    try:
        own.mkdir(mode=0o700)
        _copy(found.handle, own / "content")
        kept = {
            "id": number, "at": state.now(), "name": name, "path": shown(found.path), "uid": status.st_uid,
            "raw": os.fsencode(found.path).hex(), "gid": status.st_gid, "mode": status.st_mode & 0o7777,
            "atime_ns": status.st_atime_ns, "mtime_ns": status.st_mtime_ns, "bytes": status.st_size,
        }  # fmt: skip
        state.write(own / "about.json", kept)
        now = os.stat(found.name, dir_fd=found.directory, follow_symlinks=False)
        if _mark(now) != _mark(status):
            raise Failed("it was changed meanwhile")
        own.rename(room / number)
        state.sync(room)
        os.unlink(found.name, dir_fd=found.directory)
    except (OSError, Failed) as error:
        shutil.rmtree(own, ignore_errors=True)
        shutil.rmtree(room / number, ignore_errors=True)
        raise Failed(f"not quarantined: {error}") from error
    return number


def _mark(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _copy(handle: int, to: Path) -> None:
    at = 0
    with to.open("xb") as copy:
        os.fchmod(copy.fileno(), 0o600)
        while part := os.pread(handle, CHUNK, at):
            copy.write(part.translate(MASK))
            at += len(part)
        copy.flush()
        os.fsync(copy.fileno())


def listed(room: Path) -> list[dict[str, Any]]:
    """What is in quarantine, oldest first."""
    try:
        names = sorted(path.name for path in room.iterdir() if ID.fullmatch(path.name))
    except FileNotFoundError:
        return []
    return [about for name in names if (about := state.read(room / name / "about.json"))]


def restore(room: Path, number: str) -> str:
    """Put a file back where it was, as it was; returns its path.

    Raises:
        Failed: something is there, the directory is gone or leads elsewhere, or nothing has that id.
    """
    own, about = _own(room, number)
    path = os.fsdecode(bytes.fromhex(about["raw"]))
    parent, _, name = path.rpartition("/")
    try:
        # No link is followed: whoever owns the directory may have put one where root would write.
        directory = open_directory(parent)
    except OSError as error:
        raise Failed(f"{shown(parent or '/')} is not the directory it was: {error.strerror}") from error
    temporary = f".tram-restored-{secrets.token_hex(6)}"
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=directory)
        with os.fdopen(handle, "wb") as copy, (own / "content").open("rb") as kept:
            while part := kept.read(CHUNK):
                copy.write(part.translate(MASK))
            copy.flush()
            os.fchown(handle, about["uid"], about["gid"])
            os.fchmod(handle, about["mode"])
            os.utime(handle, ns=(about["atime_ns"], about["mtime_ns"]))
            os.fsync(handle)
        # A link, not a rename: it fails when something is there.
        os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
        os.fsync(directory)
    except FileExistsError as error:
        raise Failed(f"{shown(path)} is there; nothing was overwritten") from error
    except OSError as error:
        raise Failed(f"{shown(path)} was not restored: {error.strerror}") from error
    finally:
        try:
            os.unlink(temporary, dir_fd=directory)
        except FileNotFoundError:
            pass
        finally:
            os.close(directory)
    shutil.rmtree(own)
    return path


def delete(room: Path, number: str) -> str:
    """Delete what is kept; returns where it was."""
    own, about = _own(room, number)
    shutil.rmtree(own)
    return os.fsdecode(bytes.fromhex(about["raw"]))


def _own(room: Path, number: str) -> tuple[Path, dict[str, Any]]:
    own = room / number
    about = state.read(own / "about.json") if ID.fullmatch(number) else {}
    if not about:
        raise Failed(f"nothing in quarantine has the id {json.dumps(number)}; see: tram-antivirus quarantine list")
    return own, about


def shown(path: str) -> str:
    """A path as text: bytes that are no UTF-8 as \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
