"""Bring a host back to its snapshot: /etc exactly, units as they ran, firewall rules as they were.

Packages that the change installed stay: to remove them would run their scripts on a machine that has just been broken,
delete data, and bring them over the line once more the next time. So what only they own stays with them, and what
they started is stopped. See docs/adr/0011.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from tram.site import snapshot
from tram.site.guarded import ACCOUNT_FILES, CUTS_OFF, PASSIVE
from tram.site.kernel_values import bring_back_values, named_in
from tram.site.place import Config, Place
from tram.site.snapshot import Entry, Snapshot
from tram.site.touched import difference
from tram.site.units import settle

_FIRST_OF_PEOPLE = 1000  # uids from here on are people's (Debian policy 9.2)
_DPKG_INFO = "var/lib/dpkg/info"
_UCF_REGISTRY = "var/lib/ucf/registry"  # package and path of each file that a package's own script laid down (ucf(1))


def restore(place: Place, config: Config, before: Snapshot) -> tuple[list[str], list[str]]:
    """Put back what differs from `before`. Returns the paths put back, and what could not be, as sentences.

    May be cut off anywhere and called again: it compares anew each time.
    """
    after = snapshot.look(place, config)
    differs = difference(before, after)
    kept = brought_by_packages(config, before, after)
    values = named_in(config.system / path for path in differs.every if fnmatchcase(path, "etc/sysctl*"))
    problems: list[str] = []
    done: list[str] = []
    for path in (*differs.gone, *differs.changed):
        try:
            _put_back(place, config.system, path, before.files[path])
            done.append(path)
        except (OSError, ValueError) as error:
            problems.append(f"{path}: {error}")
    for path in reversed(differs.added):  # what is in a directory before the directory
        if path in kept:
            continue
        try:
            _remove(config.system / path)
            done.append(path)
        except OSError as error:
            problems.append(f"{path}: {error}")
    if config.system == Path("/"):
        problems += settle(before, after, done) + bring_back_values(before.values, values)
    return sorted(done), problems


def _put_back(place: Place, system: Path, path: str, entry: Entry) -> None:
    full = system / path
    if entry.kind == "directory":
        if not full.is_dir() or full.is_symlink():
            _remove(full)
            full.mkdir(parents=True)
        os.chown(full, entry.uid, entry.gid)
        full.chmod(entry.mode)
        return
    full.parent.mkdir(parents=True, exist_ok=True)
    if full.is_dir() and not full.is_symlink():
        shutil.rmtree(full)
    new = full.with_name(f".{full.name}.tram-restore")
    new.unlink(missing_ok=True)
    if entry.kind == "link":
        new.symlink_to(entry.content)
        os.chown(new, entry.uid, entry.gid, follow_symlinks=False)
    else:
        content = snapshot.content(place, entry)
        if path in ACCOUNT_FILES:
            content = _with_system_accounts(path, content, full)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fchown(file.fileno(), entry.uid, entry.gid)
            os.fchmod(file.fileno(), entry.mode)
            os.fsync(file.fileno())
    new.replace(full)


def _with_system_accounts(path: str, content: bytes, now: Path) -> bytes:
    """The old accounts exactly, and after them system accounts that are new: packages that stay own files by them.

    An account is a system's when its uid is below 1000 and nobody can log in by password; a new one of a person goes.
    """
    try:
        lines = now.read_bytes().splitlines()
    except OSError:
        return content
    there = {line.split(b":")[0] for line in content.splitlines()}
    new = [line for line in lines if line.split(b":")[0] not in there and _is_the_systems(path, line)]
    return content + b"".join(line + b"\n" for line in new)


def _is_the_systems(path: str, line: bytes) -> bool:
    fields = line.split(b":")
    with suppress(IndexError, ValueError):
        if path in ("etc/passwd", "etc/group"):
            nobody = path == "etc/group" or fields[-1].endswith((b"nologin", b"false", b"sync"))
            return 0 < int(fields[2]) < _FIRST_OF_PEOPLE and nobody and fields[3:4] != [b"0"]
        if path in ("etc/shadow", "etc/gshadow"):
            return fields[1][:1] in (b"!", b"*")
    return False


def brought_by_packages(config: Config, before: Snapshot, after: Snapshot) -> set[str]:
    """Added paths that belong to packages which are new: theirs by name, or in a directory that is theirs alone.

    Never what can cut the site off: a package's drop-in for sshd goes, though the package stays. But its own passive
    files stay: dpkg would never bring them again. What came to lie beside them goes.
    """
    had = {line.split()[0] for line in before.packages}
    new = {line.split()[0] for line in after.packages} - had
    owned: set[str] = set()
    for name in new:
        for listing in (config.system / _DPKG_INFO).glob(f"{name}*.list"):
            if listing.name.split(".list")[0].split(":")[0] == name:
                owned |= {line.lstrip("/") for line in listing.read_text(errors="surrogateescape").splitlines()}
    with suppress(OSError):
        lines = (config.system / _UCF_REGISTRY).read_text(errors="surrogateescape").splitlines()
        owned |= {words[1].lstrip("/") for line in lines if len(words := line.split()) == 2 and words[0] in new}

    def stays(path: str) -> bool:
        if any(fnmatchcase(path, pattern) for patterns in CUTS_OFF.values() for pattern in patterns):
            return path in owned and any(fnmatchcase(path, pattern) for pattern in PASSIVE)
        return path in owned or any(path.startswith(f"{directory}/") for directory in theirs)

    added = after.files.keys() - before.files.keys()
    theirs = {path for path in added if after.files[path].kind == "directory" and path in owned}
    return {path for path in added if stays(path)}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        with suppress(OSError):  # not empty: something in it stays
            path.rmdir()
    else:
        path.unlink(missing_ok=True)
