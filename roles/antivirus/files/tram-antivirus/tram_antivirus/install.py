"""A release into the scanner's directory: brought, proven, tried, then in place so that a power cut leaves no gap."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tram_antivirus import release as releases
from tram_antivirus import state
from tram_antivirus.release import File, Refused, Release
from tram_antivirus.settings import Failed, Settings

KEEP_FREE_BYTES = 50_000_000
Bring = Callable[[File, Path], None]


def installed(settings: Settings) -> Release | None:
    """The release on disk."""
    return _kept(settings, "release.json")


def _kept(settings: Settings, name: str) -> Release | None:
    try:
        return releases.trusted((settings.release / name).read_bytes(), settings.profile)
    except (OSError, ValueError, KeyError, TypeError, Refused):
        return None


def finish(settings: Settings) -> None:
    """Complete what a killed process or a power cut left half put in place; what cannot be is brought again."""
    following = _kept(settings, "next.json")
    if following and not _lacking(settings, following, parts=True):
        put_in_place(settings, following)
    (settings.release / "next.json").unlink(missing_ok=True)


def take(settings: Settings, release: Release, bring: Bring) -> bool:
    """Bring what is lacking of a release, try it, put it in place; says whether anything changed.

    Raises:
        Refused: too little disk, or a file is not what the release says.
        Failed: the scanner cannot read it.
    """
    lacking = _lacking(settings, release, parts=False)
    current = installed(settings)
    if not lacking and current and current.envelope == release.envelope:
        return False
    parts = settings.release / "parts"
    parts.mkdir(exist_ok=True)
    _make_room(parts, release)
    needed = 2 * sum(file.size for file in lacking) + KEEP_FREE_BYTES
    free = min(_free(settings.database), _free(parts))
    if free < needed:
        raise Refused(f"too little disk: {free} bytes are free, {needed} must be", release.serial)
    for file in lacking:
        part = parts / file.sha256
        try:
            bring(file, part)
        except Refused as error:
            raise Refused(str(error), release.serial) from error
        if not _is(part, file):
            size = part.stat().st_size if part.exists() else 0
            part.unlink(missing_ok=True)
            raise Refused(f"{file.name}: length ({size}) or SHA-256 is not what the release says", release.serial)
    _try(settings, release)
    put_in_place(settings, release)
    return True


def put_in_place(settings: Settings, release: Release) -> None:
    """Files first, release.json last; next.json says meanwhile what is being done."""
    current = installed(settings)
    state.replace(settings.release / "next.json", release.envelope)
    parts = settings.release / "parts"
    for file in release.files:
        target = settings.database / file.name
        if not _is(target, file):
            # Copied beside its place under a name the scanner passes over: parts may be on another file system.
            temporary = settings.database / f".{file.name}.new"
            with (parts / file.sha256).open("rb") as source, temporary.open("wb") as copy:
                shutil.copyfileobj(source, copy)
                copy.flush()
                os.fsync(copy.fileno())
            temporary.chmod(0o644)
            temporary.rename(target)
    named = {file.name for file in release.files}
    for file in current.files if current else ():
        if file.name not in named:
            (settings.database / file.name).unlink(missing_ok=True)
    state.sync(settings.database)
    (settings.release / "next.json").rename(settings.release / "release.json")
    state.sync(settings.release)
    shutil.rmtree(parts, ignore_errors=True)


def _lacking(settings: Settings, release: Release, *, parts: bool) -> list[File]:
    places = [settings.database / "{0.name}", *([settings.release / "parts/{0.sha256}"] if parts else [])]
    return [file for file in release.files if not any(_is(Path(str(place).format(file)), file) for place in places)]


def _is(path: Path, file: File) -> bool:
    """Whether that is at the path, byte for byte."""
    try:
        if path.stat().st_size != file.size:
            return False
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest() == file.sha256
    except OSError:
        return False


def _make_room(parts: Path, release: Release) -> None:
    """Nothing is kept of downloads nobody wants any more."""
    wanted = {file.sha256 for file in release.files}
    for path in parts.iterdir():
        if path.name not in wanted:
            path.unlink()


def _free(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def _try(settings: Settings, release: Release) -> None:
    """Have another scanner read the release and find the canary: clamd would end over signatures it cannot read."""
    with tempfile.TemporaryDirectory(prefix="tram-") as name:
        for file in release.files:
            there = settings.database / file.name
            part = settings.release / "parts" / file.sha256
            (Path(name) / file.name).symlink_to(there if _is(there, file) else part)
        try:
            found = search(Path(name), release.canary, settings.load_seconds)
        except Failed as error:
            raise Failed(f"release {release.serial} is not taken: {error}") from error
    if not found:
        raise Failed(f"release {release.serial} is not taken: the scanner reads it, but does not find its canary")


def search(database: Path, text: str, seconds: float) -> bool:
    """Whether a scanner that reads this database finds something in the text."""
    with tempfile.NamedTemporaryFile("w", prefix="tram-", encoding="utf-8", newline="") as sample:
        sample.write(text)
        sample.flush()
        command = ["clamscan", "--stdout", "--no-summary", "--infected", f"--database={database}", sample.name]
        try:
            seen = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise Failed(f"the scanner did not read it within {seconds:.0f} s") from error
        except OSError as error:
            raise Failed(f"clamscan: {error}") from error
    if seen.returncode not in (0, 1):
        said = (seen.stdout + seen.stderr).strip().splitlines()
        raise Failed(f"the scanner ends with {seen.returncode}: {said[0][:300] if said else 'it says nothing'}")
    return seen.returncode == 1
