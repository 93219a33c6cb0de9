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
from tram_board.texts import CATALOGUE as BOARD

REPO = Path(__file__).parents[2]
TEMPLATE_TEXT = re.compile(r"""\b_\((?:"([^"]+)"|'([^']+)')\)""")


def said(folder: Path, *marks: str) -> tuple[set[str], list[str]]:
    """Every literal given to one of these functions, and the places where what is given is no literal."""
    texts: set[str] = set()
    unknown: list[str] = []
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in marks:
                given = node.args[0]
                if isinstance(given, ast.Constant) and isinstance(given.value, str):
                    texts.add(given.value)
                else:
                    unknown.append(f"{path.name}:{node.lineno}")
    for path in sorted(folder.rglob("*.j2")):
        texts |= {double or single for double, single in TEMPLATE_TEXT.findall(path.read_text(encoding="utf-8"))}
    return texts, unknown


# Whose texts they are: a folder, how a text is marked there, its catalogue.
TALKERS = {
    "commands": (REPO / "tram" / "cli", ("_", "both"), CATALOGUE),
    "board": (REPO / "monitoring" / "tram_board", ("later",), BOARD),
}
every_talker = pytest.mark.parametrize(("folder", "marks", "catalogue"), TALKERS.values(), ids=TALKERS)
every_catalogue = pytest.mark.parametrize("catalogue", [one[2] for one in TALKERS.values()], ids=TALKERS)


@every_talker
def test_every_text_is_a_literal_with_a_translation(folder: Path, marks: tuple[str, ...], catalogue: Path) -> None:
    texts, unknown = said(folder, *marks)
    assert texts
    assert unknown == []
    translated = read_po(catalogue)
    assert sorted(text for text in texts if not translated.get(text)) == []


@every_talker
def test_no_translation_is_left_over(folder: Path, marks: tuple[str, ...], catalogue: Path) -> None:
    assert sorted(set(read_po(catalogue)) - said(folder, *marks)[0]) == []


@every_catalogue
def test_a_translation_has_the_same_places_to_fill(catalogue: Path) -> None:
    place = re.compile(r"\{[^}]*\}|\[/?[a-z ]*\]|--[a-z-]+")
    pairs = read_po(catalogue).items()
    assert [text for text, vi in pairs if sorted(place.findall(text)) != sorted(place.findall(vi))] == []


@every_catalogue
def test_no_text_is_given_twice(catalogue: Path) -> None:
    ids = re.findall(r'^msgid "(.+)"$', catalogue.read_text(encoding="utf-8"), re.MULTILINE)
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


@every_catalogue
def test_the_catalogue_is_one_that_gettext_reads_too(catalogue: Path, tmp_path: Path) -> None:
    if not shutil.which("msgfmt"):
        pytest.skip("gettext's own msgfmt is not on this machine")
    done = subprocess.run(["msgfmt", "-o", tmp_path / "mo", catalogue], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "mo").open("rb") as file:
        theirs = gettext.GNUTranslations(file)
    assert {text: theirs.gettext(text) for text in read_po(catalogue)} == read_po(catalogue)
