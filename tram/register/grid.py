"""Spreadsheets as plain rows; formulas, merged cells and gaps, which have no place in a list of sites, are reported."""

from __future__ import annotations

import csv
import datetime
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from openpyxl import load_workbook
from openpyxl.cell.cell import Cell, MergedCell
from openpyxl.utils import get_column_letter
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet.worksheet import Worksheet

from tram.core.errors import BadInput
from tram.register.problem import Problem

MOST_ROWS = 20_000
MOST_BYTES = 20_000_000
_FORMULA = ("the cell is a formula", "replace it by its value")


@dataclass(frozen=True, slots=True)
class Table:
    """A sheet as it was read: `faults` are the cells (row from 1, column from 0) that cannot be used, with why.

    `hidden` are the cells below a merged one: they say nothing, which is not the same as being empty. `merged` are the
    corners of each merged area: first row and column, last row and column; its fault is at the first.
    """

    name: str
    rows: list[list[Any]]
    faults: dict[tuple[int, int], tuple[str, str]]
    hidden: frozenset[tuple[int, int]] = frozenset()
    merged: tuple[tuple[int, int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet: `headings` of its first row, `rows` below it by their number; a row is at least as long.

    `bad` are the cells already reported; whoever finds them empty or wrong later keeps quiet.
    """

    file: str
    name: str
    headings: tuple[str, ...]
    rows: dict[int, tuple[Any, ...]]
    bad: frozenset[tuple[int, int]]

    def place(self, row: int, column: int | None = None) -> str:
        """Where a cell is, for people. Columns count from 0."""
        words = [self.file, *([f'sheet "{self.name}"'] if self.name else []), f"row {row}"]
        if column is not None:
            heading = self.headings[column] if column < len(self.headings) else ""
            words.append(f"column {get_column_letter(column + 1)}" + (f' "{heading}"' if heading else ""))
        return ", ".join(words)

    def problem(self, row: int, column: int | None, message: str, hint: str = "") -> Problem:
        """An error at a cell, or at a whole row."""
        return Problem(self.file, row, (), message, hint, self.place(row, column))


def read_sheets(path: Path) -> tuple[list[Sheet], list[Problem]]:
    """Every sheet of an .xlsx that has anything in it, or the one of a .csv, and what is wrong with their cells.

    Raises: BadInput for a file that cannot be read as a spreadsheet at all.
    """
    sheets: list[Sheet] = []
    problems: list[Problem] = []
    for table in read_tables(path):
        sheet, found = _sheet(path.name, table)
        sheets.append(sheet)
        problems += found
    if not sheets:
        raise BadInput(f"{path}: is empty", hint="`tram sites export` writes one with all the columns")
    return sheets, problems


def read_tables(path: Path, *, dates: bool = False) -> list[Table]:
    """Every sheet that has anything in it, as it is. Days are values with `dates`, faults without.

    Raises: BadInput for a file that cannot be read as a spreadsheet at all.
    """
    kind = path.suffix.lower()
    if kind not in (".xlsx", ".csv"):
        hint = "save it as .xlsx in the spreadsheet program" if kind in (".xls", ".ods") else "give an .xlsx or a .csv"
        raise BadInput(f"{path}: not a spreadsheet we read", hint=hint)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadInput(f"{path}: larger than {MOST_BYTES // 10**6} MB", hint="keep only the list in it")
        tables = [*_workbook(path, dates)] if kind == ".xlsx" else [_csv(path)]
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}", hint="check name and permissions") from error
    return [table for table in tables if table.rows]


def _sheet(file: str, table: Table) -> tuple[Sheet, list[Problem]]:
    """The headings and rows of a table that ends with a row that is not empty."""
    headings = tuple("" if cell is None else " ".join(str(cell).split()) for cell in table.rows[0])
    sheet = Sheet(file, table.name, headings, {}, table.hidden | frozenset(table.faults))
    problems = [sheet.problem(*cell, *fault) for cell, fault in table.faults.items()]
    if not any(headings):
        problems.append(sheet.problem(1, None, "the row is empty", "the first row holds the headings"))
    for number, row in enumerate(table.rows[1:], start=2):
        if all(is_empty(cell) for cell in row):
            if not any(bad_row == number for bad_row, _ in sheet.bad):
                problems.append(sheet.problem(number, None, "the row is empty", "delete it"))
            continue
        sheet.rows[number] = (*row, *[None] * (len(headings) - len(row)))
    return sheet, problems


def _workbook(path: Path, dates: bool) -> Iterator[Table]:
    try:
        with warnings.catch_warnings(action="ignore"):  # of extensions that openpyxl leaves out: not of our data
            book = load_workbook(path)
    except (InvalidFileException, BadZipFile, KeyError, ValueError, TypeError, SyntaxError) as error:
        raise BadInput(f"{path}: is not an Excel workbook", hint="save it again as .xlsx") from error
    for sheet in book.worksheets:
        yield _worksheet(sheet, dates)


def _worksheet(sheet: Worksheet, dates: bool) -> Table:
    faults: dict[tuple[int, int], tuple[str, str]] = {}
    if sheet.max_row > MOST_ROWS:
        faults[MOST_ROWS, 0] = (f"the sheet has more than {MOST_ROWS} rows", "delete the rows below the list")
    rows: list[list[Any]] = []
    for row in sheet.iter_rows(max_row=min(sheet.max_row, MOST_ROWS)):
        values: list[Any] = []
        for column, cell in enumerate(row):
            fault = _fault(cell, dates)
            values.append(None if fault else cell.value)
            if fault:
                faults[len(rows) + 1, column] = fault
        rows.append(values)
    hidden: set[tuple[int, int]] = set()
    merged: list[tuple[int, int, int, int]] = []
    for area in sheet.merged_cells.ranges:
        hint = "unmerge them and repeat the value"
        faults[area.min_row, area.min_col - 1] = (f"the cells {area.coord} are merged", hint)
        hidden.update((number, column - 1) for number, column in area.cells)
        merged.append((area.min_row, area.min_col - 1, area.max_row, area.max_col - 1))
    return Table(sheet.title, _trimmed(rows), faults, frozenset(hidden), tuple(merged))


def _fault(cell: Cell | MergedCell, dates: bool) -> tuple[str, str] | None:
    if cell.data_type == "f":
        return _FORMULA
    if cell.data_type == "e":
        return f"the cell is an error: {cell.value}", "correct it"
    if dates and isinstance(cell.value, datetime.date):
        return None
    if isinstance(cell.value, datetime.date | datetime.time | datetime.timedelta):
        return "the cell is a date or a time", "format it as text and write it again"
    return None


def _csv(path: Path) -> Table:
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadInput(f"{path}:{line}: is not UTF-8 text", hint='save it as "CSV UTF-8" in Excel') from error
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)  # Vietnamese Windows writes semicolons
    faults: dict[tuple[int, int], tuple[str, str]] = {}
    rows: list[list[Any]] = []
    try:
        for number, row in enumerate(csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True), start=1):
            formulas = [column for column, cell in enumerate(row) if cell.lstrip().startswith("=")]
            faults |= dict.fromkeys(((number, column) for column in formulas), _FORMULA)
            rows.append([None if column in formulas else cell for column, cell in enumerate(row)])
    except csv.Error as error:
        raise BadInput(f"{path}: row {len(rows) + 1}: {error}", hint="check the quotes in that row") from error
    return Table("", _trimmed(rows), faults)


def _trimmed(table: list[list[Any]]) -> list[list[Any]]:
    """Without the empty rows at the end, which spreadsheet programs keep for their formatting."""
    while table and all(is_empty(cell) for cell in table[-1]):
        table.pop()
    return table


def is_empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())
