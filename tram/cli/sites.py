"""`tram sites`: the site register on the command line, to and from spreadsheets."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tram.cli.i18n import _, both
from tram.core.units import format_rate, format_share, format_span
from tram.proof.map import province_svg
from tram.register import Host, Link, Province, Site, load
from tram.register.exporting import export_sheet
from tram.register.importing import Change, Imported, import_sheets
from tram.register.inventory import link_row

MAP_EXAMPLES = """\
Example:

  tram sites map inventories/lab --to docs/pictures/lab.svg"""
CHECK_EXAMPLES = """\
Examples:

  tram sites check inventories/ha-tinh

Ends with 0 when the register is good, 2 with every error of every file when it is not."""
LIST_EXAMPLES = """\
Examples:

  tram sites list inventories/lab

  tram sites list inventories/ha-tinh --json | jq '.[] | select(.pilot) | .code'"""
IMPORT_EXAMPLES = """\
Examples:

  tram sites import danh-sach.xlsx --into inventories/ha-tinh --dry-run

  tram sites import danh-sach.csv --into inventories/ha-tinh

One row a host; headings in Vietnamese or English ("Mã đơn vị", "Site code", …): see docs/contracts/register.md.
Ends with 0 when all of it was taken, 2 with every wrong cell when nothing was."""
EXPORT_EXAMPLES = """\
Examples:

  tram sites export inventories/ha-tinh --to danh-sach.xlsx"""

app = typer.Typer(no_args_is_help=True, help=_("The site register: who is where, on which link, with which hosts."))

Folder = Annotated[Path, typer.Argument(metavar="DIR", help=_("The province's folder."))]


@app.command("check", help=_("Check every file of a register and show all errors at once."), epilog=CHECK_EXAMPLES)
def check(folder: Folder) -> None:
    """Say that the register is good, or fail with every error in it."""
    province = load(folder)
    hosts = sum(len(site.hosts) for site in province.sites)
    text = _("{name}: {sites} sites, {hosts} hosts, no error")
    _console().print(escape(text.format(name=province.name, sites=len(province.sites), hosts=hosts)))


@app.command("list", help=_("List the sites of a province."), epilog=LIST_EXAMPLES)
def list_sites(
    folder: Folder, as_json: Annotated[bool, typer.Option("--json", help=_("Print the sites as JSON."))] = False
) -> None:
    """Print one row a site, in the order of tiers."""
    province = load(folder)
    if as_json:
        typer.echo(json.dumps([_plain(site) for site in province.sites], ensure_ascii=False, indent=2))
        return
    title = f"{province.name} · {province.domain}"
    headings = (
        *(both("Code"), both("Site"), both("Tier"), both("Line"), both("Down / up"), both("Delay"), both("Loss")),
        *(both("Hosts"), both("Year"), both("Functions")),
    )
    _print_table(title, headings, (_cells(province, site) for site in province.sites))


@app.command("import", help=_("Bring a spreadsheet into a register: all of it, or nothing."), epilog=IMPORT_EXAMPLES)
def import_file(
    spreadsheet: Annotated[Path, typer.Argument(metavar="FILE.xlsx|.csv", help=_("The spreadsheet."))],
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help=_("The province's folder."))],
    dry_run: Annotated[bool, typer.Option("--dry-run", help=_("Only say what would change."))] = False,
) -> None:
    """Import, and print what it did to each site."""
    done = import_sheets(spreadsheet, into, dry_run=dry_run)
    _report(done, _("What would change") if dry_run else _("What changed"))


@app.command("export", help=_("Write a register to a spreadsheet."), epilog=EXPORT_EXAMPLES)
def export_file(
    folder: Folder,
    to: Annotated[Path, typer.Option("--to", metavar="FILE.xlsx|.csv", help=_("The spreadsheet."))],
    force: Annotated[bool, typer.Option("--force", help=_("Replace the file when it is there already."))] = False,
) -> None:
    """Export, and print how many rows were written."""
    rows = export_sheet(folder, to, force=force)
    _console().print(escape(_("{file}: {rows} rows written").format(file=to, rows=rows)))


@app.command("map", help=_("Draw a province: its sites, servers and lines, as a picture (SVG)."), epilog=MAP_EXAMPLES)
def draw(
    folder: Folder,
    file: Annotated[Path, typer.Option("--to", help=_("The picture to write."))],
) -> None:
    """Draw the picture that the README and the demo's page show."""
    file.write_text(province_svg(load(folder)), encoding="utf-8")


def _report(done: Imported, title: str) -> None:
    console = _console()
    words = {"new": ("green", both("new")), "changed": ("yellow", both("changed"))}
    rows = [_change(change, *words[change.what]) for change in done.changes if change.what in words]
    if rows:
        _print_table(title, (both("Code"), both("Site"), both("Change"), both("Hosts that go")), rows)
    same = sum(change.what == "same" for change in done.changes)
    console.print(_("{count} sites are as they were").format(count=same + len(done.kept)))
    if done.kept:
        console.print(_("not in the spreadsheet, kept: {sites}").format(sites=", ".join(done.kept)))
    if done.ignored:
        headings = escape(", ".join(f'"{heading}"' for heading in done.ignored))
        console.print(_("columns we do not know, not read: {headings}").format(headings=headings))


def _change(change: Change, colour: str, word: str) -> tuple[str, ...]:
    return change.code, escape(change.name), f"[{colour}]{word}[/]", ", ".join(change.hosts_gone)


def _cells(province: Province, site: Site) -> tuple[str, ...]:
    """One row of the list."""
    name = escape(site.name) + (f" [cyan]({_('hub')})[/]" if site.is_hub else "")
    name += f" [cyan]({_('pilot')})[/]" if site.pilot else ""
    functions = dict.fromkeys(function for host in site.hosts for function in host.functions)
    return (
        site.code,
        name,
        escape(province.tiers[site.tier].name_vi),
        *_line(site.link),
        "\n".join(f"{host.name} {host.address}" for host in site.hosts) or "–",
        "\n".join(str(host.year) for host in site.hosts),
        ", ".join(functions),
    )


def _line(link: Link | None) -> tuple[str, str, str, str]:
    if link is None:
        return "–", "", "", ""
    rates = f"{format_rate(link.down_bps)} / {format_rate(link.up_bps)}"
    return link.link_class, rates, format_span(link.rtt), format_share(link.loss)


def _plain(site: Site) -> dict[str, Any]:
    """A site for machines: docs/contracts/register.md."""
    return {
        "code": site.code,
        "name": site.name,
        "tier": site.tier,
        "parent": site.parent,
        "domain": site.domain,
        "network": str(site.network),
        "is_hub": site.is_hub,
        "pilot": site.pilot,
        "link": link_row(site.link) if site.link else None,
        "hosts": [_plain_host(host) for host in site.hosts],
    }


def _plain_host(host: Host) -> dict[str, Any]:
    return {
        "name": host.inventory_name,
        "fqdn": host.fqdn,
        "address": str(host.address),
        "year": host.year,
        "model": host.model,
        "ram_mb": host.ram_mb,
        "cores": host.cores,
        "suite": host.suite,
        "functions": list(host.functions),
    }


def _print_table(title: str, headings: Iterable[str], rows: Iterable[tuple[str, ...]]) -> None:
    table = Table(title=escape(title))
    for heading in headings:
        table.add_column(heading.replace(" · ", "\n"), overflow="fold", no_wrap=heading == both("Code"))
    for row in rows:
        table.add_row(*row)
    _console().print(table)


def _console() -> Console:
    """Standard output; into a file or a pipe the table keeps a width that holds all its columns."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=180)
