"""`tram documents`: an office's practice into its instance of Mayan, and what the instance counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tram.act.come import come
from tram.act.documents import HostDocuments
from tram.act.target import targets
from tram.cli.accounts import LAB, METRICS, AsJson, Inventory
from tram.cli.i18n import _, both
from tram.cli.staging import centre_key
from tram.cli.timers import Install, figures_place, print_or_install
from tram.core.errors import BadInput
from tram.documents.figures import Figures, by_agency, csv_lines, metrics, plain, read_report
from tram.documents.plan import Plan, apply_changes, make_plan
from tram.documents.practice import read_practice
from tram.documents.reading import read
from tram.register import Province, load
from tram.register.problem import did_you_mean
from tram.rollout.timer import Call, make_units
from tram_exporters.textfile import put

app = typer.Typer(no_args_is_help=True, help=_("Documents: the practice as code, and who has what in hand."))

_EXAMPLES = _("Examples:")
Site = Annotated[str, typer.Argument(metavar="SITE", help=_("The site whose host has the documents."))]
LeaveOpen = Annotated[
    bool, typer.Option("--leave-open", help=_("Take people out of an agency even with open documents in their hands."))
]
ROWS = 60


@app.command(
    "plan",
    help=_("Say what the practice would change; change nothing."),
    epilog=f"{_EXAMPLES}\n\n  tram documents plan so-noi-vu\n\n  tram documents plan so-noi-vu --json | jq .changes\n\n"
    + _("Ends with 0, 1 when Mayan could not be asked, 2 with every fault of the practice."),
)
def plan(site: Site, *, inventory: Inventory = LAB, leave_open: LeaveOpen = False, as_json: AsJson = False) -> None:
    """Compare the practice with the instance."""
    with compared(site, inventory, leave_open=leave_open) as (_door, made):
        pass
    show(made, _("What would change"), as_json=as_json)


@app.command(
    "apply",
    help=_("Make the instance say what the practice says; the second time nothing changes."),
    epilog=f"{_EXAMPLES}\n\n  tram documents apply so-noi-vu\n\n"
    + _("Ends with 0 when all of it is done, 1 when it stopped on the way (run it again), 2 when nothing was changed."),
)
def apply(site: Site, *, inventory: Inventory = LAB, leave_open: LeaveOpen = False, as_json: AsJson = False) -> None:
    """Compare, then change."""
    with compared(site, inventory, leave_open=leave_open) as (door, made):
        if not as_json:
            show(made, _("What changes"), as_json=False)
        apply_changes(door, made)
    if as_json:
        show(made, "", as_json=True)


@app.command(
    "status",
    help=_("One line an agency: in, out, open, overdue."),
    epilog=f"{_EXAMPLES}\n\n  tram documents status so-noi-vu\n\n"
    + _("Ends with 0, 1 when Mayan could not be asked, 2 for wrong input."),
)
def status(site: Site, *, inventory: Inventory = LAB, as_json: AsJson = False) -> None:
    """Agencies only."""
    province = load(inventory)
    with site_documents(province, known(province, site)) as door:
        found = read_report(door)
    rows = by_agency(found.rows)
    if as_json:
        mail = {name: getattr(found, name) for name in ("mail_waiting", "mail_trouble", "mail_unread")}
        typer.echo(json.dumps({"rows": [plain(row) for row in rows], **mail}, ensure_ascii=False, indent=1))
        return
    table(rows, found.agencies)
    console = Console(highlight=False, soft_wrap=True)
    if found.mail_waiting:
        console.print(_("{count} issued documents wait to leave by mail").format(count=found.mail_waiting))
    for document, why in found.mail_trouble.items():
        said = _("document {document} did not leave: {why}").format(document=document, why=why)
        console.print(f"[red]{escape(said)}[/]")
    for agency, count in found.mail_unread.items():
        if count:
            said = _("{agency}: {count} letters could not be read; in its mailbox they bear the keyword TramKhongDoc")
            name = found.agencies.get(agency, agency)
            console.print(f"[red]{escape(said.format(agency=name, count=count))}[/]")


@app.command(
    "report",
    help=_("In, out, open and overdue by agency and person."),
    epilog=f"{_EXAMPLES}\n\n  tram documents report so-noi-vu --year 2026 --csv > van-ban.csv\n\n"
    "  tram documents report so-noi-vu --metrics /var/lib/prometheus/node-exporter/tram_documents_so-noi-vu.prom\n\n"
    + _("Ends with 0, 1 when Mayan could not be asked, 2 for wrong input."),
)
def report(
    site: Site,
    *,
    inventory: Inventory = LAB,
    year: Annotated[
        int | None, typer.Option(min=2000, max=2100, help=_("Only what was registered in this year."))
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help=_("Print the results as CSV."))] = False,
    as_json: AsJson = False,
    textfile: Annotated[
        Path | None, typer.Option("--metrics", metavar="FILE.prom", help=_("Write them for Prometheus, too."))
    ] = None,
) -> None:
    """Persons, too; the metrics have agencies only."""
    province = load(inventory)
    with site_documents(province, known(province, site)) as door:
        found = read_report(door, year)
        ever = found if year is None or textfile is None else read_report(door)
    if textfile:
        put(textfile, metrics(ever, site, documents_host(province, site)))
    if as_json:
        typer.echo(json.dumps([plain(row) for row in found.rows], ensure_ascii=False, indent=1))
    elif as_csv:
        typer.echo(csv_lines(found.rows), nl=False)
    else:
        table(found.rows, found.agencies)


@app.command(
    "timer",
    help=_("Let this machine count each hour what a site's documents wait for, for the board and the watch."),
    epilog=f"{_EXAMPLES}\n\n  tram documents timer so-noi-vu -i inventories/ha-tinh\n\n"
    "  tram documents timer so-noi-vu -i inventories/ha-tinh --install\n\n"
    + _("As root for the whole machine, otherwise for your account. Without --install it only prints them."),
)
def timer(
    site: Site,
    *,
    inventory: Inventory = LAB,
    install: Install = False,
    textfile: Annotated[
        Path | None, typer.Option("--metrics", metavar="FILE.prom", help=_("Where the figures for Prometheus go."))
    ] = None,
) -> None:
    """Print the two units that call `tram documents report --metrics` for a site, or put them in place."""
    province = load(inventory)
    file = textfile or METRICS.with_name(f"tram_documents_{known(province, site)}.prom")
    call = Call(
        f"tram-documents-{province.code}-{known(province, site)}",
        "documents report",
        f"count what the documents of {site} wait for",
        "each hour",
        "OnCalendar=hourly\nRandomizedDelaySec=10min\nPersistent=true\n",
        arguments=(site, "--metrics", figures_place(file, install=install)),
        longest=timedelta(minutes=30),
    )
    print_or_install(make_units(province, call, project=Path.cwd()), install=install)


def known(province: Province, site: str) -> str:
    """A site that has documents.

    Raises: BadInput.
    """
    having = [one.code for one in province.sites if any("documents" in host.functions for host in one.hosts)]
    if site not in having:
        raise BadInput(f"{site}: no site with the function documents", hint=did_you_mean(site, having))
    return site


def documents_host(province: Province, site: str) -> str:
    """The host that has a site's documents."""
    hosts = [host for one in province.sites if one.code == site for host in one.hosts if "documents" in host.functions]
    return hosts[0].inventory_name


@contextmanager
def site_documents(province: Province, site: str) -> Iterator[HostDocuments]:
    """A site's instance over one connection that is closed at the end.

    Raises: BadInput when the centre has no key; NotReached, IdentityUnknown, IdentityChanged, LoginRefused.
    """
    with come(targets(province, [documents_host(province, site)])[0], centre_key(province)) as session:
        yield HostDocuments(session)


@contextmanager
def compared(site: str, inventory: Path, *, leave_open: bool) -> Iterator[tuple[HostDocuments, Plan]]:
    """A site's instance, and what the practice would change in it.

    Raises: BadInput for a wrong practice, before the instance is asked; what `site_documents` and `make_plan` raise.
    """
    province = load(inventory)
    practice = read_practice(province, known(province, site))
    with site_documents(province, site) as door:
        yield door, make_plan(practice, read(door), leave_open=leave_open)


KINDS = {
    "field": both("field"),
    "type": both("type"),
    "type's field": both("type's field"),
    "flow": both("flow"),
    "flow's type": both("flow's type"),
    "state": both("state"),
    "step": both("step"),
    "question": both("question"),
    "role": both("role"),
    "role's group": both("role's group"),
    "group": both("group"),
    "group's person": both("group's person"),
    "cabinet": both("cabinet"),
    "user": both("user"),
    "right": both("right"),
    "practice": both("practice"),
}
ACTIONS = {
    "create": ("green", both("is made")),
    "change": ("yellow", both("changes")),
    "remove": ("red", both("is taken away")),
}


def show(made: Plan, title: str, *, as_json: bool) -> None:
    """A plan for people or programs; requests are not shown, they carry ids only."""
    if as_json:
        changes = [
            {name: value for name, value in asdict(change).items() if name != "requests"} for change in made.changes
        ]
        shown: dict[str, Any] = {"changes": changes, "same": made.same, "unknown": [*made.unknown]}
        typer.echo(json.dumps(shown, ensure_ascii=False, indent=1))
        return
    console = Console(highlight=False)
    listed = Table(title=title)
    for heading in (both("Change"), both("What"), both("Name"), both("Was → will be")):
        listed.add_column(heading, overflow="fold")
    for change in sorted(made.changes, key=lambda one: (*ACTIONS,).index(one.action), reverse=True)[:ROWS]:
        colour, word = ACTIONS[change.action]
        what = "; ".join(f"{name}: {was} → {will}" for name, (was, will) in change.details.items())
        listed.add_row(f"[{colour}]{word}[/]", KINDS[change.kind], escape(change.name), escape(what))
    if made.changes:
        console.print(listed)
    if len(made.changes) > ROWS:
        console.print(_("… and {count} more; all of them: --json").format(count=len(made.changes) - ROWS))
    for kind, name in made.unknown:
        said = _("{kind} “{name}” is there and not in the practice; it is left alone")
        console.print(escape(said.format(kind=KINDS[kind], name=name)), soft_wrap=True)
    counts = made.count()
    words = [f"{ACTIONS[action][1]}: {counts[action]}" for action in ACTIONS if counts[action]]
    console.print(" · ".join([*words, f"{both('stay as they are')}: {made.same}"]), soft_wrap=True)


def table(rows: tuple[Figures, ...] | list[Figures], names: dict[str, str]) -> None:
    """Rows for people."""
    shown = Table()
    shown.add_column(both("Agency"), overflow="fold")
    shown.add_column(both("Person"), overflow="fold")
    for heading in (both("In"), both("Out"), both("Open"), both("Overdue"), both("Owner gone")):
        shown.add_column(heading, justify="right")
    for row in rows:
        late = f"[red]{row.overdue}[/]" if row.overdue else "0"
        gone = f"[red]{row.owner_gone}[/]" if row.owner_gone else "0"
        name = escape(names.get(row.agency, row.agency))
        shown.add_row(name, escape(row.person) or "–", str(row.in_), str(row.out), str(row.open), late, gone)
    Console(highlight=False).print(shown)
