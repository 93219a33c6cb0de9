"""Initial passwords: made here, told to the directory and to a slip of paper, and to nothing else.

A batch is one agency's slips. Its list of codes is on the disk before the first password is set, and goes when the PDF
is whole: whatever kills a run in between, the next one gives those people new passwords and prints them again. The
passwords themselves are on no disk but in the PDF, which only its owner can read.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tram.accounts import ldif
from tram.accounts.directory import Door, Entry, State, refused
from tram.core.errors import BadInput
from tram.core.files import write_whole

_SIGNS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without what is mistaken for another on paper: i, l, o, 0, 1."""

GROUPS, LENGTH = 4, 4
"""31 signs, 16 of them: 79 bits."""


@dataclass(frozen=True, slots=True)
class Slip:
    """What one person is told."""

    entry: Entry
    agency: str
    password: str

    def __repr__(self) -> str:
        return f"Slip({self.entry.mail!r})"  # never the password, in no traceback either


@dataclass(frozen=True, slots=True)
class Desk:
    """Where slips are made: `memory` holds the batches that are not finished, `folder` gets the PDFs, `draw` makes one
    of an agency's name and its slips."""

    memory: Path
    folder: Path
    draw: Callable[[str, Sequence[Slip]], bytes]


@dataclass(frozen=True, slots=True)
class Batch:
    """The slips of one agency: whose, and the file."""

    agency: str
    codes: tuple[str, ...]
    file: Path


def new_password() -> str:
    """A random one that can be read out and typed: four groups of four."""
    return "-".join("".join(secrets.choice(_SIGNS) for _ in range(LENGTH)) for _ in range(GROUPS))


def due(state: State, agencies: Sequence[str], again: Sequence[str], memory: Path) -> dict[str, list[Entry]]:
    """Who is to get a slip, by agency: who has no password yet, who is named in `again`, whose batch was not finished.

    Raises: BadInput for a code in `again` that is nobody's, or of one who has left.
    """
    known = {entry.code: entry for entry in state.people}
    for code in again:
        if code not in known or known[code].state == "disabled":
            why = "has left" if code in known else "is no employee code in the directory"
            raise BadInput(f"{code}: {why}", hint="see: tram accounts plan ROSTER")
    unfinished = {code for path in _open_batches(memory) for code in json.loads(path.read_text())["codes"]}
    found: dict[str, list[Entry]] = {}
    for entry in state.people:
        lost = entry.code in unfinished and entry.own_password is None
        wanted = entry.agency in agencies and (not entry.issued or lost)
        if entry.state != "disabled" and entry.code and (wanted or entry.code in again):
            found.setdefault(entry.agency, []).append(entry)
    return found


def issue(door: Door, agency: tuple[str, str], people: Sequence[Entry], desk: Desk, now: datetime) -> Batch:
    """Give these people of one agency (its code and name) new passwords and draw their slips.

    Raises: DirectoryFailed; what the door raises when the hub is not reached; BadInput when a folder cannot be written.
    """
    code, name = agency
    batch = Batch(code, tuple(entry.code for entry in people), desk.folder / f"{code}-{now:%Y%m%dT%H%M%SZ}.pdf")
    try:
        for folder in (desk.memory, desk.folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        told = {"codes": batch.codes, "file": str(batch.file.absolute())}
        write_whole(desk.memory / f"{batch.file.stem}.open", json.dumps(told).encode(), mode=0o600)
        slips = [Slip(entry, name, new_password()) for entry in people]
        said = door.change("".join(_record(slip) for slip in slips))
        if said.code != 0:
            raise refused(door, said, "passwords")
        write_whole(batch.file, desk.draw(name, slips), mode=0o600)
        _close(desk.memory, set(batch.codes), keep=told["file"])
    except OSError as error:
        hint = "name another folder: --to"
        raise BadInput(f"{desk.folder}: cannot hold the slips: {error.strerror}", hint=hint) from error
    return batch


def _record(slip: Slip) -> str:
    """In clear: the directory checks it by its policy and hashes it. See docs/contracts/directory.md, Passwords."""
    return ldif.modify(slip.entry.dn, {"userPassword": slip.password, "pwdReset": "TRUE"})


def _open_batches(memory: Path) -> list[Path]:
    return sorted(memory.glob("*.open"))


def _close(memory: Path, codes: set[str], *, keep: object) -> None:
    """Batches all of whose people have newer slips are over; what they printed is void and goes."""
    for path in _open_batches(memory):
        told = json.loads(path.read_text())
        left = set(told["codes"]) - codes
        if left:
            write_whole(path, json.dumps(told | {"codes": sorted(left)}).encode(), mode=0o600)
            continue
        if told["file"] != keep:
            Path(told["file"]).unlink(missing_ok=True)
        path.unlink()
