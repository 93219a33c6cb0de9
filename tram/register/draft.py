"""A file as far as it is good, so that what is wrong with one value never hides what is wrong with another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from tram.register.document import Document
from tram.register.problem import Loc


@dataclass(frozen=True, slots=True)
class Draft:
    """A file of which the values at `bad` are already reported; `name` is the file's name without `.yml`."""

    document: Document
    bad: frozenset[Loc]
    name: str

    def get(self, *loc: str | int) -> Any:
        """The value at `loc`; None when it is absent or bad."""
        value: Any = self.document.data
        for depth, part in enumerate(loc):
            if loc[: depth + 1] in self.bad:
                return None
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def text(self, *loc: str | int) -> str | None:
        """The value at `loc` when it is good and text."""
        value = self.get(*loc)
        return value if isinstance(value, str) else None

    def lacks(self, key: str) -> bool:
        """Whether the key was left out, in a file that could be read; a bad value is not left out."""
        return () not in self.bad and (key,) not in self.bad and self.get(key) is None

    def keys(self, key: str) -> list[str]:
        """The keys of the mapping at `key`, none when it is not one."""
        value = self.get(key)
        return [*value] if isinstance(value, dict) else []

    def items(self, *loc: str | int) -> Iterator[tuple[int, Any]]:
        """The good items, with their positions, of the list at `loc`."""
        value = self.get(*loc)
        for index, item in enumerate(value if isinstance(value, list) else []):
            if (*loc, index) not in self.bad:
                yield index, item

    def network(self) -> IPv4Network | None:
        """The site's network."""
        text = self.text("network")
        return None if text is None else IPv4Network(text)

    def address(self, host: int) -> IPv4Address | None:
        """The address of the host at this position."""
        text = self.text("hosts", host, "address")
        return None if text is None else IPv4Address(text)

    def where(self, *loc: str | int) -> str:
        """File and line, for an error elsewhere that speaks of this value."""
        return f"{self.document.file}:{self.document.line(loc)}"
