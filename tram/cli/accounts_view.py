"""What `tram accounts` shows: a plan and the funnels, as tables and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tram.accounts.funnel import STAGES, Funnel, total
from tram.accounts.plan import Change, Plan
from tram.accounts.roster import Roster
from tram.cli.i18n import _, both

KINDS = {
    "join": ("green", both("joins")),
    "return": ("green", both("returns")),
    "move": ("yellow", both("moves")),
    "update": ("yellow", both("changes")),
    "leaving": ("yellow", both("will leave")),
    "leave": ("red", both("leaves")),
    "delete": ("red", both("is deleted")),
    "activated": ("dim", both("has set a password")),
}
_QUIET = {"tramDisabledSince", "tramActivated", "sn", "givenName"}
"""Attributes that follow from others, or say when: the table is for people."""

ROWS = 60
"""So many changes are listed one by one in the table; JSON has all."""


def show_plan(made: Plan, roster: Roster, title: str) -> None:
    """Print a plan: leavers first, because they are what hurts when it is wrong."""
    console = Console(highlight=False)
    table = Table(title=title)
    table.add_column(both("Code"), no_wrap=True)
    for heading in (both("Person"), both("Agency"), both("Change"), both("What")):
        table.add_column(heading, overflow="fold")
    order = [*reversed(KINDS)]
    listed = sorted(made.changes, key=lambda change: (order.index(change.kind), change.code))
    for change in listed[:ROWS]:
        colour, word = KINDS[change.kind]
        table.add_row(
            escape(change.code), escape(change.name), change.agency, f"[{colour}]{word}[/]", escape(_what(change))
        )
    if listed:
        console.print(table)
    if len(listed) > ROWS:
        console.print(_("… and {count} more; all of them: --json").format(count=len(listed) - ROWS))
    for warning in made.warnings:
        console.print(escape(warning), soft_wrap=True)
    if roster.ignored:
        console.print(escape(_("Columns that were not read: {columns}").format(columns=", ".join(roster.ignored))))
    counts = made.count()
    words = [f"{KINDS[kind][1]}: {counts[kind]}" for kind in KINDS if kind in counts]
    console.print(" · ".join([*words, f"{both('stay as they are')}: {made.same}"]), soft_wrap=True)


def _what(change: Change) -> str:
    if change.kind == "join":
        return change.mail
    shown = {name: pair for name, pair in change.details.items() if name not in _QUIET}
    return "; ".join(f"{name}: {was or '–'} → {will or '–'}" for name, (was, will) in shown.items())


def plain_plan(made: Plan, roster: Roster) -> dict[str, Any]:
    """A plan as JSON has it. No password is in it: a plan knows none."""
    return {
        "changes": [
            {
                "kind": change.kind,
                "code": change.code,
                "name": change.name,
                "agency": change.agency,
                "mail": change.mail,
                "details": {name: {"from": was, "to": will} for name, (was, will) in change.details.items()},
            }
            for change in made.changes
        ],
        "same": made.same,
        "agencies": sorted(roster.agencies),
        "ignored_columns": roster.ignored,
        "warnings": [*made.warnings],
    }


def show_funnels(rows: Sequence[Funnel], names: Mapping[str, str]) -> None:
    """Print the funnels, the whole province last."""
    table = Table()
    table.add_column(both("Agency"), overflow="fold")
    headings = (both("People"), both("Issued"), both("Activated"), both("Used in 30 days"), both("Sent"))
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in [*rows, total(rows)]:
        if not row.agency:
            table.add_section()
        figures = [_figure(getattr(row, stage), row.people, first=stage == "people") for stage in STAGES]
        table.add_row(escape(names.get(row.agency, row.agency) or both("Province")), *figures)
    Console(highlight=False).print(table)


def _figure(value: int | None, people: int, *, first: bool) -> str:
    if value is None:
        return f"[yellow]{both('unknown')}[/]"
    return str(value) if first or not people else f"{value} ({value / people:.0%})"


def plain_funnel(row: Funnel) -> dict[str, Any]:
    """A funnel as JSON has it; an unknown figure is null."""
    return asdict(row)
