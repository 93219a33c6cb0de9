"""Files of the host's own disks, whatever their names: each handed out open, no link followed on the way."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOCAL = frozenset(
    {"bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "fuseblk", "hfsplus", "iso9660", "jfs", "msdos"}
    | {"nilfs2", "ntfs", "ntfs3", "overlay", "reiserfs", "tmpfs", "udf", "vfat", "xfs", "zfs"}
)
"""File systems of this host. Others (network, kernel) are scanned by whoever has them, or hold no files."""
DEEPEST = 200


@dataclass(frozen=True, slots=True)
class Found:
    """An open file: where it was found, by a handle of its directory, so that a renamed parent leads nowhere else."""

    path: str
    handle: int
    directory: int
    status: os.stat_result

    @property
    def name(self) -> str:
        """Its name in the directory."""
        return self.path.rpartition("/")[2]


class Places:
    """Where to look, and where not."""

    def __init__(self, skip: list[str], mounts: str = "/proc/self/mountinfo") -> None:
        self.skip = frozenset(place.rstrip("/") or "/" for place in skip)
        self.local = frozenset(_local(Path(mounts)))

    def walk(self, top: str) -> Iterator[Found]:
        """Every regular file at or below a path. What vanishes or may not be read is passed over."""
        top = "/" + top.strip("/")
        parent, _, name = top.rpartition("/")
        try:
            directory = open_directory(parent or "/") if name else os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return
        try:
            if name:
                yield from self._one(directory, name, top, 0)
            else:
                yield from self._below(directory, "", 0)
        finally:
            os.close(directory)

    def _one(self, directory: int, name: str, path: str, depth: int) -> Iterator[Found]:
        try:
            mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
            if path in self.skip or not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                return
            flags = os.O_DIRECTORY if stat.S_ISDIR(mode) else os.O_NOATIME if os.geteuid() == 0 else 0
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | flags, dir_fd=directory)
        except OSError:
            return
        try:
            status = os.fstat(handle)
            if stat.S_ISDIR(status.st_mode):
                # Asked of directories only: overlay gives files the number of the layer they are on.
                if depth < DEEPEST and status.st_dev in self.local:
                    yield from self._below(handle, path, depth + 1)
            elif stat.S_ISREG(status.st_mode):
                yield Found(path, handle, directory, status)
        finally:
            os.close(handle)

    def _below(self, handle: int, path: str, depth: int) -> Iterator[Found]:
        try:
            # Python hands bytes that are no UTF-8 through as surrogates, so every name comes back as it was.
            names = sorted(os.listdir(handle))
        except OSError:
            return
        for name in names:
            yield from self._one(handle, name, f"{path}/{name}", depth)


def open_directory(path: str) -> int:
    """A handle of a directory, no link followed on the way to it.

    Raises:
        OSError: it is not there, or there is a link on the way.
    """
    handle = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    for name in filter(None, path.split("/")):
        try:
            following = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
        finally:
            os.close(handle)
        handle = following
    return handle


def _local(mountinfo: Path) -> Iterator[int]:
    """Devices with a local file system. Source: proc(5), /proc/pid/mountinfo."""
    for line in mountinfo.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        before, _, after = line.partition(" - ")
        if after.split(" ", 1)[0] in LOCAL:
            fields = before.split(" ")
            place = fields[4].encode("utf-8", "surrogateescape").decode("unicode_escape").encode("latin-1", "replace")
            try:
                # Not the number in the line: btrfs and overlay give files another one.
                yield os.stat(place).st_dev  # noqa: PTH116 - bytes
            except OSError:
                continue
