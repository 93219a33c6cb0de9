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
from tram_backup.repository import STATE, Failed, InTheWay, LineGone, Repository, Watch, read_state, write_state

LOCK = STATE / "restore.lock"
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
    keep_newer: bool = False


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
                if wish.keep_newer:
                    for one in plan:
                        one["newer"] = join_newer(repository.settings, wish, one)
                finish(repository.settings, wish)
        return {"archive": archive["name"], "dry_run": wish.dry, "bytes_on_line": watch.bytes, "restored": plan}


def join_newer(settings: dict[str, Any], wish: Wish, one: dict[str, Any]) -> int:
    """Lay what came to a rebuilt host before its backup was back (`newer` of the service: patterns below its path)
    beside what is back; how many files. Nothing that is there is touched."""
    if not one["aside"]:
        return 0
    aside, target, count = Path(one["aside"]), Path(one["target"]), 0
    services = [found for found in settings["services"] if found["service"] in wish.services]
    for pattern in (word for found in services for word in found.get("newer", [])):
        if not pattern.startswith(one["path"] + "/"):
            continue
        for found in sorted(aside.glob(pattern[len(one["path"]) + 1 :])):
            place = target / found.relative_to(aside)
            if found.is_file() and not place.exists():
                for up in reversed([up for up in place.parents if up.is_relative_to(target) and not up.exists()]):
                    _like(aside / up.relative_to(target), up)
                shutil.copy2(found, place)
                os.chown(place, found.stat().st_uid, found.stat().st_gid)
                count += 1
    return count


def _like(old: Path, new: Path) -> None:
    """A folder as the old one is."""
    new.mkdir(mode=old.stat().st_mode & 0o7777)
    os.chown(new, old.stat().st_uid, old.stat().st_gid)


def finish(settings: dict[str, Any], wish: Wish) -> None:
    """Have whole services that are in their place again take what came: a database its dump.

    Raises: Failed.
    """
    for service in settings["services"]:
        for step in service.get("after", []) if service["service"] in wish.services and wish.to is None else []:
            dumped = STATE / "dumps" / service["service"] / step["from"] if "from" in step else Path(os.devnull)
            with dumped.open("rb") as dump:
                ran = subprocess.run(step["run"], stdin=dump, capture_output=True, check=False)
            if ran.returncode != 0:
                raise Failed(
                    f"{service['service']}: its files are back, but {' '.join(step['run'])} ended with "
                    f"{ran.returncode}: {ran.stderr.decode(errors='replace').strip()[-300:]}"
                )


def units(settings: dict[str, Any], wish: Wish) -> list[str]:
    """What must not run while whole services are put in their place."""
    services = [one for one in settings["services"] if one["service"] in wish.services and wish.to is None]
    return [unit for one in services for unit in one.get("units", [])]


@contextmanager
def paused(names: list[str]) -> Iterator[None]:
    """Those of the units that run are stopped, and started again whatever happens; so are those that a restore had
    stopped which was killed before.

    Raises: Failed.
    """
    systemctl, left = ["systemctl", "--quiet"], read_state().get("paused", [])
    running = [one for one in names if subprocess.run([*systemctl, "is-active", one], check=False).returncode == 0]
    running += [one for one in left if one not in running]
    if running:
        write_state(read_state() | {"paused": running})
    try:
        for unit in running:
            if subprocess.run([*systemctl, "stop", unit], check=False).returncode != 0:
                raise Failed(f"{unit} does not stop: journalctl -u {unit}. Nothing was changed")
        yield
    finally:
        for unit in reversed(running):
            if subprocess.run([*systemctl, "start", unit], check=False).returncode != 0:
                print(f"tram-backup: {unit} did not start again: journalctl -u {unit}", file=sys.stderr)
        if running:
            write_state({key: value for key, value in read_state().items() if key != "paused"})


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


def make_way(folder: Path, *, like_above: bool) -> None:
    """The folders down to this one; in place each that is missing is its owner's who has the one above."""
    for one in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        one.mkdir()
        if like_above:
            above = one.parent.stat()
            os.chown(one, above.st_uid, above.st_gid)
            one.chmod(above.st_mode & 0o777)


def bring(repository: Repository, archive: str, path: str, target: Path, watch: Watch) -> str | None:
    """One path, built beside its place and renamed into it; where what stood there is now."""
    make_way(target.parent, like_above=target == Path(path))
    for old in target.parent.glob(".tram-restore-*"):  # of a restore that was killed
        shutil.rmtree(old, ignore_errors=True)
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
    """Forget what this host knows of the hub's state, and when it was there last: after the hub went back to an older
    one, or a clock that was wrong."""
    write_state({key: value for key, value in read_state().items() if key != "done"})
    for folder in (STATE / "borg/.cache", STATE / "borg/.config/borg/security"):
        shutil.rmtree(folder, ignore_errors=True)
