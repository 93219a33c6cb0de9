"""What of the hub's own is kept elsewhere: the newest state of each host's backup, and how a new hub takes it in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

from tram_backup_reading import Failed, lay_out

DOOR = Path("/etc/tram-backup-hub/host_key")


def set_out(hub: Any, door: Path = DOOR) -> dict[str, Any]:
    """Lay out the newest kept state of each host, by hard links, and the key of the door, for the hub's own backup.

    A kept state is whole and changes no more, whatever its host sends meanwhile.
    """
    half = hub.root / ".outgoing.half"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(mode=0o700)
    hosts = []
    for host in hub.hosts():
        if states := hub.states(host):
            place = half / "hosts" / host
            place.mkdir(parents=True)
            shutil.copytree(states[-1], place / "repository", copy_function=_link)
            (place / "record.json").write_text(json.dumps(hub.read_record(host)), encoding="utf-8")
            hosts.append(host)
    shutil.copy2(door, half / "host_key")
    place = hub.root / "outgoing"
    shutil.rmtree(place, ignore_errors=True)
    half.rename(place)
    return {"hosts": hosts}


def take_in(hub: Any, keep: Any, now: datetime, door: Path = DOOR) -> dict[str, Any]:
    """Make what a lost hub had set out this hub's own; a host that has handed in here already keeps what it has.

    Raises: Failed when nothing was brought back.
    """
    place = hub.root / "outgoing"
    if not (place / "host_key").is_file():
        raise Failed(f"{place} has nothing of a hub: bring the service backups back first (tram replace)")
    taken, left = [], []
    for found in sorted((place / "hosts").glob("*/repository")):
        host = found.parent.name
        repository = hub.repositories / host
        if (repository / "config").is_file():
            left.append(host)
            continue
        new = hub.repositories / f".{host}.new"
        lay_out(found, new, hub.account.pw_uid, hub.account.pw_gid)
        shutil.rmtree(repository, ignore_errors=True)
        new.rename(repository)
        record = json.loads((found.parent / "record.json").read_text(encoding="utf-8"))
        # The states it speaks of are gone with the old hub; the first one here is this.
        hub.write_record(host, record | {"transaction": -1, "looked": ""})
        keep(hub, host, now)
        taken.append(host)
    # Hosts know the place where they hand in by this key.
    half = door.with_name(".host_key.half")
    shutil.copyfile(place / "host_key", half)
    half.chmod(0o600)
    half.replace(door)
    subprocess.run(["systemctl", "try-restart", "tram-backup-sshd.service"], check=False)
    return {"taken": taken, "left": left}


def take_seed(hub: Any, keep: Any, host: str, stick: Path, now: datetime) -> dict[str, Any]:
    """A host's first backup from a stick (tram-backup seed).

    Raises: Failed when it is none, or the host has handed in already.
    """
    found, place = stick / host, hub.repositories / host
    if not (found / "config").is_file():
        raise Failed(f"{found}: is no backup of {host}; on the host: tram-backup seed DIR. Nothing was changed")
    if (place / "config").is_file():
        raise Failed(f"{host}: has handed in already; a second beginning would hide that. Nothing was changed")
    new = hub.repositories / f".{host}.new"
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(found, new, symlinks=True)
    for path in (*new.rglob("*"), new):
        os.chown(path, hub.account.pw_uid, hub.account.pw_gid, follow_symlinks=False)
    new.rename(place)
    keep(hub, host, now)
    return {"host": host, "states": len(hub.states(host))}


def _link(source: str, target: str) -> None:
    """Data by hard links, what borg writes anew as copies."""
    if "/data/" in source:
        os.link(source, target)
    else:
        shutil.copy2(source, target)
