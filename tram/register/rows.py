"""From the rows of a spreadsheet to sites as their files have them, remembering which cell said what."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tram.register.columns import COLUMNS, Column, column_of, normal, read_cell
from tram.register.grid import Sheet, is_empty
from tram.register.problem import Loc, Problem
from tram.register.shape import CODE_HINT, is_code


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a sheet; columns count from 0."""

    sheet: Sheet
    row: int
    column: int

    @property
    def bad(self) -> bool:
        """Whether it is already reported."""
        return (self.row, self.column) in self.sheet.bad

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return self.sheet.place(self.row, self.column)

    def problem(self, message: str, hint: str = "") -> Problem:
        return self.sheet.problem(self.row, self.column, message, hint)


@dataclass(slots=True)
class Said:
    """What the rows say about one site: `data` as in its file, `cells` by the place of the value in that file."""

    data: dict[str, Any]
    cells: dict[Loc, Cell]
    columns: set[Column]
    first: Cell

    def cell(self, loc: Loc) -> Cell:
        """The cell that said, or should have said, the value at `loc`."""
        for depth in range(len(loc), 0, -1):
            near = [cell for known, cell in self.cells.items() if known[:depth] == loc[:depth]]
            if near:
                return near[0]
        return self.first


@dataclass(slots=True)
class Words:
    """What people write instead of codes: the names of tiers and of sites, normalised, to their codes."""

    tiers: Mapping[str, str]
    sites: dict[str, str]

    def code(self, column: Column, value: Any) -> Any:
        """The code for a name in a column that holds codes."""
        names = self.tiers if column.loc == ("tier",) else self.sites if column.loc == ("parent",) else {}
        return names.get(normal(value), value) if isinstance(value, str) else value


@dataclass(slots=True)
class Heard:
    """All that the sheets say: the sites by code, headings nobody asked for, and what is wrong."""

    sites: dict[str, Said] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def hear(sheets: list[Sheet], words: Words) -> Heard:
    """Read every row of every sheet. Sites named in any row are known as parents by their name, too."""
    heard = Heard()
    columns = [_columns(sheet, heard) for sheet in sheets]
    for sheet, known in zip(sheets, columns, strict=True):
        for row in sheet.rows.values():
            name, code = (_value(row, known, (key,)) for key in ("name", "code"))
            if isinstance(name, str) and isinstance(code, str):
                words.sites.setdefault(normal(name), code)
    for sheet, known in zip(sheets, columns, strict=True):
        for number in sheet.rows:
            _row(sheet, number, known, words, heard)
    return heard


def _columns(sheet: Sheet, heard: Heard) -> dict[int, Column]:
    """The columns of a sheet by position; reports what is missing or there twice."""
    known: dict[int, Column] = {}
    for position, heading in enumerate(sheet.headings):
        column = column_of(heading)
        if column is None:
            heard.ignored += [heading] if heading else []
        elif (twin := next((p for p, c in known.items() if c.loc == column.loc), None)) is not None:
            message = f'says the same as column "{sheet.headings[twin]}"'
            heard.problems.append(sheet.problem(1, position, message, "keep one of them"))
        else:
            known[position] = column
    if not known:
        hint = f'the first row holds them ("{COLUMNS[0].vi}", "{COLUMNS[1].vi}", …): delete what is above'
        heard.problems.append(sheet.problem(1, None, "no heading that we know", hint))
        return known
    present = {column.loc for column in known.values()}
    for column in COLUMNS:
        if column.required and column.exported and column.loc not in present:
            message = f'the column "{column.vi}" ({column.en}) is missing'
            unknown = [heading for heading in sheet.headings if heading and not column_of(heading)]
            near = difflib.get_close_matches(column.vi, unknown, n=1)
            hint = f'is it "{near[0]}"? write "{column.vi}"' if near else "add it to the first row"
            heard.problems.append(sheet.problem(1, None, message, hint))
    for number, row in sheet.rows.items():
        for position, cell in enumerate(row):
            if not is_empty(cell) and "".join(sheet.headings[position : position + 1]) == "":
                message = "a value in a column without a heading"
                heard.problems.append(sheet.problem(number, position, message, "name the column"))
    return known


def _value(row: tuple[Any, ...], known: dict[int, Column], loc: tuple[str, ...]) -> Any:
    position = next((p for p, column in known.items() if column.loc == loc), None)
    return None if position is None else read_cell(row[position], known[position].kind)


def _row(sheet: Sheet, number: int, known: dict[int, Column], words: Words, heard: Heard) -> None:
    """Add what one row says to its site: its own values once, and one host if the row names any value of one."""
    place = next((position for position, column in known.items() if column.loc == ("code",)), None)
    if place is None:
        return
    code, at = read_cell(sheet.rows[number][place], "text"), Cell(sheet, number, place)
    if at.bad:
        return
    if not isinstance(code, str) or not is_code(code):
        message = "the code is missing" if code is None else f'"{code}" is not a code'
        heard.problems.append(at.problem(message, CODE_HINT))
        return
    said = heard.sites.setdefault(code, Said({}, {}, set(), at))
    said.columns.update(known.values())
    host: dict[str, Any] = {}
    index = len(said.data.get("hosts", ()))
    cells: dict[Loc, Cell] = {}
    for position, column in known.items():
        cell = Cell(sheet, number, position)
        value = words.code(column, read_cell(sheet.rows[number][position], column.kind))
        if column.of_host:
            cells[("hosts", index, *column.loc[1:])] = cell
            host |= {} if value is None else {column.loc[1]: value}
        else:
            _once(said, column, cell, value, heard)
    if host or any(cell.bad for cell in cells.values()):
        said.data.setdefault("hosts", []).append(host)
        said.cells |= cells


def _once(said: Said, column: Column, cell: Cell, value: Any, heard: Heard) -> None:
    """A site's own value: the first row that gives one decides, the others repeat it or are empty."""
    inside = said.data
    for key in column.loc[:-1]:
        inside = inside.get(key, {})
    before = inside.get(column.loc[-1])
    if before is not None and value is not None and value != before:
        first = said.cells[column.loc]
        message = f'"{value}" is not what row {first.row} says of "{said.data["code"]}": "{before}"'
        heard.problems.append(cell.problem(message, "repeat the same value or leave the cell empty"))
    if before is not None or value is None:
        said.cells.setdefault(column.loc, cell)
        return
    said.cells[column.loc] = cell
    inside = said.data
    for key in column.loc[:-1]:
        inside = inside.setdefault(key, {})
    inside[column.loc[-1]] = value
