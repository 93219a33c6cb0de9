"""Cases of bad spreadsheets: tests/errors/register/sheets/*.yml, each a spreadsheet and the errors it owes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from openpyxl import Workbook

from .bad_register import CASES

SHEETS = CASES / "sheets"


@dataclass(frozen=True, slots=True)
class SheetCase:
    """`text` is a .csv, `sheets` are an .xlsx's by name, `raw` is a file in hex; `merge` are cells of the first sheet.

    `many` is how often the last line of `text` stands there, its {n} counted from 1.
    `remove` are files of the good register that are gone before the import.
    """

    says: str
    name: str
    owes: list[str]
    text: str | None = None
    sheets: dict[str, list[list[Any]]] | None = None
    merge: list[str] = field(default_factory=list)
    raw: str | None = None
    many: int = 1
    remove: list[str] = field(default_factory=list)


def read_case(path: Path) -> SheetCase:
    """One case; a key that no case has is an error of the case."""
    data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return SheetCase(**data)


def make_sheet(case: SheetCase, folder: Path) -> Path:
    """The spreadsheet of the case."""
    path = folder / case.name
    if case.text is not None:
        *lines, last = case.text.splitlines()
        those = [last.replace("{n}", str(number)) for number in range(1, case.many + 1)]
        path.write_text("\n".join([*lines, *those, ""]), encoding="utf-8")
    if case.raw is not None:
        path.write_bytes(bytes.fromhex(case.raw))
    if case.sheets is not None:
        book = Workbook()
        assert book.active is not None
        book.remove(book.active)
        for title, rows in case.sheets.items():
            sheet = book.create_sheet(title)
            for row in rows:
                sheet.append(row)
        for area in case.merge:
            book.worksheets[0].merge_cells(area)
        book.save(path)
    return path
