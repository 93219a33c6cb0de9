"""Operators' texts: English in the code, Vietnamese from the catalogue unless the operator asks for English."""

from __future__ import annotations

import ast
import gettext
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

CATALOGUE = Path(__file__).parent.parent / "locale" / "vi" / "LC_MESSAGES" / "tram.po"


class Catalogue(gettext.NullTranslations):
    """A catalogue read straight from its .po text, so that no compiled copy can be forgotten or go stale."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        super().__init__()
        self.texts = texts

    def gettext(self, message: str) -> str:
        """The translation of `message`, or `message` itself while it has none."""
        return self.texts.get(message) or message


def read_po(path: Path) -> dict[str, str]:
    """The catalogue's msgid → msgstr, without its header.

    Knows the part of the format we write: single messages (Vietnamese has no plural forms), strings over many lines,
    and comments. Source: GNU gettext manual, "The Format of PO Files".
    """
    texts: dict[str, str] = {}
    parts: dict[str, str] = {"msgid": "", "msgstr": ""}
    field = "msgid"
    for raw in [*path.read_text(encoding="utf-8").splitlines(), 'msgid ""']:
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if not line.startswith('"'):
            field, line = line.split(maxsplit=1)
            if field == "msgid":
                texts[parts["msgid"]] = parts["msgstr"]
            parts[field] = ""
        parts[field] += ast.literal_eval(line)
    texts.pop("", None)
    return texts


@cache
def translations(language: str) -> gettext.NullTranslations:
    """The texts in `language`: "vi" or, for anything else, the English of the code."""
    return Catalogue(read_po(CATALOGUE)) if language == "vi" else gettext.NullTranslations()


def language(env: Mapping[str, str]) -> str:
    """ "en" when the locale asks for English (LANG=en, en_US.UTF-8 …), otherwise "vi": operators read Vietnamese.

    The first of LC_ALL, LC_MESSAGES, LANG that is set decides. Source: locale(7).
    """
    chosen = next((env[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if env.get(name)), "")
    return "en" if chosen.startswith("en") else "vi"


def _(message: str) -> str:
    """`message` in the operator's language. Give it a literal: a test looks up every literal in the catalogue."""
    return translations(language(os.environ)).gettext(message)


def both(message: str) -> str:
    """`message` in Vietnamese with the English beside it ("Máy · Host"), for headers everyone must recognise."""
    vietnamese = translations("vi").gettext(message)
    return message if vietnamese == message else f"{vietnamese} · {message}"
