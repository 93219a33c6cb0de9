"""Bringing back: paths of an archive, beside what is there or in its place; whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tram_backup.nightly import STAMP
from tram_backup.repository import STATE, Failed, InTheWay, LineGone, Repository, Watch

LOCK = Path("/run/lock/tram-backup-restore")
SPARE = 1.05
"""Room a restore wants, times the sum of its files."""


@dataclass(frozen=True)
class Wish:
    """What is to come back, and where to. `to` None: in place. `who` is told to whoever wants to restore meanwhile."""

    archive: str
    services: list[str]
    paths: list[str]
    to: Path | None
    overwrite: bool
    dry: bool
    who: str


@contextmanager
def alone(wish: Wish) -> Iterator[None]:
    """One restore at a time.

    Raises: InTheWay with the name of the one that is under way.
    """
    with LOCK.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise InTheWay(f"another restore is under way: {file.read().strip()}. Nothing was changed") from error
        file.truncate(0)
        file.write(f"{wish.who}, {' '.join(wish.services + wish.paths)}, since {datetime.now(UTC):%H:%M} UTC")
        file.flush()
        yield


def chosen(repository: Repository, wanted: str) -> dict[str, Any]:
    """The archive of this name, or the latest.

    Raises: InTheWay.
    """
    found = repository.archives()
    if not found:
        raise InTheWay("there is no archive of this host yet. Nothing was changed")
    for one in found:
        if one["name"] == wanted:
            return one
    if wanted != "latest":
        names = ", ".join(one["name"] for one in found[-5:])
        raise InTheWay(f"{wanted}: no such archive; the latest are: {names}. Nothing was changed")
    return found[-1]


def wanted_paths(archive: dict[str, Any], wish: Wish) -> list[str]:
    """Absolute paths to bring back.

    Raises: InTheWay for a service the archive has not.
    """
    services = json.loads(archive["comment"] or "{}")
    unknown = [name for name in wish.services if name not in services]
    if unknown:
        raise InTheWay(
            f"{archive['name']} has no {', '.join(unknown)}; it has: {', '.join(sorted(services))}. Nothing was changed"
        )
    return [path for name in wish.services for path in services[name]] + wish.paths


def restore(repository: Repository, wish: Wish) -> dict[str, Any]:
    """Do it; what came and where it is.

    Raises: InTheWay when nothing was changed; Failed, LineGone.
    """
    with alone(wish):
        archive = chosen(repository, wish.archive)
        plan = []
        for path in wanted_paths(archive, wish):
            files, size = measured(repository, archive["name"], path)
            target = Path(path) if wish.to is None else wish.to / path.lstrip("/")
            plan.append({"path": path, "target": str(target), "files": files, "bytes": size, "aside": None})
        for one in plan:
            target = Path(one["target"])
            if target.exists() and not wish.overwrite and (not target.is_dir() or any(target.iterdir())):
                raise InTheWay(
                    f"{target} is there already: say --overwrite (it is kept beside), or --to DIR. Nothing was changed"
                )
        enough(plan)
        watch = Watch(None, 0)
        if not wish.dry:
            with paused(units(repository.settings, wish)):
                for one in plan:
                    target = Path(one["target"])
                    one["aside"] = bring(repository, archive["name"], one["path"], target, watch)
                    one.update(summed(target, one["path"]))
        return {"archive": archive["name"], "dry_run": wish.dry, "bytes_on_line": watch.bytes, "restored": plan}


def units(settings: dict[str, Any], wish: Wish) -> list[str]:
    """What must not run while whole services are put in their place."""
    services = [one for one in settings["services"] if one["service"] in wish.services and wish.to is None]
    return [unit for one in services for unit in one.get("units", [])]


@contextmanager
def paused(names: list[str]) -> Iterator[None]:
    """Those of the units that run are stopped, and started again whatever happens.

    Raises: Failed.
    """
    systemctl = ["systemctl", "--quiet"]
    running = [one for one in names if subprocess.run([*systemctl, "is-active", one], check=False).returncode == 0]
    try:
        for unit in running:
            subprocess.run([*systemctl, "stop", unit], check=True)
        yield
    finally:
        for unit in reversed(running):
            if subprocess.run([*systemctl, "start", unit], check=False).returncode != 0:
                print(f"tram-backup: {unit} did not start again: journalctl -u {unit}", file=sys.stderr)


def summed(target: Path, path: str) -> dict[str, Any]:
    """Files, bytes and one digest of what is at `target` now, under the names it has in the archive; the hub makes the
    same of an archive (tram_backup_reading.py)."""
    found = [target] if target.is_file() else sorted(Path(top) / name for top, _, ns in os.walk(target) for name in ns)
    lines, size = [], 0
    for one in found:
        if one.is_file() and not one.is_symlink():
            with one.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            length = one.stat().st_size
            name = path.rstrip("/") + str(one)[len(str(target)) :]
            lines.append(f"{name}\0{length}\0{digest}\n")
            size += length
    whole = hashlib.sha256("".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()
    return {"files": len(lines), "bytes": size, "sha256": whole}


def measured(repository: Repository, archive: str, path: str) -> tuple[int, int]:
    """Files and bytes below a path of an archive.

    Raises: InTheWay when it has nothing there.
    """
    listed = repository.borg(["list", "--json-lines", "--format", "{type}{size}", f"::{archive}", path.lstrip("/")])
    entries = [json.loads(line) for line in listed.splitlines()]
    if not entries:
        raise InTheWay(f"{archive} has nothing at {path}. Nothing was changed")
    return sum(one["type"] == "-" for one in entries), sum(int(one.get("size", 0)) for one in entries)


def existing(path: Path) -> Path:
    """The nearest folder above that is there."""
    return next(up for up in path.parents if up.is_dir())


def enough(plan: list[dict[str, Any]]) -> None:
    """Whether it fits on each disk.

    Raises: InTheWay.
    """
    needed: dict[int, tuple[int, Path]] = {}
    for one in plan:
        folder = existing(Path(one["target"]))
        device = folder.stat().st_dev
        needed[device] = (needed.get(device, (0, folder))[0] + int(one["bytes"] * SPARE), folder)
    for size, folder in needed.values():
        stat = os.statvfs(folder)
        free = stat.f_bavail * stat.f_frsize
        if free < size:
            raise InTheWay(
                f"{folder}: {size} bytes are needed, {free} are free: make room, or another --to. Nothing was changed"
            )


def bring(repository: Repository, archive: str, path: str, target: Path, watch: Watch) -> str | None:
    """One path, built beside its place and renamed into it; where what stood there is now."""
    target.parent.mkdir(parents=True, exist_ok=True)
    inside = path.strip("/")
    with tempfile.TemporaryDirectory(prefix=".tram-restore-", dir=target.parent) as scratch:
        tries = 0
        while True:
            try:
                words = ["extract", "--strip-components", str(inside.count("/"))]
                repository.borg([*words, f"::{archive}", inside], cwd=Path(scratch), watch=watch)
                break
            except LineGone as error:
                tries += 1
                if tries == 5:
                    raise Failed(
                        f"the line broke five times: {error}; {target} is as it was, try again later"
                    ) from error
        aside = None
        if target.is_dir() and not any(target.iterdir()):
            target.rmdir()
        elif target.exists():
            aside = target.with_name(f".{target.name}.before-{datetime.now(UTC).strftime(STAMP)}")
            target.rename(aside)
        (Path(scratch) / target.name).rename(target)
    return str(aside) if aside else None


def forget() -> None:
    """Forget what this host knows of the hub's state: after the hub went back to an older one."""
    for folder in (STATE / "borg/.cache", STATE / "borg/.config/borg/security"):
        shutil.rmtree(folder, ignore_errors=True)
