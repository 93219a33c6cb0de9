"""`tram antivirus`: what scans on each host, with which signatures, how old; changes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tram.cli.i18n import _, both
from tram.core.errors import BadInput
from tram.look.antivirus import Antivirus, look_at_antivirus
from tram.register import Host, Province, load

app = typer.Typer(no_args_is_help=True, help=_("Antivirus: what is in effect on each host."))

EXAMPLES = (
    _("Examples:")
    + """

  tram antivirus status

  tram antivirus status -i inventories/ha-tinh --limit huong-khe --findings

  tram antivirus status --json | jq '.[] | select(.active == null) | .host'

"""
    + _("Ends with 0 when every scanner has the newest release in effect, 1 otherwise, 2 for wrong input.")
)


ACTIONS = {"quarantined": _("in quarantine:"), "reported": _("only reported")}


@app.callback()
def group() -> None:
    """Keep `status` a sub-command even while it is the only one."""


@app.command("status", help=_("Engine, signatures, their age, last scan and findings of each host."), epilog=EXAMPLES)
def status(
    *,
    inventory: Annotated[
        Path, typer.Option("--inventory", "-i", metavar="DIR", help=_("The province's folder."))
    ] = Path("inventories/lab"),
    limit: Annotated[
        list[str] | None, typer.Option("--limit", "-l", metavar="HOST", help=_("This host, or site; may be repeated."))
    ] = None,
    findings: Annotated[bool, typer.Option("--findings", help=_("List what was found where, too."))] = False,
    as_json: Annotated[bool, typer.Option("--json", help=_("Print the results as JSON."))] = False,
    parallel: Annotated[int, typer.Option(min=1, max=64, help=_("How many hosts at once."))] = 8,
) -> None:
    """Ask every host with the function antivirus."""
    province = load(inventory)
    seen = look_at_antivirus(province, protected(province, limit or []), parallel=parallel)
    newest = max((one.installed or 0 for one in seen), default=0)
    if as_json:
        typer.echo(json.dumps([plain(one) for one in seen], ensure_ascii=False, indent=1))
    else:
        _show(seen, newest)
        if findings:
            show_findings(seen)
    if any(one.active is None or one.active < newest for one in seen):
        raise typer.Exit(1)


def protected(province: Province, limit: Sequence[str]) -> list[Host]:
    """The hosts with the function antivirus, or those of them that are named, or at a site that is.

    Raises: BadInput for a name that is none of them, and when there is no such host at all.
    """
    known = [(site, host) for site in province.sites for host in site.hosts if "antivirus" in host.functions]
    if not known:
        raise BadInput(
            f"{province.folder}: no host has the function antivirus", hint="add it in sites/<code>.yml, then deliver it"
        )
    for name in limit:
        if not any(name in (site.code, host.inventory_name) for site, host in known):
            names = ", ".join(host.inventory_name for _site, host in known)
            raise BadInput(f"{name}: is no host or site with the function antivirus", hint=f"there are: {names}")
    return [host for site, host in known if not limit or site.code in limit or host.inventory_name in limit]


def plain(one: Antivirus) -> dict[str, Any]:
    """A status as JSON has it: times in ISO 8601, ages in seconds; `unknown` is null when all is known."""
    found = asdict(one)
    found["unknown"] = one.unknown or None
    found["age_seconds"] = None if one.age is None else one.age.total_seconds()
    del found["age"]
    found["scanned"] = None if one.scanned is None else one.scanned.isoformat()
    found["findings"] = [item | {"at": item["at"].isoformat()} for item in found["findings"]]
    return found


def _show(seen: Sequence[Antivirus], newest: int) -> None:
    console = Console(highlight=False)
    table = Table()
    table.add_column(both("Host"), no_wrap=True)
    headings = (both("Engine"), both("Profile"), both("Release in effect"), both("Age"), both("ClamAV's own sets"))
    for heading in (*headings, both("Last scan"), both("Findings")):
        table.add_column(heading, overflow="fold")
    for one in seen:
        table.add_row(one.host, *_row(one, newest))
    console.print(table)
    for one in seen:
        for note in filter(None, (one.unknown, one.error, one.profile_why)):
            console.print(f"{one.host}: {note}", markup=False, soft_wrap=True)


def _row(one: Antivirus, newest: int) -> list[str]:
    unknown = f"[yellow]{both('unknown')}[/]"
    if one.unknown:
        return ["?", "?", unknown, "?", "?", "?", "?"]
    if one.active is None:
        active = unknown
    elif one.active < newest:
        active = f"[red]{one.active} < {newest}[/]"
    else:
        active = f"[green]{one.active}[/]"
    return [
        escape(one.engine or "?"),
        escape(one.profile or "?"),
        active,
        age(one.age),
        escape(one.official or _("none")),
        f"{one.scanned:%Y-%m-%d %H:%M}" if one.scanned else _("never"),
        f"[red]{len(one.findings)}[/]" if one.findings else "0",
    ]


def show_findings(seen: Sequence[Antivirus], name: str = "") -> int:
    """Print what was found, only of the signature `name` when given (a scanner says Tram.NAME); the number of rows."""
    found = [
        (one.host, item) for one in seen for item in one.findings if not name or item.name in (name, f"Tram.{name}")
    ]
    table = Table(title=both("Findings"))
    for heading in (both("Host"), both("When"), both("File"), both("Signature"), both("What was done")):
        table.add_column(heading, overflow="fold")
    for host, item in sorted(found, key=lambda row: row[1].at):
        when = item.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(
            host,
            when,
            escape(item.path),
            escape(item.name),
            f"{ACTIONS.get(item.action, escape(item.action))} {escape(item.id)}",
        )
    if found:
        Console(highlight=False).print(table)
    return len(found)


def age(span: timedelta | None) -> str:
    """An age in the unit a person would say it in."""
    if span is None:
        return "?"
    seconds = span.total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
