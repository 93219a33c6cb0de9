"""What the hub reads in a host's backup with the passphrase that the centre hands over: archives, what is in one."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

SMALL = ("README", "config", "nonce")


class Failed(Exception):
    """It could not be done; the message says why."""


def explained(host: str, ran: subprocess.CompletedProcess[str]) -> str:
    """Why borg failed, in words that say what to do."""
    said = ran.stderr.strip()
    if "passphrase supplied" in said and "incorrect" in said:
        return f"{host}: the passphrase does not open this backup: wrong key, another host's, or its key was replaced"
    if "newer version" in said or "not supported by this borg version" in said:
        return f"{host}: its backup has a format that this hub's borg is too old for: update borgbackup here"
    if "Integrity" in said or "damaged" in said or "CRC" in said or "Data integrity" in said:
        return (
            f"{host}: the repository is damaged ({said.splitlines()[-1]}): tram-backup-hub rollback {host} --to STATE"
        )
    if "lock" in said.lower():
        return f"{host}: a backup or another command is using the repository; try again later"
    if "does not exist" in said and "Archive" in said:
        return f"{host}: {said.splitlines()[-1]}"
    return f"{host}: borg ended with {ran.returncode}: {' '.join(said.split())[-300:]}"


def newest(repository: Path) -> int:
    """The last complete transaction of a repository, -1 when there is none."""
    return max((int(path.suffix[1:]) for path in repository.glob("index.*") if path.suffix[1:].isdigit()), default=-1)


def digest(path: Path) -> str:
    """SHA-256 of a small file; of what a link points to there is none.

    Raises: Failed.
    """
    with _opened(path) as file:
        return sha256(os.read(file, 1 << 20)).hexdigest()


@contextmanager
def _opened(name: str | Path, within: int | None = None, flags: int = 0) -> Iterator[int]:
    """A file or folder of the unprivileged user's, never what a link there points to.

    Raises: Failed.
    """
    try:
        found = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | flags, dir_fd=within)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        raise Failed(f"{name}: is a link or no folder, which borg never makes; its user may be taken over") from error
    try:
        if not flags and not stat.S_ISREG(os.fstat(found).st_mode):
            raise Failed(f"{name}: is no plain file, which borg never makes; its user may be taken over")
        yield found
    finally:
        os.close(found)


def _names(folder: int) -> list[str]:
    """What is in an opened folder."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def take_over(repository: Path, transaction: int, half: Path, group: int) -> None:
    """A repository's state up to a transaction: its data root's from now on and linked, the rest copied. By handles
    below the folder, so that nobody who may write there can put another file in the place of one.

    Raises: Failed.
    """
    with _opened(repository, None, os.O_DIRECTORY) as inside:
        there = _names(inside)
        for name in (*SMALL, *(f"{kind}.{transaction}" for kind in ("index", "hints", "integrity"))):
            if name in there:
                with (
                    _opened(name, inside) as file,
                    (half / name).open("wb") as copy,
                    open(file, "rb", closefd=False) as source,
                ):
                    shutil.copyfileobj(source, copy)
        with _opened("data", inside, os.O_DIRECTORY) as data:
            for part in _names(data):
                with _opened(part, data, os.O_DIRECTORY) as numbers:
                    for name in _names(numbers):
                        if name.isdigit() and int(name) <= transaction:
                            _own(numbers, name, half / "data" / part / name, group)


def _own(folder: int, name: str, target: Path, group: int) -> None:
    """Make a file root's, and link it."""
    with _opened(name, folder) as file:
        os.fchown(file, 0, group)
        os.fchmod(file, 0o440)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(name, target, src_dir_fd=folder, follow_symlinks=False)
        if not os.path.samestat(os.fstat(file), target.lstat()):
            raise Failed(f"{name}: was replaced while it was kept; its user may be taken over")


def doomed(said: str) -> list[str]:
    """The ids of archives that borg says it would prune (prune --dry-run --list)."""
    return re.findall(r"^Would prune:.*\[([0-9a-f]{64})\]", said, re.MULTILINE)


def lay_out(state: Path, new: Path, user: int, group: int) -> None:
    """A kept state as a repository that borg can use, its data by hard links."""
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(state, new, copy_function=lambda a, b: os.link(a, b) if "/data/" in a else shutil.copy2(a, b))
    # The outermost last: before that nobody else can put anything into it.
    for path in (*new.rglob("*"), new):
        if path.is_dir() or path.parent == new:
            os.chown(path, user, group, follow_symlinks=False)


def listed(hub: Any, host: str, passphrase: str, kept: Path | None = None) -> list[dict[str, Any]]:
    """The archives of a host, oldest first, or those of a kept state; those that a backup under way left for its next
    try are none.

    Raises: Failed.
    """
    words = ["list", "--json", "--format", "{comment}{NL}"]
    if kept is None:
        ran = hub.borg(host, words, passphrase)
    else:
        with opened(hub, host, kept) as place:
            ran = hub.borg(host, words, passphrase, place)
    if ran.returncode != 0:
        raise Failed(explained(host, ran))
    return [one for one in json.loads(ran.stdout)["archives"] if ".checkpoint" not in one["name"]]


@contextmanager
def opened(hub: Any, host: str, kept: Path) -> Iterator[Path]:
    """A kept state laid out for reading; borg knows nothing there of what it saw of the host before, newer."""
    place = hub.root / "looking" / host
    place.parent.mkdir(exist_ok=True)
    place.parent.chmod(0o711)
    try:
        lay_out(kept, place, hub.account.pw_uid, hub.account.pw_gid)
        home = place / "home"
        home.mkdir(mode=0o700)
        os.chown(home, hub.account.pw_uid, hub.account.pw_gid)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def seen(hub: Any, host: str, passphrase: str, after: str) -> dict[str, str]:
    """Every archive by its id, and its name, of the states kept since that one: what came and went between two
    questions of the centre's was kept all the same.

    Raises: Failed.
    """
    found: dict[str, str] = {}
    for state in hub.states(host):
        if state.name > after:
            found |= {one["id"]: one["name"] for one in listed(hub, host, passphrase, state)}
    return found


def chosen(hub: Any, host: str, passphrase: str, wanted: str) -> dict[str, Any]:
    """The archive of this name, or the latest.

    Raises: Failed.
    """
    archives = listed(hub, host, passphrase)
    found = [one for one in archives if wanted in (one["name"], "latest")]
    if not found:
        raise Failed(f"{host}: no archive {wanted}; the latest are: {', '.join(a['name'] for a in archives[-5:])}")
    return found[-1]


def contents(hub: Any, host: str, passphrase: str, wanted: str) -> dict[str, Any]:
    """What an archive has of each service: files, bytes and one digest of all of them; read here, nothing is sent.

    Raises: Failed.
    """
    archive = chosen(hub, host, passphrase, wanted)
    ran = hub.borg(host, ["info", "--json", f"::{archive['name']}"], passphrase)
    if ran.returncode != 0:
        raise Failed(explained(host, ran))
    stats = json.loads(ran.stdout)["archives"][0]["stats"]
    services = {
        service: [{"path": path, **summed(hub, host, passphrase, archive["name"], path)} for path in paths]
        for service, paths in json.loads(archive["comment"] or "{}").items()
    }
    at = datetime.strptime(archive["name"].rpartition("-")[2], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return {"archive": archive["name"], "at": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "line_bytes": stats["compressed_size"],
            "services": services}  # fmt: skip


def summed(hub: Any, host: str, passphrase: str, archive: str, path: str) -> dict[str, Any]:
    """Files, bytes and digest below a path of an archive; tram_backup/bringing.py makes the same of a disk.

    Raises: Failed.
    """
    form = "{type}{path}{size}{sha256}{source}"
    lines, size = [], 0
    # On the disk, and one line at a time: a mailbox server has a million files.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="surrogateescape", dir=hub.root) as out:
        words = ["list", "--json-lines", "--format", form, f"::{archive}", path.lstrip("/")]
        ran = hub.borg(host, words, passphrase, None, out)
        if ran.returncode != 0:
            raise Failed(explained(host, ran))
        out.seek(0)
        # A second name of a file has no content of its own here; borg calls it a file ("-") with a source.
        sources = {one["source"] for one in map(json.loads, out) if one["type"] in ("-", "h")} - {""}
        out.seek(0)
        firsts = {one["path"]: one for one in map(json.loads, out) if one["path"] in sources} if sources else {}
        out.seek(0)
        for one in map(json.loads, out):
            first = firsts.get(one["source"], one) if one["type"] in ("-", "h") else one
            if first["type"] == "-":
                lines.append(f"/{one['path']}\0{first['size']}\0{first['sha256']}\n")
                size += int(first["size"])
    lines.sort()
    whole = sha256()
    for line in lines:
        whole.update(line.encode(errors="surrogateescape"))
    return {"files": len(lines), "bytes": size, "sha256": whole.hexdigest()}
