"""What the hub reads in a host's backup with the passphrase that the centre hands over: archives, what is in one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any


class Failed(Exception):
    """It could not be done; the message says why."""


def explained(host: str, ran: subprocess.CompletedProcess[str]) -> str:
    """Why borg failed, in words that say what to do."""
    said = ran.stderr.strip()
    if "passphrase supplied" in said and "incorrect" in said:
        return f"{host}: the passphrase does not open this backup: wrong key, another host's, or its key was replaced"
    if "Integrity" in said or "damaged" in said or "CRC" in said or "Data integrity" in said:
        return (
            f"{host}: the repository is damaged ({said.splitlines()[-1]}): tram-backup-hub rollback {host} --to STATE"
        )
    if "lock" in said.lower():
        return f"{host}: a backup or another command is using the repository; try again later"
    if "does not exist" in said and "Archive" in said:
        return f"{host}: {said.splitlines()[-1]}"
    return f"{host}: borg ended with {ran.returncode}: {' '.join(said.split())[-300:]}"


def lay_out(state: Path, new: Path, user: int, group: int) -> None:
    """A kept state as a repository that borg can use, its data by hard links."""
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(state, new, copy_function=lambda a, b: os.link(a, b) if "/data/" in a else shutil.copy2(a, b))
    for path in (new, *new.rglob("*")):
        if path.is_dir() or path.parent == new:
            os.chown(path, user, group)


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


def contents(hub: Any, host: str, passphrase: str, wanted: str) -> dict[str, Any]:
    """What an archive has of each service: files, bytes and one digest of all of them; read here, nothing is sent.

    Raises: Failed.
    """
    archives = listed(hub, host, passphrase)
    found = [one for one in archives if wanted in (one["name"], "latest")]
    if not found:
        raise Failed(f"{host}: no archive {wanted}; the latest are: {', '.join(a['name'] for a in archives[-5:])}")
    archive = found[-1]
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
    ran = hub.borg(host, ["list", "--json-lines", "--format", form, f"::{archive}", path.lstrip("/")], passphrase)
    if ran.returncode != 0:
        raise Failed(explained(host, ran))
    entries = {one["path"]: one for one in map(json.loads, ran.stdout.splitlines())}
    lines, size = [], 0
    for name, one in entries.items():
        # A second name of a file has no content of its own here.
        first = entries.get(one["source"], one) if one["type"] == "h" else one
        if first["type"] == "-":
            lines.append(f"/{name}\0{first['size']}\0{first['sha256']}\n")
            size += int(first["size"])
    return {"files": len(lines), "bytes": size,
            "sha256": sha256("".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()}  # fmt: skip
