"""Operators read Vietnamese: every text of the commands has its translation, and none is left over."""

from __future__ import annotations

import ast
import gettext
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tram.cli.i18n import CATALOGUE, language, translations
from tram.core.texts import read_po

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


@pytest.mark.parametrize(
    ("env", "spoken"),
    [
        ({}, "vi"),
        ({"LANG": "C.UTF-8"}, "vi"),
        ({"LANG": "vi_VN.UTF-8"}, "vi"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "en"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LC_ALL": "vi_VN.UTF-8"}, "vi"),
        ({"LANG": "vi_VN.UTF-8", "LC_MESSAGES": "en_US.UTF-8", "LC_ALL": ""}, "en"),
    ],
)
def test_vietnamese_is_spoken_unless_english_is_asked_for(env: dict[str, str], spoken: str) -> None:
    assert language(env) == spoken
    assert translations(spoken).gettext("not reached") == {"vi": "không liên lạc được", "en": "not reached"}[spoken]


def test_what_has_no_translation_stays_english() -> None:
    assert translations("vi").gettext("nobody says this") == "nobody says this"


def test_the_catalogue_is_one_that_gettext_reads_too(tmp_path: Path) -> None:
    if not shutil.which("msgfmt"):
        pytest.skip("gettext's own msgfmt is not on this machine")
    done = subprocess.run(["msgfmt", "-o", tmp_path / "mo", CATALOGUE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "mo").open("rb") as file:
        theirs = gettext.GNUTranslations(file)
    assert {text: theirs.gettext(text) for text in read_po(CATALOGUE)} == read_po(CATALOGUE)
