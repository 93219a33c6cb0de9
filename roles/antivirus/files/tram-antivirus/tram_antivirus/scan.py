"""Search the host's files: only what changed since it was last found clean with the same signatures."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import syslog
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tram_antivirus import install, official, quarantine, state
from tram_antivirus.clamd import UNSCANNED, Clamd, Silent, Unscanned
from tram_antivirus.settings import Failed, Settings
from tram_antivirus.walk import Found, Places

FILE_SECONDS = 600
COMMIT_FILES = 500


@dataclass(slots=True)
class Tally:
    """What a scan did, as status shows it."""

    began: str
    kind: str
    ended: str | None = None
    files: int = 0
    bytes: int = 0
    unchanged: int = 0
    unscanned: int = 0
    findings: int = 0
    interrupted: bool = True
    serial: int | None = None
    found: list[dict[str, Any]] = field(default_factory=list)


def scan(settings: Settings, paths: list[str], *, kind: str) -> Tally:
    """Scan these paths; `kind` is `night` (ends with its hours, goes on the next night), `sweep`, `asked`, or
    `proof`, of which nothing is kept.

    Raises:
        Failed: the scanner does not answer, or another scan is at it.
    """
    release = install.installed(settings)
    tally = Tally(began=state.now(), kind=kind, serial=release.serial if release else None)
    until = time.monotonic() + settings.scan_hours * 3600 if kind == "night" else float("inf")
    with (
        state.lock(settings.scans / "lock", 0 if kind == "night" else 3600),
        _scanner(settings),
        closing(Memory(settings, _signatures(settings))) as memory,
    ):
        try:
            tally.interrupted = not _walk(settings, paths, memory, tally, until)
            if kind == "night" and not tally.interrupted:
                memory.whole()
        finally:
            tally.ended = state.now()
            kept = asdict(tally)
            del kept["found"]
            if kind != "proof":
                state.write(settings.scans / "scanned.json", kept)
                state.journal(syslog.LOG_NOTICE, event="scanned", **kept)
    return tally


def _walk(settings: Settings, paths: list[str], memory: Memory, tally: Tally, until: float) -> bool:
    clamd = Clamd(settings.socket, FILE_SECONDS)
    places = Places([*settings.skip_paths, str(settings.state), str(settings.database)])
    for path in paths:
        for found in places.walk(path):
            if time.monotonic() > until:
                return False
            key = memory.key(found.status)
            if memory.clean(key):
                tally.unchanged += 1
                continue
            tally.files += 1
            tally.bytes += found.status.st_size
            try:
                name = _ask(clamd, found.handle)
            except Unscanned:
                tally.unscanned += 1
                continue
            if name is None:
                memory.add(key)
            elif name.startswith(UNSCANNED):
                # Too large or locked: mail with it is refused, but nobody's archive is taken away for it.
                tally.unscanned += 1
                memory.add(key)
            else:
                tally.findings += 1
                finding = _deal(settings, found, name)
                tally.found.append(finding)
                if tally.kind != "proof":
                    keep(settings, finding)
                    state.journal(syslog.LOG_WARNING, event="found", **finding)
    return True


def _ask(clamd: Clamd, handle: int) -> str | None:
    """Ask for a verdict; a scanner that was killed over another's file is started again by its unit."""
    for pause in (5, 15, 40):
        try:
            return clamd.file(handle)
        except Silent:
            time.sleep(pause)
    return clamd.file(handle)


def _deal(settings: Settings, found: Found, name: str) -> dict[str, Any]:
    """Quarantine, or only report."""
    finding: dict[str, Any] = {
        "at": state.now(), "path": quarantine.shown(found.path), "name": name, "action": "reported", "id": None,
    }  # fmt: skip
    spared = any(found.path == place or found.path.startswith(place.rstrip("/") + "/")
                 for place in settings.report_only_paths)  # fmt: skip
    if settings.found == "quarantine" and not spared:
        try:
            finding["id"] = quarantine.put(settings.quarantine, found, name)
            finding["action"] = "quarantined"
        except Failed as error:
            finding["error"] = str(error)
    return finding


def keep(settings: Settings, finding: dict[str, Any]) -> None:
    """Add to what was found; what is reported again and again is there once. The oldest go first."""
    path = settings.scans / "findings.json"
    before = [one for one in state.read(path).get("findings", []) if not _same(one, finding)]
    state.write(path, {"findings": [*before, finding][-settings.keep_findings :]})


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one["action"] == "reported" == other["action"] and (one["path"], one["name"]) == (
        other["path"],
        other["name"],
    )


def _signatures(settings: Settings) -> str:
    """What is known clean is so for these signatures only."""
    release = install.installed(settings)
    return f"{release.serial if release else 0} {official.installed(settings.database)}"


@contextmanager
def _scanner(settings: Settings) -> Iterator[None]:
    """clamd for the time of a scan, where none stays in memory."""
    if settings.resident:
        if not Clamd(settings.socket, 60).ping():
            raise Failed("clamd does not answer; see: journalctl -u clamav-daemon")
        yield
        return
    units = ["clamav-daemon.socket", "clamav-daemon.service"]
    subprocess.run(["systemctl", "start", *units], check=False, timeout=settings.load_seconds)
    try:
        if not Clamd(settings.socket, settings.load_seconds).ping():
            raise Failed("clamd does not start; see: journalctl -u clamav-daemon")
        yield
    finally:
        subprocess.run(["systemctl", "stop", *units], check=False, timeout=120)


class Memory:
    """Which files were found clean, as 8 bytes each, for one set of signatures.

    Two files: what the last whole pass saw, and what this one saw so far. A scan that was broken off goes on there.
    """

    def __init__(self, settings: Settings, signatures: str) -> None:
        self.new, self.old = settings.scans / "clean.new", settings.scans / "clean"
        if state.read(settings.scans / "clean.json").get("signatures") != signatures:
            for path in (self.new, self.old):
                path.unlink(missing_ok=True)
            state.write(settings.scans / "clean.json", {"signatures": signatures})
        self.most = settings.remember_files
        self.database = self._open()
        self.pending = 0
        self.count: int = self.database.execute("SELECT count(*) FROM new.clean").fetchone()[0]

    def _open(self) -> sqlite3.Connection:
        try:
            return _attach(self.new, self.old)
        except sqlite3.DatabaseError:
            # Cut off by a power cut: everything is scanned once more.
            for path in (self.new, self.old):
                path.unlink(missing_ok=True)
            return _attach(self.new, self.old)

    @staticmethod
    def key(status: os.stat_result) -> int:
        """What changes whenever the file does: its place on the disk, size and times (ctime cannot be set by hand)."""
        parts = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big", signed=True)

    def clean(self, key: int) -> bool:
        """Whether a file with this key was found clean with these signatures."""
        if self.database.execute("SELECT 1 FROM new.clean WHERE key = ?", (key,)).fetchone():
            return True
        known = self.database.execute("SELECT 1 FROM old.clean WHERE key = ?", (key,)).fetchone() is not None
        if known:
            self.add(key)
        return known

    def add(self, key: int) -> None:
        """Remember a clean file, as long as there is room."""
        if self.count >= self.most:
            return
        self.count += self.database.execute("INSERT OR IGNORE INTO new.clean VALUES (?)", (key,)).rowcount
        self.pending += 1
        if self.pending >= COMMIT_FILES:
            self.database.commit()
            self.pending = 0

    def whole(self) -> None:
        """A pass saw everything: what it did not see is gone."""
        self.close()
        self.new.replace(self.old)
        self.database = self._open()

    def close(self) -> None:
        """Put it on the disk."""
        with suppress(sqlite3.Error):
            self.database.commit()
        self.database.close()


def _attach(new: Path, old: Path) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:")
    for schema, path in (("new", new), ("old", old)):
        database.execute(f"ATTACH ? AS {schema}", (str(path),))
        # A cut costs a scan, not a sync for each file.
        database.execute(f"PRAGMA {schema}.synchronous = NORMAL")
        database.execute(f"PRAGMA {schema}.cache_size = -2000")
        database.execute(f"CREATE TABLE IF NOT EXISTS {schema}.clean (key INTEGER PRIMARY KEY)")
    database.commit()
    return database
