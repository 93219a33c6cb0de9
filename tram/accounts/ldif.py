"""LDIF, the directory's own text format. Source: RFC 2849; what OpenLDAP's tools write and read of it."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

_SAFE = re.compile(r"[\x21-\x39\x3b\x3d-\x7e][\x20-\x7e]*(?<! )|")
"""What may stand as it is: printable ASCII that begins with no blank, colon or <, and ends with no blank."""


def line(name: str, value: str) -> str:
    """One attribute; a value that is no plain ASCII goes in base64, so that no sign of it can mean anything else."""
    if _SAFE.fullmatch(value):
        return f"{name}: {value}\n" if value else f"{name}:\n"
    return f"{name}:: {base64.b64encode(value.encode()).decode()}\n"


def record(dn: str, *parts: Iterable[tuple[str, str]]) -> str:
    """A record: its name, its lines; between parts of a change stands a line with a single hyphen."""
    body = "-\n".join("".join(line(name, value) for name, value in part) for part in parts)
    return f"{line('dn', dn)}{body}\n"


def add(dn: str, values: Mapping[str, Sequence[str]]) -> str:
    """A record that adds an entry."""
    return record(dn, [("changetype", "add"), *((name, one) for name, all_ in values.items() for one in all_)])


def modify(dn: str, values: Mapping[str, str | None]) -> str:
    """A record that makes each attribute that one value; None takes it away, whether it is there or not."""
    parts = [[("replace", name), *([(name, value)] if value is not None else [])] for name, value in values.items()]
    return record(dn, [("changetype", "modify"), *parts[0]], *([*part] for part in parts[1:]))


def move(dn: str, rdn: str, above: str) -> str:
    """A record that gives an entry another place, and another first part of its name."""
    lines = [("changetype", "modrdn"), ("newrdn", rdn), ("deleteoldrdn", "1"), ("newsuperior", above)]
    return record(dn, lines)


def delete(dn: str) -> str:
    """A record that takes an entry away."""
    return record(dn, [("changetype", "delete")])


def entries(text: str) -> Iterator[dict[str, list[str]]]:
    """The entries of what ldapsearch printed, names of attributes in small letters, the entry's own as `dn`."""
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\n ", "")):
        found: dict[str, list[str]] = {}
        for one in block.splitlines():
            name, colon, value = one.partition(":")
            if not colon or one.startswith("#"):
                continue
            plain = base64.b64decode(value[1:]).decode(errors="replace") if value.startswith(":") else value.lstrip(" ")
            found.setdefault(name.lower(), []).append(plain)
        if "dn" in found:
            yield found
