"""`tram courier`: a USB stick goes where the line does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tram.bundle import build
from tram.cli.i18n import _, both
from tram.cli.rollout_words import add_columns, size
from tram.core.errors import BadInput
from tram.core.units import parse_span
from tram.delivery import stick as sticks
from tram.delivery.first import due, prepare
from tram.delivery.host import find_host
from tram.delivery.memory import HostMemory, runtime
from tram.delivery.parcel import Parcel
from tram.delivery.policy import policy_for
from tram.delivery.ssh import SshCarrier
from tram.ledger import Job, Ledger, Outcome, new_owner, new_run_id, open_ledger, utc_now
from tram.register import Province, load
from tram.rollout.targets import find_playbook

EXAMPLES = (
    _("Examples:")
    + """

  tram courier pack huong-khe-srv1 --playbook mail --to /media/usb

  tram-courier load /media/usb                          (at the host's console, as root)

  tram courier load /media/usb huong-khe-srv1           (from a seat in the same office)

  tram courier return /media/usb huong-khe-srv1

  tram courier unpack /media/usb"""
)

app = typer.Typer(
    no_args_is_help=True,
    epilog=EXAMPLES,
    help=_("A USB stick goes where the line does not: pack at the centre, load and return at the site, unpack here."),
)

Inventory = Annotated[Path, typer.Option("--inventory", "-i", metavar="DIR", help=_("The province's folder."))]
Stick = Annotated[Path, typer.Argument(metavar="DIR", help=_("Where the stick is mounted."))]
HostName = Annotated[str, typer.Argument(metavar="HOST", help=_("The host it is for."))]
AsJson = Annotated[bool, typer.Option("--json", help=_("Print the results as JSON."))]
LAB = Path("inventories/lab")
_LEASE = timedelta(minutes=5)


@app.command(epilog=EXAMPLES)
def pack(
    hosts: Annotated[list[str], typer.Argument(metavar="HOST...", help=_("Names of hosts, as in the register."))],
    *,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help=_("Where the stick is mounted."))],
    playbook: Annotated[
        str, typer.Option("--playbook", "-p", help=_("A stack such as mail, or a file. Without: what is owed to them."))
    ] = "",
    check: Annotated[bool, typer.Option("--check", help=_("Only say what would change."))] = False,
    inventory: Inventory = LAB,
    as_json: AsJson = False,
) -> None:
    """Put a run, or the runs that could not be delivered, on a stick, closed for each host's own key."""
    province = load(inventory)
    known = {host.inventory_name for site in province.sites for host in site.hosts}
    if unknown := [name for name in hosts if name not in known]:
        raise BadInput(f"{province.folder}: no host called {', '.join(unknown)}", hint="tram sites list shows them")
    if not to.is_dir():
        raise BadInput(f"{to}: no such directory", hint="mount the stick and give its directory")
    ledger = open_ledger(province.code)
    jobs = _new(province, ledger, hosts, playbook, check=check) if playbook else _owed(province, ledger, hosts)
    packed = []
    for job in jobs:
        lease = ledger.lease(job.run, job.host, new_owner(), _LEASE)
        if lease is None:
            raise BadInput(f"{job.host}: run {job.run} is being delivered right now", hint="wait for it to end")
        try:
            packed.append((job, _put(to, job, province, ledger)))
        except BaseException:
            ledger.release(lease)
            raise
        ledger.finish(
            job.run, job.host, Outcome.NOT_REACHED, f"on a stick since {utc_now():%Y-%m-%d %H:%M}Z", lease=lease
        )
    if as_json:
        rows = [{"run": job.run, "host": job.host, "playbook": job.playbook, "bytes": count} for job, count in packed]
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    table = Table()
    add_columns(table, both("Host"), both("Run"), both("Playbook"), both("Size"))
    for job, count in packed:
        table.add_row(job.host, job.run, escape(Path(job.playbook).name), size(count))
    Console(highlight=False).print(table, _("At the host, as root: tram-courier load DIR"))


@app.command("load", epilog=EXAMPLES)
def load_stick(
    stick: Stick,
    host: HostName,
    *,
    wait: Annotated[str, typer.Option("--wait", help=_("How long to stay for its end, such as '30 min'."))] = "30 min",
    inventory: Inventory = LAB,
) -> None:
    """Hand the stick's orders to a host from a seat beside it, and put its answers on the stick."""
    _through(stick, host, inventory, "load", parse_span(wait))


@app.command("return", epilog=EXAMPLES)
def return_stick(stick: Stick, host: HostName, *, inventory: Inventory = LAB) -> None:
    """Put every report that waits at a host on the stick, from a seat beside it."""
    _through(stick, host, inventory, "return", timedelta(0))


@app.command(epilog=EXAMPLES)
def unpack(stick: Stick, *, inventory: Inventory = LAB, as_json: AsJson = False) -> None:
    """Take in what hosts put on the stick: again changes nothing. Ends with 1 when an order was refused."""
    province = load(inventory)
    ledger = open_ledger(province.code)
    found = sticks.take(stick, province, ledger)
    damaged = [name for news in found for name in news.damaged]
    if not damaged:
        sticks.tidy(stick, province, ledger)
    if as_json:
        typer.echo(json.dumps([asdict(news) for news in found], ensure_ascii=False, indent=2))
    else:
        _show(found)
    if damaged or any(news.refused for news in found):
        raise typer.Exit(1)


def _show(found: Sequence[sticks.News]) -> None:
    console = Console(highlight=False)
    if not found:
        console.print(_("No host has answered on this stick yet."))
        return
    table = Table()
    add_columns(table, both("Host"), both("New events"), both("Files"), both("Reason"))
    for news in found:
        reasons = [reason for _run, reason in news.refused]
        reasons += [_("{file} is damaged").format(file=name) for name in news.damaged]
        table.add_row(news.host, str(news.events), escape("\n".join(news.files)), escape("\n".join(reasons)))
    console.print(table)


def _through(stick: Path, name: str, inventory: Path, verb: str, wait: timedelta) -> None:
    province = load(inventory)
    known = {host.inventory_name for site in province.sites for host in site.hosts}
    if name not in known:
        raise BadInput(f"{province.folder}: no host called {name}", hint="tram sites list shows them")
    site, host = find_host(province, name)
    carrier = SshCarrier(province, host, policy_for(site.link, province))
    count = sticks.through(carrier, stick, province, host, verb=verb, wait=wait)
    Console(highlight=False).print(_("{count} answers are on the stick").format(count=count))


def _put(stick: Path, job: Job, province: Province, ledger: Ledger) -> int:
    """A run, and before it the runtime when the host was not last known to have it; the bytes written."""
    built = runtime()
    host = find_host(province, job.host)[1]
    content = build(Path(job.playbook), province, host, secrets=province.secrets_dir, check=job.check)
    if due(content, job):
        content = prepare(job, province, ledger, content)
    parcel = Parcel(job, province, ledger, confirm=None, valid=sticks.VALID, content=content, runtime_id=built.id)
    count = sticks.put(stick, job, province, ledger, parcel)
    if built.id not in HostMemory(province.code).runtimes(job.host):
        count += sticks.put_runtime(stick, province, parcel.site, parcel.host, built)
    return count


def _new(province: Province, ledger: Ledger, hosts: Sequence[str], playbook: str, *, check: bool) -> list[Job]:
    file = str(find_playbook(playbook).resolve())
    run, kind = new_run_id(utc_now()), "check" if check else "deliver"
    pairs = [(name, find_host(province, name)[0].code) for name in dict.fromkeys(hosts)]
    ledger.begin(run, province=province.code, playbook=file, hosts=pairs, kind=kind)
    folder = str(province.folder.resolve())
    return [Job(run, name, site, file, folder, ledger.url, check) for name, site in pairs]


def _owed(province: Province, ledger: Ledger, hosts: Sequence[str]) -> list[Job]:
    """The runs that are carried over for these hosts."""
    folder = str(province.folder.resolve())
    owed = [row for row in ledger.carried_over(sticks.VALID) if row.host in hosts and not row.too_old]
    if not owed:
        raise BadInput(f"nothing is owed to {', '.join(hosts)}", hint="name what to carry with --playbook")
    kinds = {row.run: ledger.show(row.run).run.kind for row in owed}
    return [
        Job(row.run, row.host, row.site, row.playbook, folder, ledger.url, kinds[row.run] == "check") for row in owed
    ]
