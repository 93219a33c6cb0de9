"""One night: services write what files do not hold, what is new is sent, and monitoring is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tram_backup.repository import (
    STATE,
    Failed,
    InTheWay,
    LineGone,
    OutOfTime,
    Repository,
    Watch,
    read_state,
    write_state,
)  # fmt: skip

STAMP = "%Y%m%dT%H%M%SZ"
PAUSES = (5, 10, 20, 40, 60)
"""Seconds before the line is tried again, the last one from then on."""
NEVER = 86_400
IDLE, A_LITTLE = 20, 100_000
"""Tries of a person's, in about half an hour, that bring no more than so many bytes each: then the line is down."""


def places(settings: dict[str, Any]) -> list[Repository]:
    """Where archives go: the disk first, it is soon done.

    Raises: Failed when the disk is not there.
    """
    hub = settings["hub"]
    remote = Repository(settings, f"ssh://{hub['user']}@{hub['address']}:{hub['port']}{hub['repository']}", remote=True)
    if not settings["local"]:
        return [remote]
    disk = Path(settings["local"])
    if not disk.is_dir() or disk.stat().st_dev == Path("/").stat().st_dev:
        print(f"tram-backup: {disk} is no disk of its own (not mounted?): no local copy was made", file=sys.stderr)
        return [remote]
    return [Repository(settings, str(disk / settings["host"]), remote=False), remote]


def closes(quiet: dict[str, Any], now: datetime) -> float | None:
    """When the quiet hours that are on end; None when it is not the hour."""
    here = now + timedelta(hours=float(quiet["utc_offset_hours"]))
    since, until = (int(word[:2]) * 60 + int(word[3:]) for word in (quiet["since"], quiet["until"]))
    minute = here.hour * 60 + here.minute
    length, gone = (until - since) % 1440 or 1440, (minute - since) % 1440
    return None if gone >= length else now.timestamp() + (length - gone) * 60


def dump(service: dict[str, Any]) -> None:
    """Have a service write what files alone do not hold, whole or not at all.

    Raises: Failed.
    """
    for step in service.get("before", []):
        target = STATE / "dumps" / service["service"] / step["to"] if "to" in step else None
        with tempfile.NamedTemporaryFile(dir=STATE / "dumps", delete=False) as out:
            ran = subprocess.run(step["run"], stdout=out, stderr=subprocess.PIPE, text=True, check=False, timeout=7200)
        if ran.returncode != 0:
            Path(out.name).unlink()
            raise Failed(f"{step['run'][0]} ended with {ran.returncode}: {ran.stderr.strip()[-300:]}")
        if target is None:
            Path(out.name).unlink()
        else:
            target.parent.mkdir(mode=0o700, exist_ok=True)
            Path(out.name).replace(target)


def collect(settings: dict[str, Any]) -> tuple[dict[str, list[str]], list[str], dict[str, str]]:
    """What is to be kept by service, what is left out of it, and which services could not be made ready, and why."""
    ready: dict[str, list[str]] = {}
    excluded: list[str] = []
    problems: dict[str, str] = {}
    for service in settings["services"]:
        name = service["service"]
        try:
            dump(service)
        except (Failed, OSError, subprocess.TimeoutExpired) as error:
            problems[name] = str(error)
            continue
        missing = [path for path in service["paths"] if not Path(path).exists()]
        if missing:
            problems[name] = f"{', '.join(missing)} is not there"
            continue
        ready[name] = [*service["paths"], *(path for path in service.get("optional", []) if Path(path).exists())]
        ready[name] += [str(STATE / "dumps" / name)] if any("to" in step for step in service.get("before", [])) else []
        excluded += service.get("exclude", [])
    return ready, excluded, problems


def create(
    repository: Repository, name: str, ready: dict[str, list[str]], excluded: list[str], watch: Watch
) -> dict[str, Any]:
    """One archive; its sizes.

    Raises: LineGone, OutOfTime, Failed.
    """
    state, settings = read_state(), repository.settings
    if repository.url not in state["known"]:
        try:
            repository.borg(["init", "--encryption", "repokey-blake2"], watch=watch)
        except Failed as error:
            if "already exists" not in str(error):
                raise
        told = json.loads(repository.borg(["info", "--json"], watch=watch))
        state["known"][repository.url] = told["repository"]["id"]
        write_state(state)
    # Borg takes braces for placeholders.
    comment = json.dumps(ready).replace("{", "{{").replace("}", "}}")
    words = ["create", "--json", "--compression", "zstd,6", "--comment", comment]
    if repository.remote:
        # A checkpoint cuts the list of files where the clock wants, and a list cut elsewhere is sent anew: none for
        # a night that sends little, which costs less sent twice than the list.
        much = fresh(ready, float(state.get("done", 0))) > 2 * settings["resend_bytes"]
        words += ["--checkpoint-interval", str(settings["checkpoint_seconds"] if much else NEVER)]
    words += ["--upload-ratelimit", str(settings["rate_kib"])] if repository.remote and settings["rate_kib"] else []
    if any(one.get("linked") for one in settings["services"]):
        # Each new hard link changes a file's ctime, by which borg would read all of them again.
        words += ["--files-cache", "mtime,size"]
    for pattern in excluded:
        words += ["--exclude", pattern]
    paths = [path for found in ready.values() for path in found]
    return dict(json.loads(repository.borg([*words, f"::{name}", *paths], watch=watch))["archive"]["stats"])


def run(settings: dict[str, Any], *, now: bool) -> int:
    """One night's backup; how many services or places could not be served."""
    at = datetime.now(UTC)
    until = closes(settings["quiet"], at)
    if until is None and not now:
        raise InTheWay(
            f"it is not the hour: the line is used from {settings['quiet']['since']} on; at once: tram-backup run --now"
        )
    if at.timestamp() < (done := float(read_state().get("done", 0))) - 300:
        raise InTheWay(
            f"the clock says {at:{STAMP}}, the last backup was at {datetime.fromtimestamp(done, UTC):{STAMP}}: set the "
            "clock; was that one wrong, say tram-backup forget. Nothing was changed"
        )
    for old in (STATE / "dumps").glob("tmp*"):  # of a night that was killed
        old.unlink()
    ready, excluded, problems = collect(settings)
    name = f"{settings['host']}-{at.strftime(STAMP)}"
    last: dict[str, Any] = {"at": at.timestamp(), "archive": name, "problems": problems}
    learned: dict[str, Any] = {"last": last}
    for repository in places(settings):
        where, tries, idle, carried = "hub" if repository.remote else "disk", 0, 0, 0
        watch = Watch(
            None if now or not repository.remote else until, settings["cap_bytes"] if repository.remote else 0
        )
        while where not in last:
            try:
                stats = create(repository, name, ready, excluded, watch)
                last[where] = {"bytes_on_line": watch.bytes, "tries": tries + 1, **stats}
                if repository.remote:
                    done = time.time()
                    services = {one: {"at": done, "bytes": size(ready[one])} for one in ready}
                    learned |= {"done": at.timestamp(), "services": read_state()["services"] | services}
            except LineGone as error:
                print(f"tram-backup: the line: {error}", file=sys.stderr)
                if until and not now and time.time() > until:
                    problems[where] = "the line did not carry it in this night; the next goes on"
                    break
                idle, carried = idle + 1 if watch.bytes - carried < A_LITTLE else 0, watch.bytes
                if now and idle == IDLE:
                    problems[where] = f"{error}: the line does not carry it now; what was sent is kept"
                    break
                time.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
                tries += 1
            except (Failed, OutOfTime) as error:
                problems[where] = str(error)
                break
    # What others have written down meanwhile stays (tram-backup proven).
    write_state(read_state() | learned)
    metrics(settings, read_state())
    for one, why in problems.items():
        print(f"tram-backup: {one}: {why}", file=sys.stderr)
    print(json.dumps(last, indent=1))
    return len(problems)


def seed(settings: dict[str, Any], stick: Path) -> dict[str, Any]:
    """The first backup, on a stick that is carried to the hub; the host's next night goes on with it there.

    Raises: InTheWay, Failed.
    """
    if not stick.is_dir():
        raise InTheWay(f"{stick} is no folder: is the stick mounted? Nothing was changed")
    place = stick / settings["host"]
    if place.exists():
        raise InTheWay(f"{place} is there already: take another stick, or remove it. Nothing was changed")
    ready, excluded, problems = collect(settings)
    if problems:
        raise InTheWay("; ".join(f"{one}: {why}" for one, why in problems.items()))
    repository = Repository(settings, str(place), remote=False)
    name = f"{settings['host']}-{datetime.now(UTC).strftime(STAMP)}"
    try:
        stats = create(repository, name, ready, excluded, Watch(None, 0))
    finally:
        # Borg would take the same backup at the hub, later, for one that was moved behind its back.
        write_state(read_state() | {"known": {}})
        for known in (".cache", ".config/borg/security"):
            shutil.rmtree(STATE / "borg" / known, ignore_errors=True)
    return {"archive": name, "at": str(place), "bytes": stats["deduplicated_size"]}


def fresh(ready: dict[str, list[str]], since: float) -> int:
    """Bytes of the files that were changed since then: the most that is to be sent."""
    return sum(size(paths, since) for paths in ready.values())


def size(paths: list[str], since: float = 0) -> int:
    """Bytes of the files below paths, of those changed since then."""
    total = 0
    for top in paths:
        for folder, _, names in os.walk(top):
            for name in names:
                with suppress(OSError):
                    found = (Path(folder) / name).lstat()
                    total += found.st_size if found.st_ctime >= since else 0
    return total


def metrics(settings: dict[str, Any], state: dict[str, Any]) -> None:
    """What monitoring reads. A service that was never backed up is 0, not silence; so is a restore never proven."""
    folder = Path(settings["metrics"])
    if not folder.is_dir():
        return
    lines = [f'tram_exporter_last_success_timestamp_seconds{{exporter="backup"}} {time.time():.0f}',
             f"tram_backup_last_restore_proof_timestamp_seconds {state['proof']:.0f}"]  # fmt: skip
    for service in (one["service"] for one in settings["services"]):
        found = state["services"].get(service, {"at": 0, "bytes": 0})
        lines.append(f'tram_backup_last_success_timestamp_seconds{{service="{service}"}} {found["at"]:.0f}')
        lines.append(f'tram_backup_size_bytes{{service="{service}"}} {found["bytes"]}')
    half = folder / ".tram_backup.half"
    half.write_text("\n".join(lines) + "\n", encoding="utf-8")
    half.chmod(0o644)
    half.replace(folder / "tram_backup.prom")
