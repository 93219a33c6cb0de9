"""The way of a release: sources → files → tried → signed → on the shelf → on the mirror → announced.

The directory on the shelf is the moment it counts. A run killed before that leaves nothing; killed after it, the next
run of any kind carries it to the end (`settle`).
"""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import announcement, seal, shelf
from .compiled import CANARY, compiled
from .entry import Entry, parsed, written
from .official import record, versions
from .place import Place
from .shelf import ENVELOPE, Release
from .trial import Sample, tried
from .words import Refused, both

NOTHING: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What a command came to."""

    release: Release
    new: bool
    """Whether it was published by this command."""
    not_announced: str = ""


@contextmanager
def alone(place: Place, within: float = 300) -> Iterator[None]:
    """One at a time: who comes second waits. Also clears what a run that died has left.

    Raises: Refused.
    """
    place.state.mkdir(mode=0o711, parents=True, exist_ok=True)
    with (place.state / "lock").open("a", encoding="ascii") as lock:
        deadline = time.monotonic() + within
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Refused(
                        f"một lệnh tram-signatures khác đang chạy đã {within:.0f} giây",
                        f"another tram-signatures has been at work for {within:.0f} seconds",
                    ) from None
                time.sleep(0.2)
        shutil.rmtree(place.work, ignore_errors=True)
        place.work.mkdir(mode=0o700)
        try:
            yield
        finally:
            shutil.rmtree(place.work, ignore_errors=True)


def entries_now(place: Place) -> list[Entry]:
    """What the sources say.

    Raises: Refused.
    """
    try:
        return parsed(place.sources.read_text(encoding="utf-8"), place.sources)
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{place.sources}: {error}", "the sources cannot be read") from error


def publish(
    place: Place,
    change: Callable[[list[Entry]], list[Entry]] = lambda entries: entries,
    *,
    note: str = "",
    sweep: bool = False,
    samples: tuple[Sample, ...] = NOTHING,
    dry: bool = False,
    again: bool = False,
) -> Result | None:
    """Publish what the sources say after `change`; when that is what is published already, only see to it that it is.

    `dry` goes as far as the trial and returns None. Call it `alone`.

    Raises: Refused, and then everything is as it was.
    """
    settle(place)
    entries = change(entries_now(place))
    last = newest(place)
    serial = next_serial(max(last.serial if last else 0, published_serial(place)))
    canary = f"tram-canary-{secrets.token_hex(16)}"
    files = compiled(entries, serial, canary)
    official = versions(place)
    named = [{"name": f.name, "sha256": f.sha256, "bytes": len(f.content), "profiles": list(f.profiles)} for f in files]
    text = json.dumps(
        {
            "format": 1,
            "serial": serial,
            "made": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "note": note,
            "sweep": sweep,
            "canary": canary,
            "files": named,
            "official": official or None,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )
    made = Release(place.work, text, "")
    if last and not (again or sweep) and (made.same, official or None) == (last.same, last.told.get("official")):
        if not dry and written(entries) != _text(place.sources):
            _write_sources(place, written(entries))
        return None if dry else Result(last, False, announce(place))
    _room(place, sum(len(file.content) for file in files))
    tried(place, files, serial, canary, samples)
    if dry:
        return None
    shelf.put(place.releases, place.work, written(entries), files, (text, seal.sign(place.key, text)))
    return settle(place) or Result(newest(place) or made, True)


def settle(place: Place) -> Result | None:
    """Carry the newest release to its end: sources, mirror, DNS. Returns None when there is nothing to do."""
    last = newest(place)
    if last is None or not unsettled(place, last):
        return None
    try:
        if last.serial > published_serial(place):
            _write_sources(place, last.entries())
        files = place.published / "files"
        files.mkdir(parents=True, exist_ok=True)
        for file in last.told["files"]:
            target = files / file["sha256"]
            if not target.exists() or target.stat().st_size != file["bytes"]:
                shelf.replace(target, last.file(file["name"]))
        shelf.replace(place.published / ENVELOPE, shelf.envelope(last.text, last.signature).encode())
    except OSError as error:
        raise Refused(
            f"bản {last.serial} đã ký nhưng chưa đưa ra được ({error}); lần chạy sau sẽ làm tiếp",
            f"release {last.serial} is signed but could not be put out; the next run goes on",
        ) from error
    shelf.prune(place.releases, place.keep_releases)
    _sweep_up(place)
    return Result(last, True, announce(place))


def unsettled(place: Place, last: Release) -> bool:
    """Whether the mirror lacks any of the newest release."""
    published = published_serial(place)
    if published != last.serial:
        return last.serial > published
    sizes = {path.name: path.stat().st_size for path in (place.published / "files").glob("*")}
    return any(sizes.get(file["sha256"]) != file["bytes"] for file in last.told["files"])


def rolled_back(place: Place, serial: int | None) -> Result:
    """Publish an earlier release's content under a new number.

    Raises: Refused.
    """
    settle(place)
    kept = shelf.releases(place.releases)
    others = [release for release in kept[:-1] if release.same != kept[-1].same]
    if serial:
        others = [release for release in kept if release.serial == serial]
    chosen = others[-1] if others else None
    if chosen is None:
        there = ", ".join(str(release.serial) for release in kept) or "-"
        raise Refused(
            f"không còn bản nào như thế để quay lại; còn: {there}", f"there is no such release; kept: {there}"
        )
    before = parsed(chosen.entries(), chosen.directory / shelf.ENTRIES)
    note = both(f"quay lại bản {chosen.serial}", f"back to {chosen.serial}")
    result = publish(place, lambda _: before, note=note)
    assert result is not None
    return result


def announce(place: Place) -> str:
    """See to it that DNS says what is published; return why it does not, or nothing."""
    serial = published_serial(place)
    wanted = {"release": f"v=1 serial={serial}"} if serial else {}
    if versions(place):
        wanted["current"] = record(place)
    wrong = ""
    for name, text in wanted.items():
        if announcement.announced(place.domain, name) != text:
            wrong = announcement.announce(place.domain, name, text) or wrong
    return wrong


def status(place: Place) -> dict[str, Any]:
    """How it stands, for programs. `due`: the next `publish` or `announce` has something to do."""
    last = newest(place)
    serial = published_serial(place)
    try:
        entries = entries_now(place)
        wrong = ""
    except Refused as error:
        entries, wrong = [], str(error)
    named = [(file.name, file.sha256) for file in compiled(entries, 0, "") if file.name != CANARY]
    official = versions(place) or None
    current = last and not unsettled(place, last) and (last.same, last.told["official"]) == (named, official)
    heard = announcement.announced(place.domain, "release")
    return {
        "serial": serial,
        "due": not wrong and (not current or heard != f"v=1 serial={serial}"),
        "announced": heard,
        "entries": len(entries),
        "wrong": wrong,
        "official": official,
        "public": seal.public_half(place.key),
    }


def newest(place: Place) -> Release | None:
    """The newest release on the shelf."""
    kept = shelf.releases(place.releases)
    return kept[-1] if kept else None


def published_serial(place: Place) -> int:
    """What the mirror serves; 0 when it serves nothing."""
    try:
        return int(json.loads(shelf.opened(place.published / ENVELOPE)[0])["serial"])
    except (OSError, ValueError, KeyError):
        return 0


def next_serial(last: int) -> int:
    """Day and quarter of an hour, or one more than the last: a hub built anew goes on above any number it had."""
    now = datetime.datetime.now(datetime.UTC)
    return max(int(now.strftime("%Y%m%d")) * 100 + now.hour * 4 + now.minute // 15, last + 1)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _write_sources(place: Place, text: str) -> None:
    if _text(place.sources) != text:
        place.sources.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shelf.replace(place.sources, text.encode(), 0o600)


def _room(place: Place, needed: int) -> None:
    for path in (place.state, place.published):
        while not path.exists():
            path = path.parent  # noqa: PLW2901
        disk = os.statvfs(path)
        free = disk.f_bavail * disk.f_frsize
        if free < place.keep_free_bytes + 3 * needed:
            raise Refused(
                f"đĩa chỉ còn {free} byte trống ở {path}, cần {place.keep_free_bytes + 3 * needed}",
                f"only {free} bytes are free at {path}",
            )


def _sweep_up(place: Place) -> None:
    """Take files off the mirror that no kept release names; a host may be fetching one of the last but one."""
    named = {file["sha256"] for release in shelf.releases(place.releases) for file in release.told["files"]}
    for path in (place.published / "files").iterdir():
        if path.name not in named:
            path.unlink(missing_ok=True)
