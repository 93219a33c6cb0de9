"""Cases of bad registers: tests/errors/register/*.yml, each a change to the good register and the errors it owes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

CASES = Path(__file__).parents[2] / "errors" / "register"
GOOD = CASES / "good"


@dataclass(frozen=True, slots=True)
class Case:
    """`write` replaces whole files, `edit` replaces text inside, `remove` and `move` are of files, `raw` is in hex."""

    says: str
    owes: list[str]
    write: dict[str, str] = field(default_factory=dict)
    edit: dict[str, list[list[str]]] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)
    move: dict[str, str] = field(default_factory=dict)
    raw: dict[str, str] = field(default_factory=dict)


def read_case(path: Path) -> Case:
    """One case; a key that no case has is an error of the case."""
    data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Case(**data)


def make_bad(case: Case, folder: Path) -> Path:
    """The good register with the change of the case, in `folder`."""
    shutil.copytree(GOOD, folder)
    for name, text in case.write.items():
        (folder / name).write_text(text, encoding="utf-8")
    for name, changes in case.edit.items():
        text = (folder / name).read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text, f"{name} of the good register has no {old!r}"
            text = text.replace(old, new, 1)
        (folder / name).write_text(text, encoding="utf-8")
    for name, digits in case.raw.items():
        (folder / name).write_bytes(bytes.fromhex(digits))
    for name in case.remove:
        (folder / name).unlink()
    for old, new in case.move.items():
        (folder / old).rename(folder / new)
    return folder
