"""A register as a spreadsheet that `import_sheets` reads back as the same register."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter

from tram.core.errors import BadInput
from tram.register.columns import COLUMNS, Column, write_cell
from tram.register.loading import Files, load, read_files

_EXPORTED = [column for column in COLUMNS if column.exported]
_SHEET = "Đơn vị"


def export_sheet(folder: Path, spreadsheet: Path, *, force: bool = False) -> int:
    """Write the register in `folder` to an .xlsx or .csv file; gives the number of rows below the headings.

    Raises: RegisterInvalid for a register with errors. BadInput for another kind of file, or one that is there
    already without `force`.
    """
    kind = spreadsheet.suffix.lower()
    if kind not in (".xlsx", ".csv"):
        raise BadInput(f"{spreadsheet}: not a spreadsheet we write", hint="give a name that ends with .xlsx or .csv")
    if spreadsheet.exists() and not force:
        raise BadInput(f"{spreadsheet}: is there already", hint="choose another name, or --force to replace it")
    order = [site.code for site in load(folder).sites]
    rows = list(_rows(read_files(folder), order))
    try:
        written = spreadsheet.with_name(f".{spreadsheet.stem}.part{kind}")  # a spreadsheet is never half written
        (_write_xlsx if kind == ".xlsx" else _write_csv)(written, rows)
        written.replace(spreadsheet)
    except OSError as error:
        raise BadInput(f"{spreadsheet}: cannot be written: {error.strerror}", hint="check the folder") from error
    return len(rows)


def _rows(files: Files, order: list[str]) -> Iterator[list[Any]]:
    """A row for each host, and one for a site without any."""
    for code in order:
        document, _ = files.sites[code]
        for host in document.data.get("hosts") or [{}]:
            yield [write_cell(_value(document.data | {"hosts": host}, column)) for column in _EXPORTED]


def _value(data: Any, column: Column) -> Any:
    for key in column.loc:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _write_csv(path: Path, rows: list[list[Any]]) -> None:
    # Excel takes a CSV for UTF-8 only when a byte order mark says so.
    with path.open("w", encoding="utf-8-sig", newline="") as out:
        writer = csv.writer(out)
        writer.writerow([column.vi for column in _EXPORTED])
        writer.writerows(rows)


def _write_xlsx(path: Path, rows: list[list[Any]]) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = _SHEET
    sheet.append([column.vi for column in _EXPORTED])
    for row in rows:
        sheet.append(row)
    for cell in sheet[1]:
        cell.font, cell.alignment = Font(bold=True), Alignment(wrap_text=True, vertical="top")
    for position, column in enumerate(_EXPORTED, start=1):
        longest = max((len(str(row[position - 1] or "")) for row in rows), default=0)
        sheet.column_dimensions[get_column_letter(position)].width = min(max(longest, len(column.vi)) + 2, 50)
    sheet.freeze_panes = "C2"
    book.save(path)
