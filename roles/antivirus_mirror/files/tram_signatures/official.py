"""ClamAV's own sets at the hub: only what ClamAV signed, never older than what is there, tried before it is served.

A .cld (a set patched on the spot) bears no signature and is not taken. Differences (.cdiff) are taken when they lead
from the set that is here to the new one, each by ClamAV's signature: then a site fetches kilobytes, not the whole set.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import shelf
from .place import Place
from .trial import bounded
from .words import Refused, both

CDIFFS_KEPT = 60
CDIFF_MAX_BYTES = 50_000_000


@dataclass(slots=True)
class Taken:
    """What became of an import: one line a set."""

    good: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)


def header(path: Path) -> dict[str, str]:
    """The first 512 bytes of a set: ClamAV-VDB:when:version:signatures:level:md5:dsig:builder:seconds.

    Raises: ValueError, OSError.
    """
    with path.open("rb") as file:
        fields = file.read(512).decode("ascii", errors="replace").strip().split(":")
    if len(fields) < 8 or fields[0] != "ClamAV-VDB" or not fields[2].isdigit():
        raise ValueError(f"{path.name}: no set of ClamAV's")
    return {"version": fields[2], "signatures": fields[3], "level": fields[4], "seconds": fields[-1]}


def versions(place: Place) -> dict[str, int]:
    """Versions of the sets that are served."""
    found = {}
    for name in place.official_sets:
        try:
            found[name] = int(header(place.clamav / f"{name}.cvd")["version"])
        except (OSError, ValueError):
            continue
    return found


def built(place: Place) -> int:
    """When the newest set was built, as ClamAV says it; seconds since the epoch."""
    seconds = [header(place.clamav / f"{name}.cvd")["seconds"] for name in versions(place)]
    return max((int(text) for text in seconds if text.isdigit()), default=0)


def record(place: Place) -> str:
    """ClamAV's own record for freshclam: engine, main, daily, when, warn, level, safebrowsing, bytecode."""
    sets = versions(place)
    main, daily, bytecode = (sets.get(name, 0) for name in ("main", "daily", "bytecode"))
    return f"0.0.0:{main}:{daily}:{built(place)}:0:90:0:{bytecode}"


def take(place: Place, source: Path) -> Taken:
    """Import sets and differences from a directory, e.g. a stick. Call it `alone`.

    Raises: Refused, when there is none in it.
    """
    if (source / "clamav").is_dir():
        source = source / "clamav"
    taken = Taken()
    incoming = place.clamav / ".incoming"
    for name in place.official_sets:
        if not (source / f"{name}.cvd").is_file():
            if (source / f"{name}.cld").is_file():
                said = both(
                    "đã vá tại chỗ, không còn chữ ký của ClamAV; hãy mang .cvd", "not signed any more: bring .cvd"
                )
                taken.bad.append(f"{name}.cld: {said}")
            continue
        shutil.rmtree(incoming, ignore_errors=True)
        try:
            incoming.mkdir(parents=True)
            taken.good.append(_take_one(place, source, incoming, name))
        except (Refused, OSError) as error:
            taken.bad.append(f"{name}.cvd: {error}")
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
    if not taken.good and not taken.bad:
        looked = ", ".join(f"{name}.cvd" for name in place.official_sets)
        raise Refused(f"{source}: không có bộ nào ({looked})", "there is no set of ClamAV's in it")
    return taken


def _take_one(place: Place, source: Path, incoming: Path, name: str) -> str:
    given = source / f"{name}.cvd"
    try:
        new = int(header(given)["version"])
    except ValueError as error:
        raise Refused("không phải bộ chữ ký của ClamAV", "no set of ClamAV's") from error
    here = versions(place).get(name, 0)
    if new < here:
        raise Refused(f"bản {new} cũ hơn bản {here} đang có", f"version {new} is older than {here}, which is here")
    if new == here:
        return both(f"{name} {new}: đã có", f"{name} {new}: is here already")
    _room(place, 2 * given.stat().st_size)
    copy = incoming / given.name
    shutil.copyfile(given, copy)
    if "Verification OK." not in _run(place, ["sigtool", f"--info={copy}"], incoming):
        raise Refused("không mang chữ ký đúng của ClamAV", "it is not signed by ClamAV")
    unpacked = _unpacked(place, copy, incoming / "new")
    if not (unpacked / f"{name}.info").exists():
        raise Refused(f"nội dung không phải bộ {name}", f"what is in it is not {name}")
    shutil.rmtree(unpacked)
    chain = list(_chain(place, source, incoming, name, (here, new)))
    (incoming / "clean").write_text("công văn\n", encoding="utf-8")
    _run(place, ["clamscan", "--no-summary", f"--database={copy}", str(incoming / "clean")], incoming)
    for path in chain:
        _put(path, place.clamav / path.name)
    _put(copy, place.clamav / copy.name)
    _forget(place, name)
    return both(f"{name} {here or '-'} → {new}: đã nhận", "taken") + f" ({len(chain)} cdiff)"


def _chain(place: Place, source: Path, incoming: Path, name: str, between: tuple[int, int]) -> Iterator[Path]:
    """Differences that lead from the set here to the new one; none, when one is missing or is not ClamAV's."""
    here, new = between
    wanted = [source / f"{name}-{version}.cdiff" for version in range(here + 1, new + 1)]
    if not here or not all(path.is_file() and path.stat().st_size <= CDIFF_MAX_BYTES for path in wanted):
        return
    unpacked = _unpacked(place, place.clamav / f"{name}.cvd", incoming / "old")
    copies = []
    for path in wanted:
        copies.append(Path(shutil.copyfile(path, incoming / path.name)))
        try:
            _run(place, ["sigtool", f"--run-cdiff={copies[-1]}"], unpacked)
        except Refused:
            return
    yield from copies


def _unpacked(place: Place, cvd: Path, where: Path) -> Path:
    where.mkdir()
    _run(place, ["sigtool", f"--unpack={cvd}"], where)
    return where


def _run(place: Place, command: list[str], where: Path) -> str:
    """Run a tool of ClamAV's, bounded as a whole set needs it.

    Raises: Refused.
    """
    try:
        done = subprocess.run(
            [*bounded(place.official_memory_bytes, place.official_seconds), *command],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd=where,
            timeout=place.official_seconds + 30,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"{command[0]}: {error}", "it could not be tried") from error
    if done.returncode != 0:
        said = [line for line in (done.stderr + done.stdout).splitlines() if "error" in line.lower()]
        told = said[-1].partition(": ")[2] if said else f"{command[0]}: {done.returncode}"
        raise Refused(f"ClamAV không nhận: {told}", "ClamAV does not accept it")
    return done.stdout + done.stderr


def _put(source: Path, target: Path) -> None:
    source.chmod(0o644)
    with source.open("rb") as file:
        os.fsync(file.fileno())
    source.rename(target)
    shelf.sync(target.parent)


def _forget(place: Place, name: str) -> None:
    """Leave the newest differences; a host that is further behind takes the whole set."""

    def version(path: Path) -> int:
        text = path.stem.removeprefix(f"{name}-")
        return int(text) if text.isdigit() else 0

    for path in sorted(place.clamav.glob(f"{name}-*.cdiff"), key=version)[:-CDIFFS_KEPT]:
        path.unlink(missing_ok=True)


def _room(place: Place, needed: int) -> None:
    disk = os.statvfs(place.clamav)
    if (free := disk.f_bavail * disk.f_frsize) < place.keep_free_bytes + needed:
        raise Refused(f"đĩa chỉ còn {free} byte trống", f"only {free} bytes of disk are free, {needed} more are needed")


def fetch(place: Place) -> Path:
    """Have freshclam fetch whole, signed sets; then the differences to them, where they are to be had. Returns where.

    Raises: Refused, with freshclam's reason.
    """
    if not place.fetch_from:
        raise Refused(
            "chưa đặt nơi tải (antivirus_mirror_fetch_from); dùng: tram-signatures official THƯ-MỤC",
            "there is nowhere to fetch from (antivirus_mirror_fetch_from); use: tram-signatures official DIR",
        )
    fetched = place.state / "fetched"
    fetched.mkdir(mode=0o755, exist_ok=True)
    shutil.chown(fetched, "clamav", "clamav")
    config = place.work / "freshclam.conf"
    settings = ["DatabaseOwner clamav", f"DatabaseDirectory {fetched}", f"DatabaseMirror {place.fetch_from}"]
    settings += ["ScriptedUpdates no", "TestDatabases no", "MaxAttempts 3", "ConnectTimeout 30"]
    config.write_text("\n".join(settings) + "\n", encoding="utf-8")
    try:
        done = subprocess.run(
            ["nice", "-n", "10", "freshclam", "--stdout", f"--config-file={config}"],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=place.fetch_seconds,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Refused(f"freshclam: {error}", "nothing was fetched") from error
    if done.returncode != 0:
        said = [
            line for line in done.stdout.splitlines() + done.stderr.splitlines() if "ERROR" in line or "WARNING" in line
        ]
        told = said[0].partition(": ")[2] if said else f"freshclam: {done.returncode}"
        raise Refused(f"không tải được từ {place.fetch_from}: {told}", "nothing was fetched; what is here stays")
    for name, here in versions(place).items():
        for version in range(here + 1, int(header(fetched / f"{name}.cvd")["version"]) + 1):
            if not _difference(place, fetched / f"{name}-{version}.cdiff"):
                break
    return fetched


def _difference(place: Place, target: Path) -> bool:
    """Fetch a difference; whether it is ClamAV's is found out when it is taken."""
    request = urllib.request.Request(
        f"https://{place.fetch_from}/{target.name}", headers={"User-Agent": "tram-signatures (ClamAV mirror)"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  (https only)
            target.write_bytes(answer.read(CDIFF_MAX_BYTES + 1))
    except (OSError, urllib.error.URLError, ValueError):
        return False
    return True
