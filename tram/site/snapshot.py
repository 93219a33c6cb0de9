"""How a host was before a change: every guarded file with its content, mode and owner, packages, units, firewall rules.

The files go to a store of their own by their digest, so that the second snapshot costs a walk and no copies. Why not
git: docs/adr/0011.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tram.core.run import run
from tram.site import clock, durable
from tram.site.addresses import addresses
from tram.site.guarded import LEFT_ALONE, ROOTS
from tram.site.kernel_values import kernel_values
from tram.site.limits import SNAPSHOT_FILE_BYTES
from tram.site.place import Config, Place

_MANY = 40
_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One name: kind (file, directory, link), permission bits, owner, group, content (a file's digest, a link's target,
    "" for a directory), and what stat said, by which an unchanged file is known without reading it."""

    kind: str
    mode: int
    uid: int
    gid: int
    content: str
    stat: tuple[int, ...]

    def same(self, other: Entry | None) -> bool:
        """Whether both mean the same to whoever reads the file."""
        if other is None or self.kind != other.kind or (self.uid, self.gid) != (other.uid, other.gid):
            return False
        return self.content == other.content and (self.kind == "link" or self.mode == other.mode)


@dataclass(slots=True)
class Snapshot:
    """A host at one moment. `packages`: "name version"; `active`: units that run; `units`: unit files that packages
    brought; `ruleset`: the kernel's nftables rules as text, None when there is no `nft`; `skipped`: too large;
    `starts`: for each service that runs, the name systemd gave to this run of it, good within `boot`; `addresses`: the
    kernel's own, with its routes; `values`: its settings."""

    files: dict[str, Entry]
    packages: list[str] = field(default_factory=list)
    active: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    ruleset: str | None = None
    skipped: list[str] = field(default_factory=list)
    starts: dict[str, str] = field(default_factory=dict)
    boot: str = ""
    addresses: list[str] | None = None
    values: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Any) -> Snapshot:
        """The snapshot that `document()` wrote."""
        files = {path: Entry(a, b, c, d, e, tuple(f)) for path, (a, b, c, d, e, f) in document["files"].items()}
        found = cls(files, *(document[name] for name in ("packages", "active", "units", "ruleset", "skipped")))
        found.starts, found.boot = document.get("starts", {}), document.get("boot", "")
        found.addresses, found.values = document.get("addresses"), document.get("values", {})
        return found

    def document(self) -> dict[str, Any]:
        """The snapshot as JSON can hold it."""
        files = {p: [e.kind, e.mode, e.uid, e.gid, e.content, e.stat] for p, e in self.files.items()}
        return {**{name: value for name, value in asdict(self).items() if name != "files"}, "files": files}


def take(place: Place, config: Config) -> tuple[Snapshot, bool]:
    """Record the host as it is; on the disk when this returns. Also whether it differs from the snapshot before."""
    last = durable.read_json(place.snapshots / "last.json")
    known = Snapshot.of(last).files if last else {}
    found = look(place, config, keep=True)
    durable.write_json(place.snapshots / "last.json", found.document())
    moved = found.files.keys() != known.keys() or not all(entry.same(known[p]) for p, entry in found.files.items())
    return found, moved


def look(place: Place, config: Config, *, keep: bool = False) -> Snapshot:
    """The host as it is now. `keep`: also the content of files, so that it can be brought back."""
    last = durable.read_json(place.snapshots / "last.json")
    known = Snapshot.of(last).files if last else {}
    files: dict[str, Entry] = {}
    skipped: list[str] = []
    copied: list[Path] = []
    for path, full in _walk(config.system):
        try:
            info = full.lstat()
            if stat.S_ISREG(info.st_mode) and info.st_size > SNAPSHOT_FILE_BYTES:
                skipped.append(path)
            elif (kind := _KINDS.get(stat.S_IFMT(info.st_mode))) is not None:
                files[path] = _entry(place, full, kind, info, known=known.get(path), copied=copied if keep else None)
        except FileNotFoundError:
            continue  # gone while we looked
    _settle(copied)
    found = Snapshot(files, skipped=skipped)
    if config.system == Path("/"):
        found.packages = _lines(["dpkg-query", "-W", "-f", "${Package} ${Version}\\n"])
        found.active = active_units()
        found.units = sorted({path.name for path in Path("/usr/lib/systemd/system").glob("*.[st]*")})
        found.ruleset = ruleset()
        found.starts, found.boot = _starts(found.active), clock.boot()
        found.addresses, found.values = addresses(), kernel_values()
    return found


def _entry(
    place: Place, full: Path, kind: str, info: os.stat_result, *, known: Entry | None, copied: list[Path] | None
) -> Entry:
    """One name as it is. Its content is copied too if it was not before, and noted in `copied`, unless that is None."""
    signature = (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)
    found = ""
    if kind == "link":
        found = str(full.readlink())
    elif kind == "file":
        found = known.content if known and known.kind == "file" and known.stat == signature else ""
        if not found or (copied is not None and not _kept(place, found).exists()):
            data = full.read_bytes()
            found = hashlib.sha256(data).hexdigest()
            if copied is not None and not (kept := _kept(place, found)).exists():
                _copy(data, kept)
                copied.append(kept)
    return Entry(kind, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, found, signature)


def content(place: Place, entry: Entry) -> bytes:
    """What a file held.

    Raises: OSError when the copy is gone, ValueError when it is not what it was.
    """
    found = _kept(place, entry.content).read_bytes()
    if hashlib.sha256(found).hexdigest() != entry.content:
        raise ValueError(f"the copy {entry.content} is damaged")
    return found


def active_units() -> list[str]:
    """Services and sockets that run now, timers that wait."""
    argv = [
        "systemctl",
        "list-units",
        "--type=service,socket,timer",
        "--state=active",
        "--plain",
        "--no-legend",
        "--full",
    ]
    return sorted(line.split()[0] for line in _lines(argv) if line.split())


def _starts(units: list[str]) -> dict[str, str]:
    """The invocation of each of these that is a service. Source: systemd.exec(5), $INVOCATION_ID."""
    services = [unit for unit in units if unit.endswith(".service")]
    values = _lines(["systemctl", "show", "--property=InvocationID", "--value", "--", *services]) if services else []
    found = [value for value in values if value]  # blank lines stand between units
    return dict(zip(services, found, strict=True)) if len(found) == len(services) else {}


def ruleset() -> str | None:
    """The kernel's rules, whoever put them there."""
    if shutil.which("nft") is None:
        return None
    ran = run(["nft", "--stateless", "list", "ruleset"], check=False)
    return ran.stdout if ran.code == 0 else None


def sweep(place: Place, used: set[str]) -> None:
    """Remove copies that no snapshot uses."""
    for path in place.snapshots.glob("??/*"):
        if path.name not in used:
            path.unlink(missing_ok=True)


def _walk(system: Path) -> Iterator[tuple[str, Path]]:
    """Every guarded name, parents first, as its path below the root."""
    for pattern in ROOTS:
        for root in sorted(system.glob(pattern)):
            yield from _below(root, root.relative_to(system).as_posix())


def _below(full: Path, path: str) -> Iterator[tuple[str, Path]]:
    yield path, full
    if full.is_symlink() or not full.is_dir():
        return
    try:
        with os.scandir(full) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError:
        return
    for name in names:
        below = f"{path}/{name}"
        if f"{below}/*" not in LEFT_ALONE and not any(fnmatchcase(below, pattern) for pattern in LEFT_ALONE):
            yield from _below(full / name, below)


def _kept(place: Place, digest: str) -> Path:
    return place.snapshots / digest[:2] / digest


def _copy(data: bytes, target: Path) -> None:
    target.parent.mkdir(mode=0o700, exist_ok=True)
    new = target.with_name(f".{target.name}.{os.getpid()}.new")
    new.write_bytes(data)
    new.replace(target)


def _settle(copied: list[Path]) -> None:
    """Bring copies to the disk: a snapshot that a power cut empties is none. Many are one wait for the whole disk."""
    if len(copied) > _MANY:
        os.sync()
        return
    for path in copied:
        with path.open("rb") as file:
            os.fsync(file.fileno())
    for directory in {path.parent for path in copied}:
        durable.sync_directory(directory)


def _lines(argv: list[str]) -> list[str]:
    ran = run(argv, check=False, timeout=timedelta(minutes=2))
    return ran.stdout.splitlines() if ran.code == 0 else []
