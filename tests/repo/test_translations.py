"""Operators read Vietnamese: every text of the commands has its translation, and none is left over."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tram.cli.i18n import CATALOGUE, read_po

CLI = Path(__file__).parents[2] / "tram" / "cli"


def said() -> tuple[set[str], list[str]]:
    """Every literal given to _() or both(), and the places where what is given is no literal."""
    texts: set[str] = set()
    unknown: list[str] = []
    for path in sorted(CLI.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"_", "both"}:
                given = node.args[0]
                if isinstance(given, ast.Constant) and isinstance(given.value, str):
                    texts.add(given.value)
                else:
                    unknown.append(f"{path.name}:{node.lineno}")
    return texts, unknown


def test_every_text_is_a_literal_with_a_translation() -> None:
    texts, unknown = said()
    assert texts
    assert unknown == []
    catalogue = read_po(CATALOGUE)
    assert sorted(text for text in texts if not catalogue.get(text)) == []


def test_no_translation_is_left_over() -> None:
    assert sorted(set(read_po(CATALOGUE)) - said()[0]) == []


def test_a_translation_has_the_same_places_to_fill() -> None:
    place = re.compile(r"\{[^}]*\}|\[/?[a-z ]*\]|--[a-z-]+")
    pairs = read_po(CATALOGUE).items()
    assert [text for text, vi in pairs if sorted(place.findall(text)) != sorted(place.findall(vi))] == []


def test_no_text_is_given_twice() -> None:
    ids = re.findall(r'^msgid "(.+)"$', CATALOGUE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted({text for text in ids if ids.count(text) > 1}) == []
