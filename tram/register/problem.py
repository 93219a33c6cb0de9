"""What is wrong in a register: every error at its file and line, reported together."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tram.core.errors import BadInput

Loc = tuple[str | int, ...]


class BadValue(BadInput, ValueError):
    """One value that cannot be what the field wants; pydantic collects it because it is a ValueError."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One error: `file` as shown to the operator, `line` from 1, `loc` the keys that lead to the value.

    A cell of a spreadsheet names itself in `place`, with its row as the line.
    """

    file: str
    line: int
    loc: Loc
    message: str
    hint: str = ""
    place: str = ""

    def __str__(self) -> str:
        hint = f"; {self.hint}" if self.hint else ""
        return f"{self.place or f'{self.file}:{self.line}'}: {self.message}{hint}"


class Invalid(BadInput):
    """Something with errors; `problems` holds every one of them, in order of file and line."""

    what_vi = ""
    what_en = ""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda p: (p.file, p.line, p.place, p.message)))
        count = len(self.problems)
        title = f"{self.what_vi} có {count} lỗi / {count} error{'s' if count > 1 else ''} in the {self.what_en}"
        super().__init__("\n".join([title, *(f"  {problem}" for problem in self.problems)]))


class RegisterInvalid(Invalid):
    """A register with errors."""

    what_vi = "Sổ đăng ký"
    what_en = "register"


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """The hint for a word that is not known: its nearest neighbours, or everything there is."""
    near = difflib.get_close_matches(word, known, n=2, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(f'"{guess}"' for guess in near) + "?"
    return f"known: {', '.join(known)}" if known else "none is defined"
