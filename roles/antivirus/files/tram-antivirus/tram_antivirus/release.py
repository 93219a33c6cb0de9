"""What a host believes of a release, and what it refuses: docs/contracts/signatures.md."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tram_antivirus.settings import Failed

MAX_BYTES = 1_000_000
FORMAT = 1
NAMESPACE = "tram-signatures"
IDENTITY = "hub"
NAME = re.compile(r"tram-[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.(hdb|hsb|ndb|ldb|yar|yara|fp|sfp|ign2)", re.ASCII)
SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Refused(Failed):
    """A release that is not taken; the host goes on with what it has."""

    def __init__(self, why: str, serial: int = 0) -> None:
        super().__init__(why)
        self.serial = serial


@dataclass(frozen=True, slots=True)
class File:
    """One file of signatures."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Release:
    """What the hub published, and signed."""

    envelope: bytes
    serial: int
    made: str
    note: str
    sweep: bool
    canary: str
    files: tuple[File, ...]
    official: dict[str, int] | None


def check(envelope: bytes, signers: Path, profile: str, installed: int) -> Release:
    """The release in release.json, as far as it concerns hosts of this profile.

    Raises:
        Refused: it is not the hub's, not newer, or not what the contract says.
    """
    if len(envelope) > MAX_BYTES:
        raise Refused(f"release.json is over {MAX_BYTES} bytes")
    try:
        outer = json.loads(envelope)
        text, signature = outer["release"], outer["signature"]
        signed = text.encode()
        if not isinstance(signature, str):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused("release.json is cut off, or is no release with a signature") from error
    claimed = _claimed(text)
    if said := _unsigned(signed, signature, signers):
        raise Refused(f"the signature on release.json is wrong: {said}", claimed)
    try:
        return _read(envelope, json.loads(text), profile, installed)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(f"the release is not as docs/contracts/signatures.md says: {error!r}", claimed) from error


def _claimed(text: str) -> int:
    """Which serial it says it is: to tell the hub what was refused, for nothing else."""
    found = re.search(r'"serial"\s*:\s*(\d{1,12})\b', text)
    return int(found[1]) if found else 0


def _unsigned(signed: bytes, signature: str, signers: Path) -> str:
    """Why the signature does not hold; empty when it does."""
    with tempfile.NamedTemporaryFile("w", prefix="tram-", suffix=".sig", encoding="utf-8") as file:
        file.write(signature)
        file.flush()
        seen = subprocess.run(
            ["ssh-keygen", "-Y", "verify", "-f", signers, "-I", IDENTITY, "-n", NAMESPACE, "-s", file.name],
            input=signed, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
    if seen.returncode == 0:
        return ""
    said = (seen.stderr or seen.stdout).decode("utf-8", "replace").strip().splitlines()
    return (said[-1] if said else "ssh-keygen said nothing")[:200]


def _read(envelope: bytes, release: Any, profile: str, installed: int) -> Release:
    if release.get("format") != FORMAT:
        raise Refused(f"format {release.get('format')!r} is unknown here (known: {FORMAT})", _int(release["serial"]))
    serial = _int(release["serial"])
    if serial < installed:
        raise Refused(f"serial {serial} is below the installed {installed}", serial)
    files = []
    for entry in release["files"]:
        name, digest, size = entry["name"], entry["sha256"], _int(entry["bytes"])
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise Refused(f"{name!r} is no plain name of a tram-* file", serial)
        if not SHA256.fullmatch(digest):
            raise Refused(f"{digest!r} is no SHA-256", serial)
        if profile in entry["profiles"]:
            files.append(File(name, digest, size))
    if len({file.name for file in files}) != len(files):
        raise Refused("a file is named twice", serial)
    canary, official = release["canary"], release["official"]
    if not isinstance(canary, str) or not 1 <= len(canary) <= 10_000:
        raise Refused("the release has no canary", serial)
    return Release(
        envelope=envelope, serial=serial, made=str(release["made"])[:40], note=str(release["note"])[:500],
        sweep=release["sweep"] is True, canary=canary, files=tuple(files),
        official=None if official is None else {str(name): _int(version) for name, version in official.items()},
    )  # fmt: skip


def _int(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise ValueError(f"{value!r} is no number")
    return value


def trusted(envelope: bytes, profile: str) -> Release:
    """The release of a file that was checked before it was written."""
    return _read(envelope, json.loads(json.loads(envelope)["release"]), profile, 0)
