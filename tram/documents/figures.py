"""What an instance counted: by agency and person, as CSV and for Prometheus."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from tram.documents.reading import answered
from tram.documents.things import Door, Request
from tram_exporters.textfile import Page


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
    """All rows, the agencies' names, and how many issued documents wait to leave by mail: `mail_trouble` says of some
    why. `mail_unread`: letters in an agency's mailbox that could not be made documents."""

    rows: tuple[Figures, ...]
    agencies: dict[str, str]
    mail_waiting: int
    mail_trouble: dict[str, str]
    mail_unread: dict[str, int]


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
    # An instance that has not had its update yet does not say the last two.
    return Report(
        rows, body["agencies"], body["mail_waiting"], body.get("mail_trouble", {}), body.get("mail_unread", {})
    )


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


def metrics(found: Report, site: str, host: str, now: float | None = None) -> str:
    """For node_exporter's textfile collector: agencies only, no person. The centre says it, of `host` at `site`."""
    page = Page("documents", site=site, host=host)
    for row in by_agency(found.rows):
        page.counter("tram_documents_in_total", "Incoming documents registered.", row.in_, agency=row.agency)
        page.counter("tram_documents_out_total", "Outgoing documents issued.", row.out, agency=row.agency)
        text = "Open documents past their deadline."
        page.gauge("tram_documents_overdue", text, row.overdue, agency=row.agency)
    for agency, count in found.mail_unread.items():
        text = "Letters in the agency's mailbox that could not be made documents."
        page.gauge("tram_documents_letters_unread", text, count, agency=agency)
    return page.text(now=now)
