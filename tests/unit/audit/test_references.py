"""What the controls cite is there: no number from memory."""

from __future__ import annotations

import pytest
import yaml

from .bare import REPO, rules

KNOWN: dict[str, str] = yaml.safe_load((REPO / "tests/unit/audit/cited.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("book", ["cis", "anssi"])
def test_every_number_cited_is_one_of_the_edition_that_is_named(book: str) -> None:
    cited = {number: code for code, control in rules().controls.items() for number in getattr(control.references, book)}
    unknown = {code: number for number, code in cited.items() if number not in KNOWN[book].split()}
    assert unknown == {}
    assert len(cited) >= 20


def test_what_only_counsel_can_confirm_is_not_called_confirmed() -> None:
    assert {family.confirmed for family in rules().references.families.values()} == {False}
