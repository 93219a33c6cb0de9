"""Catalogues of operators' texts, read straight from their .po: English in the code, Vietnamese beside it."""

from __future__ import annotations

import ast
import gettext
from collections.abc import Mapping
from pathlib import Path


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
