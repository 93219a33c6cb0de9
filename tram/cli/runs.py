"""`tram runs`: what was given to whom, how far it is, how it ended."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from tram.cli.i18n import _, both
from tram.cli.rollout_words import STATES, add_columns, ago, clock, coloured, progress, size
from tram.core.canonical import dumps
from tram.core.errors import BadInput
from tram.core.events import Event
from tram.ledger import HostRow, Ledger, RunRow, Shown, State, UnknownRun, open_ledger
from tram.register import load

# What --follow looks at the ledger, in seconds.
_EVERY = 1.0

LIST_EXAMPLES = (
    _("Examples:")
    + """

  tram runs

  tram runs --inventory inventories/ha-tinh --limit 5

  tram runs --json | jq '.[] | select(.ended == null) | .run'"""
)
SHOW_EXAMPLES = (
    _("Examples:")
    + """

  tram runs show last

  tram runs show 20261121T190500Z-3f9a1c --host huong-khe-srv1

  tram runs show last --follow

"""
    + _("Ends with 0 when no host failed, 1 when one did, 2 for wrong input.")
)

app = typer.Typer(help=_("What was delivered to whom, how far it is, how it ended."))

Inventory = Annotated[Path, typer.Option("--inventory", "-i", metavar="DIR", help=_("The province's folder."))]
AsJson = Annotated[bool, typer.Option("--json", help=_("Print it as JSON."))]
LAB = Path("inventories/lab")


@app.callback(invoke_without_command=True, epilog=LIST_EXAMPLES)
def list_runs(
    context: typer.Context,
    inventory: Inventory = LAB,
    limit: Annotated[int, typer.Option("--limit", min=1, help=_("How many of the newest runs."))] = 20,
    as_json: AsJson = False,
) -> None:
    """Print the newest runs first."""
    if context.invoked_subcommand:
        context.obj = inventory
        return
    found = open_ledger(load(inventory).code).runs(limit=limit)
    if as_json:
        typer.echo(json.dumps([plain_run(run) for run in found], ensure_ascii=False, indent=2))
        return
    console = Console(highlight=False)
    if not found:
        console.print(_("Nothing was delivered yet."))
        return
    table = Table()
    add_columns(table, both("Run"), both("Playbook"), both("Kind"), both("Started"), both("Ended"), both("Hosts"))
    for run in found:
        ended = clock(run.ended) if run.ended else "–"
        table.add_row(run.run, escape(run.playbook), run.kind, clock(run.started), ended, _counted(run))
    console.print(table)


@app.command("show", help=_("Show one run, host by host."), epilog=SHOW_EXAMPLES)
def show(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="ID", help=_("The run, its beginning, or last."))],
    *,
    host: Annotated[str | None, typer.Option("--host", help=_("One host only, with its events."))] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help=_("Go on until the run has ended."))] = False,
    inventory: Annotated[
        Path | None, typer.Option("--inventory", "-i", metavar="DIR", help=_("The province's folder."))
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the run; exit code 1 when a host failed in it."""
    ledger = open_ledger(load(inventory or context.obj or LAB).code)
    name = find_run(ledger, run)
    console = Console(highlight=False)
    if as_json:
        for shown in _watched(ledger, name, host, follow=follow):
            indent = None if follow else 2
            typer.echo(json.dumps(plain_shown(ledger, shown, host), ensure_ascii=False, indent=indent))
    elif follow:
        with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
            for shown in _watched(ledger, name, host, follow=True):
                live.update(_page(ledger, shown, host), refresh=True)
    else:
        (shown,) = _watched(ledger, name, host, follow=False)
        console.print(_page(ledger, shown, host))
    if any(row.state.outcome == "failed" for row in shown.hosts):
        raise typer.Exit(1)


def find_run(ledger: Ledger, text: str) -> str:
    """The one run of this name, or whose name begins so; `last` is the newest.

    Raises: BadInput.
    """
    found = [run.run for run in ledger.runs(limit=1 if text == "last" else 10_000)]
    matching = found if text == "last" else [name for name in found if name.startswith(text)]
    if len(matching) > 1 and text not in matching:
        raise BadInput(f"{len(matching)} runs begin with {text}", hint=f"for example {matching[0]}")
    if not matching:
        raise UnknownRun(f"no run {text} in the ledger", hint="tram runs lists them")
    return text if text in matching else matching[0]


def plain_run(run: RunRow) -> dict[str, Any]:
    """A run for machines: docs/contracts/ledger.md."""
    return {**_dated(asdict(run)), "counts": {str(state): count for state, count in run.counts.items()}}


def plain_host(row: HostRow) -> dict[str, Any]:
    """A host of a run for machines; who holds its lease is nobody else's business."""
    found = {name: value for name, value in _dated(asdict(row)).items() if not name.startswith("lease_")}
    return {**found, "outcome": row.outcome, "percent": row.percent}


def plain_shown(ledger: Ledger, shown: Shown, host: str | None) -> dict[str, Any]:
    """A run with its hosts, and the events of the one that was asked for."""
    found = {**plain_run(shown.run), "hosts": [plain_host(row) for row in shown.hosts]}
    if host is not None:
        found["events"] = [event.document() for event in ledger.events(shown.run.run, host)]
    return found


def _watched(ledger: Ledger, run: str, host: str | None, *, follow: bool) -> Iterator[Shown]:
    """The run as it is now; with `follow` again each time something changed, until it has ended."""
    before: Shown | None = None
    while True:
        shown = ledger.show(run)
        if host is not None:
            shown = Shown(shown.run, (ledger.host(run, host),))
        if shown != before:
            yield shown
        if not follow or shown.run.ended or (host and shown.hosts[0].state in (State.DONE, State.FAILED)):
            return
        before = shown
        time.sleep(_EVERY)


def _page(ledger: Ledger, shown: Shown, host: str | None) -> Group:
    run = shown.run
    ended = _("ended {at}").format(at=clock(run.ended)) if run.ended else _("not ended")
    table = Table(title=f"{run.run} · {escape(run.playbook)} · {clock(run.started)} · {ended}")
    add_columns(
        table,
        both("Host"),
        both("Outcome"),
        both("Progress"),
        both("Sent / received"),
        both("Tries"),
        both("Last heard"),
        both("Reason"),
    )
    for row in shown.hosts:
        table.add_row(
            row.host,
            coloured(STATES[row.state], lines=True),
            progress(row),
            f"{size(row.bytes_down)} / {size(row.bytes_up)}",
            str(row.attempts),
            ago(row.last_heard),
            escape(_why(row)),
        )
    return Group(table, *([_events(ledger.events(run.run, host))] if host else []))


def _why(row: HostRow) -> str:
    if row.next_try:
        again = _("again from {at}").format(at=clock(row.next_try))
        return f"{row.reason}; {again}" if row.reason else again
    return row.reason


def _events(found: list[Event]) -> Table:
    table = Table()
    add_columns(table, both("No."), both("Site's clock"), both("Kind"), both("What happened"))
    for event in found:
        table.add_row(str(event.seq), event.at, event.kind, escape(_told(event)))
    return table


def _told(event: Event) -> str:
    """What its kind says first, in a line; then everything else there is, and a diff as it reads."""
    body = dict(event.body)
    names = ("state", "outcome", "status", "task", "item", "reason", "message", "text")
    first = [str(body.pop(name)) for name in names if body.get(name)]
    diff = str(body.pop("diff", "")).strip()
    rest = dumps({name: value for name, value in body.items() if value not in ("", [], None)}).decode()
    return "\n".join(part for part in (" · ".join(first), "" if rest == "{}" else rest, diff) if part)


def _counted(run: RunRow) -> str:
    words = [f"[{STATES[state][0]}]{STATES[state][1]}: {count}[/]" for state, count in sorted(run.counts.items())]
    return "\n".join(words)


def _dated(values: dict[str, Any]) -> dict[str, Any]:
    """Moments as RFC 3339 text."""
    return {
        name: value.isoformat(timespec="milliseconds").replace("+00:00", "Z") if isinstance(value, datetime) else value
        for name, value in values.items()
    }
