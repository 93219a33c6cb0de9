"""Operators' texts: English in the code, Vietnamese from the catalogue unless the operator asks for English."""

from __future__ import annotations

import gettext
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tram.core.texts import Catalogue, read_po

CATALOGUE = Path(__file__).parent.parent / "locale" / "vi" / "LC_MESSAGES" / "tram.po"


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
