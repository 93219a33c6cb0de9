"""People's names, and the addresses made of them. The rule, with examples: docs/contracts/accounts.md."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

from tram.core.errors import BadInput

LONGEST = 100
"""Signs of a name; the longest real ones have about forty."""

_APOSTROPHES = dict.fromkeys(map(ord, "'’ʼ`´"))
_PARTS = re.compile(r"[\s.\-‐‑]+")


class BadName(BadInput):
    """No address can be made of this name."""


@dataclass(frozen=True, slots=True)
class Name:
    """A name as the directory has it: `family` is all but the given name, which comes last."""

    full: str
    family: str
    given: str


def tidy(text: str) -> str:
    """One spelling of Unicode (NFC), single blanks, nothing invisible. Macs write NFD, Word leaves no-break spaces."""
    seen = "".join(" " if unicodedata.category(sign) in ("Cc", "Zs") else sign for sign in text)
    shown = "".join(sign for sign in seen if unicodedata.category(sign) != "Cf")
    return " ".join(unicodedata.normalize("NFC", shown).split())


def read_name(text: str) -> Name:
    """A full name, tidy; one in capitals only (or in small letters only) is written as names are.

    Raises: BadName.
    """
    full = tidy(text)
    if len(full) > LONGEST:
        raise BadName(f"the name is longer than {LONGEST} signs", hint="keep the name only")
    if full in (full.upper(), full.lower()):
        full = " ".join(
            "-".join(part[:1].upper() + part[1:].lower() for part in word.split("-")) for word in full.split()
        )
    parts = words(full)
    if len(parts) < 2:
        raise BadName(f'"{full}" is only one word', hint="write family name and given name")
    family, _, given = full.rpartition(" ")
    if not family:
        raise BadName(
            f'"{full}" has no blank between family name and given name', hint="write it as on the identity card"
        )
    return Name(full, family, given)


def words(full: str) -> list[str]:
    """The words of a name in letters a-z: "Đỗ Thị Hằng" is do, thi, hang.

    Raises: BadName for a sign that no name has.
    """
    found = []
    for word in _PARTS.split(tidy(full).translate(_APOSTROPHES)):
        plain = unicodedata.normalize("NFD", word.casefold().replace("đ", "d"))
        letters = "".join(sign for sign in plain if not unicodedata.combining(sign))
        strange = next((sign for sign in letters if not "a" <= sign <= "z"), None)
        if strange:
            raise BadName(f'"{strange}" cannot be in a name', hint="letters, blanks, hyphens and apostrophes only")
        if letters:
            found.append(letters)
    return found


def local_part(full: str) -> str:
    """The local part a name asks for: given name, dot, the initials of the words before it.

    Raises: BadName.
    """
    *before, given = words(full)
    return f"{given}.{''.join(word[0] for word in before)}"


def free(wanted: str, taken: Collection[str]) -> str:
    """The wanted local part, or the first of wanted2, wanted3 … that nobody has."""
    number, found = 1, wanted
    while found in taken:
        number += 1
        found = f"{wanted}{number}"
    return found
