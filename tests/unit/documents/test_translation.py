"""The Vietnamese over Mayan's own says what the English says, and strings of its screens are found where they stand."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

ROLE = Path(__file__).parents[3] / "roles/documents"
CATALOGUES = sorted((ROLE / "files/locale").glob("*.po"))
HELD = re.compile(r"%\([a-z_]+\)[sd]|%[sd]|\{\{[^}]*\}\}|<[^>]+>")


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.stem)
def test_every_translation_holds_what_its_string_holds(path: Path, translation: ModuleType) -> None:
    said = translation.read_po(path)
    assert said
    assert [word for word, vi in said.items() if sorted(HELD.findall(word)) != sorted(HELD.findall(vi))] == []
    assert [word for word, vi in said.items() if word.endswith("\n") != vi.endswith("\n")] == []


def test_one_word_is_used_for_one_thing(translation: ModuleType) -> None:
    """An office's documents are văn bản, in every app."""
    said = {word: vi for path in CATALOGUES for word, vi in translation.read_po(path).items()}
    other = [word for word, vi in said.items() if "tài liệu" in vi.lower() and "tài liệu hướng dẫn" not in vi.lower()]
    assert other == []


def test_strings_are_found_in_programs_and_templates(translation: ModuleType) -> None:
    python = (
        "a = _(message='One')\nb = _('T' 'wo')\nc = ngettext(singular='Three', plural='Threes', number=n)\nd = f('no')"
    )
    assert list(translation.python_strings(python)) == ["One", "Two", "Three"]
    template = '{% trans "A" %}{% blocktrans trimmed with x=y %}\n B {{ x }}\n{% plural %}C{% endblocktrans %}'
    assert list(translation.template_strings(template)) == ["A", "B %(x)s"]


def test_a_catalogue_is_read_as_gettext_reads_it(tmp_path: Path, translation: ModuleType) -> None:
    path = tmp_path / "x.po"
    path.write_text(
        'msgid ""\nmsgstr "Language: vi\\n"\n\nmsgid "a"\n"b"\nmsgstr "c"\n\nmsgid "d"\nmsgid_plural "ds"\n'
        'msgstr[0] "đ"\n\nmsgid "e"\nmsgstr ""\n',
        encoding="utf-8",
    )
    assert translation.read_po(path) == {"ab": "c", "d": "đ"}
