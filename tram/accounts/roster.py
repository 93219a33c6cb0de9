"""Rosters as agencies send them, checked whole: people as they should be, or every fault at its cell."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from tram.accounts.headings import HEADINGS, Heading, Key, heading_of, read_code, read_day
from tram.accounts.names import BadName, Name, read_name, tidy
from tram.core.errors import BadInput
from tram.register.columns import normal
from tram.register.grid import Sheet, Table, is_empty, read_tables
from tram.register.model import Province, Site
from tram.register.problem import Invalid, Problem, did_you_mean
from tram.register.rows import Cell

_WHO: tuple[Key, ...] = ("code", "name", "family", "given")
_CODE_HINT = "write the code, or delete the row if it is no person"
TITLE_ROWS = 20
"""How far down the row of headings is looked for; above it stand the agency's name, the title, the year."""

MANY = 10
"""From so many rows on, the same fault in the same column is one line."""

_ROW = re.compile(r"\brow \d+\b")


class RosterInvalid(Invalid):
    """Rosters with faults; nothing was changed."""

    what_vi = "Danh sách cán bộ"
    what_en = "roster"


@dataclass(frozen=True, slots=True)
class Member:
    """One person as a roster says. `leaves` is the first day that is no longer his, `hands_over` the code of who takes
    over his mail; `cells` say where what was read, to be named in an error."""

    code: str
    name: Name
    agency: str
    title: str
    leaves: date | None
    hands_over: str | None
    cells: Mapping[Key, Cell]


@dataclass(slots=True)
class Roster:
    """All rosters of a run together: who is in them, the agencies they speak for, headings nobody asked for."""

    members: dict[str, Member] = field(default_factory=dict)
    agencies: set[str] = field(default_factory=set)
    ignored: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Run:
    """What the sheets of a run share: agencies by what they are called, whose a sheet without them is, the finds."""

    agencies: Mapping[str, str]
    default: str
    roster: Roster
    problems: list[Problem]


@dataclass(slots=True)
class _Reading:
    """A sheet that is being read. `joined` are columns whose value continues in the next one: a heading "Họ và tên"
    merged over two columns has family name and given name below it."""

    sheet: Sheet
    columns: dict[int, Heading]
    joined: frozenset[int]
    run: _Run

    def cell(self, row: int, key: Key) -> Cell | None:
        position = next((p for p, heading in self.columns.items() if heading.key == key), None)
        return None if position is None else Cell(self.sheet, row, position)

    def value(self, cell: Cell | None) -> Any:
        """What stands in a cell; None for an empty or a bad one."""
        if cell is None or cell.bad:
            return None
        row = self.sheet.rows[cell.row]
        values = row[cell.column : cell.column + (2 if cell.column in self.joined else 1)]
        present = [value for value in values if not is_empty(value)]
        return None if not present else present[0] if len(values) == 1 else " ".join(str(value) for value in present)


def read_rosters(paths: Sequence[Path], province: Province, *, agency: str = "") -> Roster:
    """Read every sheet of every file; `agency` is whose they are where they have no column that says it.

    Raises: RosterInvalid with every fault of every file; BadInput for what is no spreadsheet, or no agency.
    """
    sites = {site.code: site for site in province.sites}
    if agency and agency not in sites:
        raise BadInput(f"{agency}: no such agency in the register", hint=did_you_mean(agency, [*sites]))
    words = _words(province.sites)
    run = _Run(words, agency, Roster(), [])
    for path in paths:
        tables = read_tables(path, dates=True)
        if not tables:
            raise BadInput(f"{path}: is empty", hint="a roster has a row of headings and one row a person")
        for table in tables:
            _table(path, table, run)
    if run.problems:
        raise RosterInvalid(_together(run.problems))
    return run.roster


def _together(problems: Iterable[Problem]) -> list[Problem]:
    """500 people pasted with one fault are one line, and nothing else is lost among them."""
    alike: dict[tuple[str, ...], list[Problem]] = {}
    for one in problems:
        alike.setdefault((one.file, _ROW.sub("", one.place, count=1), one.message, one.hint), []).append(one)
    found = []
    for same in alike.values():
        lines = {one.line for one in same}
        if len(lines) < MANY:
            found += same
            continue
        rows = f"rows {min(lines)} to {max(lines)} ({len(lines)} people)"
        found.append(replace(same[0], line=min(lines), place=_ROW.sub(rows, same[0].place, count=1)))
    return found


def _words(sites: Iterable[Site]) -> dict[str, str]:
    """Agencies by code and by name, in their normal form."""
    return {normal(text): site.code for site in sites for text in (site.name, site.code)}


def _table(path: Path, table: Table, run: _Run) -> None:
    number, columns = _heading_row(table)
    headings = tuple("" if cell is None else tidy(str(cell)) for cell in table.rows[number - 1])
    width = max(len(row) for row in table.rows)
    rows = {
        at: (*row, *[None] * (width - len(row)))
        for at, row in enumerate(table.rows[number:], start=number + 1)
        if not all(is_empty(cell) for cell in row) or any(bad == at for bad, _ in table.faults)
    }
    joined = frozenset(
        column
        for top, column, bottom, last in table.merged
        if top <= number <= bottom and last == column + 1 and column in columns and columns[column].key == "name"
    )
    sheet = Sheet(path.name, table.name, headings, rows, frozenset(table.faults) | table.hidden)
    reading = _Reading(sheet, columns, joined, run)
    if not _headings(reading, number):
        return
    _faults(reading, table, number)
    _people(reading)


def _heading_row(table: Table) -> tuple[int, dict[int, Heading]]:
    """The row with the most headings we know, and them by position; the first one when no row has any."""
    best: tuple[int, dict[int, Heading]] = (1, {})
    for number, row in enumerate(table.rows[:TITLE_ROWS], start=1):
        found = {p: heading for p, cell in enumerate(row) if isinstance(cell, str) and (heading := heading_of(cell))}
        if len({heading.key for heading in found.values()}) > len({heading.key for heading in best[1].values()}):
            best = (number, found)
    return best


def _headings(reading: _Reading, number: int) -> bool:
    """Whether the sheet can be read on; reports columns that are missing or there twice."""
    sheet, columns, problems = reading.sheet, reading.columns, reading.run.problems
    if len(columns) < 2:
        hint = f'one row must have "{HEADINGS[0].vi}", "{HEADINGS[1].vi}", …; delete a sheet that is no list of people'
        problems.append(sheet.problem(number, None, "no row of headings that we know", hint))
        return False
    before = len(problems)
    for position, heading in [*columns.items()]:
        twin = next(p for p, other in columns.items() if other.key == heading.key)
        if twin != position:
            message = f'says the same as column "{sheet.headings[twin]}"'
            problems.append(sheet.problem(number, position, message, "keep one of them"))
    present = {heading.key for heading in columns.values()}
    needed: set[Key] = {"code"} if reading.run.default else {"code", "agency"}
    needed |= {"family", "given"} if present & {"family", "given"} and "name" not in present else {"name"}
    unknown = [text for position, text in enumerate(sheet.headings) if text and position not in columns]
    for heading in HEADINGS:
        if heading.key in needed and heading.key not in present:
            near = difflib.get_close_matches(heading.vi, unknown, n=1)
            hint = f'is it "{near[0]}"? write "{heading.vi}"' if near else "add it"
            if heading.key == "agency":
                hint += ", or say whose roster it is: --agency CODE"
            problems.append(sheet.problem(number, None, f'the column "{heading.vi}" ({heading.en}) is missing', hint))
    reading.run.roster.ignored += [text for text in unknown if text not in reading.run.roster.ignored]
    return len(problems) == before


def _faults(reading: _Reading, table: Table, number: int) -> None:
    """Formulas, errors and merged cells where we read; elsewhere they are the agency's own business."""
    read = {*reading.columns, *(position + 1 for position in reading.joined)}
    merged = {(top, column): (bottom, last) for top, column, bottom, last in table.merged}
    for (row, column), fault in table.faults.items():
        bottom, last = merged.get((row, column), (row, column))
        if bottom > number and row > number and read & set(range(column, last + 1)):
            # A title between the people, merged over the width, hides nobody: its first cell is in no column of ours.
            if (row, column) in merged and row == bottom and column not in read:
                continue
            reading.run.problems.append(reading.sheet.problem(row, column, *fault))


def _people(reading: _Reading) -> None:
    """A row is a person's as soon as it has a code or a name: titles in between and signatures below have neither."""
    who = {position for position, heading in reading.columns.items() if heading.key in _WHO}
    for row in reading.sheet.rows:
        if any(reading.value(Cell(reading.sheet, row, position)) is not None for position in who):
            _person(reading, row)


def _person(reading: _Reading, row: int) -> None:
    cells = {heading.key: Cell(reading.sheet, row, position) for position, heading in reading.columns.items()}
    before = len(reading.run.problems)
    code = _read(reading, cells["code"], read_code, "no employee code", _CODE_HINT)
    name = _name(reading, cells)
    agency = _agency(reading, cells.get("agency"))
    title = reading.value(cells.get("title"))
    leaves = _optional(reading, cells.get("leaves"), read_day, "is no day", "write it as 31/12/2026")
    hands_over = _optional(
        reading, cells.get("hands_over"), read_code, "is no employee code", "write the code, not the name"
    )
    if code and (twin := reading.run.roster.members.get(code)):
        first = twin.cells["code"]
        where = first.place if first.sheet.file != reading.sheet.file else f"row {first.row}"
        reading.run.problems.append(
            cells["code"].problem(
                f'"{code}" is already that of {twin.name.full} ({where})', "each person has a code of his own"
            )
        )
    if agency:
        reading.run.roster.agencies.add(agency)
    if len(reading.run.problems) > before or not (code and name and agency) or any(cell.bad for cell in cells.values()):
        return
    said = "" if title is None else tidy(str(title))
    reading.run.roster.members[code] = Member(code, name, agency, said, leaves, hands_over, cells)


def _read(reading: _Reading, cell: Cell, parse: Callable[[Any], str | None], empty: str, hint: str) -> str | None:
    value = reading.value(cell)
    found = None if value is None else parse(value)
    if found is None and not cell.bad:
        message = empty if value is None else f'"{_shown(value)}" is no employee code'
        rule = hint if value is None else "letters A-Z, digits and . _ / -, at most 32; format the cell as text"
        reading.run.problems.append(cell.problem(message, rule))
    return found


def _optional(reading: _Reading, cell: Cell | None, parse: Callable[[Any], Any], wrong: str, hint: str) -> Any:
    value = reading.value(cell)
    found = None if value is None else parse(value)
    if value is not None and found is None and cell is not None:
        reading.run.problems.append(cell.problem(f'"{_shown(value)}" {wrong}', hint))
    return found


def _name(reading: _Reading, cells: Mapping[Key, Cell]) -> Name | None:
    at = [cells["name"]] if "name" in cells else [cells["family"], cells["given"]]
    if any(cell.bad for cell in at):
        return None
    values = [reading.value(cell) for cell in at]
    lacking = next((cell for cell, value in zip(at, values, strict=True) if value is None), None)
    if lacking is not None:
        reading.run.problems.append(lacking.problem("no name", "write it, or delete the row if it is no person"))
        return None
    try:
        return read_name(" ".join(str(value) for value in values))
    except BadName as error:
        reading.run.problems.append(at[0].problem(error.message, error.hint))
        return None


def _agency(reading: _Reading, cell: Cell | None) -> str | None:
    value = reading.value(cell)
    if value is None:
        if cell is None:
            return reading.run.default
        if not cell.bad:
            reading.run.problems.append(cell.problem("no agency", "write its name or code as in the register"))
        return None
    text = tidy(str(value))
    code = reading.run.agencies.get(normal(text))
    if code is None and cell is not None:
        hint = did_you_mean(text, sorted({*reading.run.agencies.values()}))
        near = difflib.get_close_matches(normal(text), [*reading.run.agencies], n=1)
        hint = f'did you mean "{reading.run.agencies[near[0]]}"?' if near else hint
        reading.run.problems.append(cell.problem(f'no agency "{text}" in the register', hint))
    return code


def _shown(value: Any) -> str:
    if isinstance(value, date):
        return f"{value:%d/%m/%Y}"
    return tidy(str(value))[:60]
