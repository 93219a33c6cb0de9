"""What texts speak of: the variables, plugins and collections by name. Too much rather than too little is found."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_WORD = re.compile(r"[A-Za-z_]\w*")
_QUALIFIED = re.compile(r"\b[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_.]*[a-z0-9_]")
_SHORT = re.compile(
    r"""\|\s*([a-z_]\w*) | \bis\s+(?:not\s+)?([a-z_]\w*) | \b(?:lookup|query|q)\(\s*['"](\w+)['"]
    | \bwith_([a-z]\w*)""",
    re.VERBOSE,
)
_OTHERS = re.compile(r"\bhostvars\b|\bgroups\b(?!\s*:)|\binventory_hostnames\b")
_ANY_VARIABLE = re.compile(r"\bvars\s*[\[.]|\(\s*['\"](?:ansible\.builtin\.)?vars['\"]")


@dataclass(slots=True)
class Mentions:
    """Found in texts: every word; full names (a.b.c) and short names that may be plugins; whether other hosts of the
    inventory are looked at; whether a variable is looked up by a name put together at run time."""

    words: set[str] = field(default_factory=set)
    qualified: set[str] = field(default_factory=set)
    short: set[str] = field(default_factory=set)
    others: bool = False
    any_variable: bool = False
    action_groups: bool = False

    def add(self, texts: Iterable[str]) -> None:
        """Take in more texts."""
        for text in texts:
            self.words.update(_WORD.findall(text))
            self.qualified.update(_QUALIFIED.findall(text))
            self.short.update(name for names in _SHORT.findall(text) for name in names if name)
            self.others = self.others or _OTHERS.search(text) is not None
            self.any_variable = self.any_variable or _ANY_VARIABLE.search(text) is not None
            self.action_groups = self.action_groups or text.startswith("group/")

    def join(self, other: Mentions) -> None:
        """Take in what was found elsewhere."""
        self.words |= other.words
        self.qualified |= other.qualified
        self.short |= other.short
        self.others = self.others or other.others
        self.any_variable = self.any_variable or other.any_variable
        self.action_groups = self.action_groups or other.action_groups
