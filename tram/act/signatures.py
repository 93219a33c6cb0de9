"""Have the hub publish a signature, and ask it who has it in effect. The hub's own program does the work."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tram.act.outcome import StepFailed
from tram.act.session import Session
from tram.core.errors import BadInput

PROGRAM = "tram-signatures"

TESTED = timedelta(minutes=5)
"""How long the hub may load and test a release, official sets and all, before it must have said something."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,63}")
_HASHES = {32: "--md5", 64: "--sha256"}


@dataclass(frozen=True, slots=True)
class Sample:
    """What is to be found: the option of the hub's program, its value, what the program reads, and the file's size in
    bytes where a hash needs it."""

    option: str
    value: str
    stdin: str = ""
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a host has told the hub: the highest release it has in effect, or could not take; `state` is active,
    refused or failed."""

    serial: int
    state: str
    at: datetime


def by_hash(text: str, size: int | None) -> Sample:
    """A sample known by its SHA-256, or by its MD5 and size.

    Raises: BadInput.
    """
    value = text.strip().lower()
    option = _HASHES.get(len(value), "")
    if not option or not re.fullmatch(r"[0-9a-f]+", value):
        raise BadInput(
            f"{text}: is neither a file here nor a SHA-256 (64 letters 0-9 a-f) nor an MD5 (32)",
            hint="check the path, or copy the hash again: sha256sum FILE prints it",
        )
    if option == "--md5" and size is None:
        raise BadInput(f"{text}: an MD5 needs the file's size", hint="add --size BYTES, or give the SHA-256")
    return Sample(option, value, size=size)


def checked_name(name: str) -> str:
    """The name as signatures may have it.

    Raises: BadInput.
    """
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"{name}: cannot name a signature", hint="3 to 64 letters, digits and . _ -, e.g. Tinh.Trojan.CongVan-2026"
        )
    return name


def publish(session: Session, sample: Sample, name: str, *, note: str = "", sweep: bool = True) -> int:
    """The serial of the release that has the signature. Publishing what is published already is no error.

    Raises: StepFailed with the hub's reason when it refused; NotReached.
    """
    words = ["add", sample.option, sample.value, "--name", name, "--json"]
    words += ["--size", str(sample.size)] if sample.size is not None else []
    words += ["--note", note] if note else []
    words += ["--sweep"] if sweep else []
    return int(_run(session, words, sample.stdin)["serial"])


def seen(session: Session, serial: int) -> dict[str, Seen]:
    """What each host (by its full name) has told the hub of this release or a later one.

    Raises: StepFailed, NotReached.
    """
    said = _run(session, ["seen", "--serial", str(serial), "--json"])
    return {
        host: Seen(int(one["serial"]), str(one["state"]), datetime.fromisoformat(one["at"]))
        for host, one in said["hosts"].items()
    }


def _run(session: Session, words: Sequence[str], stdin: str = "") -> dict[str, Any]:
    answer = session.run(shlex.join(["sudo", "-n", PROGRAM, *words]), stdin=stdin, within=TESTED)
    if answer.code != 0:
        raise _refused(session.target.name, answer.code, answer.stderr.strip() or answer.stdout.strip())
    try:
        said: dict[str, Any] = json.loads(answer.stdout)
    except ValueError as error:
        raise StepFailed(
            f"{session.target.name}: {PROGRAM} {words[0]} answered with something else than JSON",
            hint="the hub runs another version: run playbooks/antivirus.yml",
        ) from error
    return said


def _refused(host: str, code: int, said: str) -> StepFailed:
    if code == 127 or "command not found" in said:
        return StepFailed(
            f"{host}: has no {PROGRAM}",
            hint="give it the function antivirus_mirror in the register and run playbooks/antivirus.yml",
        )
    last = said.splitlines()[-1].removeprefix(f"{PROGRAM}: ") if said else f"exit {code}"
    return StepFailed(f"{host}: {last}", hint="nothing was published")
