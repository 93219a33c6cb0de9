"""Settings: what a look found, by key, with every value that was seen for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

Settings = Mapping[str, tuple[str, ...]]


def gather(pairs: Iterable[tuple[str, str]]) -> Settings:
    """Every value of each key, each once, in the order seen."""
    found: dict[str, dict[str, None]] = {}
    for key, value in pairs:
        found.setdefault(key, {})[value] = None
    return {key: tuple(values) for key, values in found.items()}


def words(text: str, count: int) -> Iterator[list[str]]:
    """Each line in `count` parts, the last with all that is left; lines with fewer are not of this kind."""
    for line in text.splitlines():
        parts = line.split(maxsplit=count - 1)
        if len(parts) == count:
            yield parts
