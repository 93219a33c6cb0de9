"""docs/contracts/register.md says what the code does: every key, default and heading."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic.fields import FieldInfo

from tram.register.columns import COLUMNS, Column
from tram.register.shape import (
    FUNCTIONS,
    BoardShape,
    ContactShape,
    HostShape,
    LinkClassShape,
    LinkShape,
    ProvinceShape,
    Shape,
    SiteShape,
    TierShape,
)

PAGE = (Path(__file__).parents[3] / "docs" / "contracts" / "register.md").read_text(encoding="utf-8")
SHAPES: dict[str, type[Shape]] = {
    "": ProvinceShape,
    "tiers.<name>.": TierShape,
    "link_classes.<name>.": LinkClassShape,
    " ": SiteShape,
    "board.": BoardShape,
    "link.": LinkShape,
    "contact.": ContactShape,
    "hosts[].": HostShape,
}


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    return "–" if value in (None, []) else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def rows() -> Iterator[str]:
    for prefix, shape in SHAPES.items():
        for name, field in shape.model_fields.items():
            yield f"| `{prefix.strip()}{field.alias or name}` | {default(field)} | {field.description} |"


@pytest.mark.parametrize("row", list(rows()))
def test_every_key_of_every_file_is_on_the_page(row: str) -> None:
    assert row in PAGE.splitlines()


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.en)
def test_every_column_of_the_spreadsheet_is_on_the_page(column: Column) -> None:
    also, need = ", ".join(column.also) or "–", "yes" if column.required else "–"
    assert f"| {column.vi} | {column.en} | {also} | {need} | `{'.'.join(column.loc)}` |" in PAGE.splitlines()


def test_every_function_is_on_the_page() -> None:
    assert all(f"`{function}`" in PAGE for function in FUNCTIONS)
