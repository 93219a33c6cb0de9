"""What an instance counted: by agency and person, as CSV and for Prometheus."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from tram.documents.reading import answered
from tram.documents.things import Door, Request


@dataclass(frozen=True, slots=True)
class Figures:
    """One agency's person, or, with no person, what is nobody's; `owner_gone`: open work of somebody who left."""

    agency: str
    person: str
    in_: int
    out: int
    open: int
    overdue: int
    owner_gone: int


@dataclass(frozen=True, slots=True)
class Report:
    """All rows, the agencies' names, and how many issued documents wait to leave by mail."""

    rows: tuple[Figures, ...]
    agencies: dict[str, str]
    mail_waiting: int


def read_report(door: Door, year: int | None = None) -> Report:
    """Ask an instance; without a year what was registered in all years.

    Raises: MayanRefused; what the door raises.
    """
    requests: list[Request] = [{"method": "GET", "path": f"tram/report/?year={year}" if year else "tram/report/"}]
    answers = door.ask(requests)
    answered(door, requests, answers)
    body: dict[str, Any] = answers[0]["body"]
    rows = tuple(
        Figures(**{"in_" if name == "in" else name: value for name, value in row.items()}) for row in body["rows"]
    )
    return Report(rows, body["agencies"], body["mail_waiting"])


def by_agency(rows: Sequence[Figures]) -> list[Figures]:
    """One row an agency."""
    found = []
    for agency in sorted({row.agency for row in rows}):
        mine = [row for row in rows if row.agency == agency]
        sums = {one.name: sum(getattr(row, one.name) for row in mine) for one in fields(Figures)[2:]}
        found.append(Figures(agency, "", **sums))
    return found


def plain(row: Figures) -> dict[str, Any]:
    """A row as JSON and CSV have it."""
    return {"in" if name == "in_" else name: value for name, value in asdict(row).items()}


def csv_lines(rows: Sequence[Figures]) -> str:
    """Rows for a spreadsheet."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*plain(rows[0])] if rows else ["agency"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain(row) for row in rows)
    return text.getvalue()


def metrics(rows: Sequence[Figures]) -> str:
    """For node_exporter's textfile collector: agencies only, no person. Source: Prometheus, exposition formats."""
    names = {
        "tram_documents_in_total": ("counter", "Incoming documents registered.", "in_"),
        "tram_documents_out_total": ("counter", "Outgoing documents issued.", "out"),
        "tram_documents_overdue": ("gauge", "Open documents past their deadline.", "overdue"),
    }
    lines = []
    for name, (kind, text, column) in names.items():
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        lines += [f'{name}{{agency="{row.agency}"}} {getattr(row, column)}' for row in by_agency(rows)]
    return "\n".join(lines) + "\n"
