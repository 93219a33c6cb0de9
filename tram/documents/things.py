"""What an instance is made of, as far as the practice has a say: things with a name, and links between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Key = tuple[str, ...]
Request = dict[str, Any]


class Door(Protocol):
    """How Mayan's REST API is asked; `name` is the host."""

    @property
    def name(self) -> str:
        """For messages."""

    def ask(self, requests: Sequence[Request]) -> list[dict[str, Any]]:
        """Do requests in their order, up to the first that is refused."""


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that has a name and fields. `at` is where it is made and found, `once` what is said only then.

    Names of other things in `at` and `once` are written <kind: name>, and become their ids.
    """

    kind: str
    key: Key
    at: str
    fields: dict[str, Any]
    once: dict[str, Any] = field(default_factory=dict)

    @property
    def ref(self) -> str:
        """How others name it."""
        return ref(self.kind, *self.key)


@dataclass(frozen=True, slots=True)
class Link:
    """Something that is there or not: a member of a group, a right. `key` ends with the member."""

    kind: str
    key: Key
    add: Request


@dataclass(frozen=True, slots=True)
class Has:
    """What an instance has: things with their ids and fields, links with what takes them away (None: is left)."""

    ids: dict[str, int]
    things: dict[tuple[str, Key], dict[str, Any]]
    links: dict[tuple[str, Key], Request | None]
    practice: dict[str, Any]
    open_work: list[dict[str, Any]]


def ref(kind: str, *key: str) -> str:
    """The name of a thing in requests."""
    return f"<{kind}: {' / '.join(key)}>"
