"""`tram lab`: the province in a box."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tram.core.errors import BadInput
from tram.core.units import format_rate, format_share, format_span, parse_rate, parse_share, parse_span
from tram.lab.host import HostDown, enter_argv
from tram.lab.lab import LinkState, down, open_lab, up

app = typer.Typer(no_args_is_help=True, help="The province in a box: real Debian hosts behind emulated WAN links.")

Name = Annotated[str | None, typer.Option("--name", "-n", help="Which lab. Default: $TRAM_LAB, else 'lab'.")]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]

_console = Console(highlight=False)


def _say(line: str) -> None:
    _console.print(f"[dim]lab:[/] {line}")


@app.command(name="up")
def up_command(
    inventory: Annotated[Path, typer.Option("--inventory", "-i", help="Register to build.")] = Path("inventories/lab"),
    name: Name = None,
) -> None:
    """Build the lab and boot its hosts; one that is up already is completed.

    Examples: tram lab up · tram lab up --name test1 --inventory inventories/lab
    """
    lab = up(inventory, name, _say)
    _say(f"{lab.paths.name} is up: ssh -F {lab.paths.state}/ssh_config HOST, or tram lab sh HOST")


@app.command(name="down")
def down_command(name: Name = None) -> None:
    """Take the lab away, whatever state it is in: processes, mounts, namespaces, disks."""
    down(name)
    _say("nothing is left")


@app.command()
def status(name: Name = None, as_json: Json = False) -> None:
    """Show hosts and lines as they are now. A line nobody can read is unknown."""
    lab = open_lab(name)
    hosts, links = lab.hosts(), [lab.link(site.code) for site in lab.province.sites if not site.is_hub]
    if as_json:
        shown = {"lab": lab.paths.name, "hosts": [asdict(h) for h in hosts], "links": [asdict(ln) for ln in links]}
        _console.print_json(json.dumps(shown))
        return
    table = Table("host", "site", "address", "state", title=f"lab {lab.paths.name}")
    for host in hosts:
        colour = {"running": "green", "off": "red"}.get(host.state, "yellow")
        table.add_row(host.host, host.site, host.address, f"[{colour}]{host.state}[/]")
    _console.print(table)
    _console.print(_links(links))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def sh(ctx: typer.Context, host: str, name: Name = None) -> None:
    """Run a command as root on a host, past the network; without one, a shell.

    Examples: tram lab sh huong-khe-srv1 -- postqueue -p · tram lab sh trung-tam-hub1
    """
    machine = open_lab(name).machine(host)
    pid = machine.init_pid()
    if pid is None:
        raise HostDown(f"{host} is off", hint=f"tram lab power {host} on")
    argv = enter_argv(pid, ctx.args or ["bash", "--login"])
    os.execvp(argv[0], argv)  # noqa: S606 (a shell of the host's is what was asked for)


@app.command()
def link(  # noqa: PLR0917 (options, given by name)
    site: str,
    action: Annotated[str, typer.Argument(help="cut | mend | set | show")],
    name: Name = None,
    down_rate: Annotated[str | None, typer.Option("--down", help="For example '4 Mbit/s'.")] = None,
    up_rate: Annotated[str | None, typer.Option("--up", help="For example '512 kbit/s'.")] = None,
    rtt: Annotated[str | None, typer.Option(help="Round trip, for example '60 ms'.")] = None,
    loss: Annotated[str | None, typer.Option(help="Pings lost, for example '0.5 %'.")] = None,
    as_json: Json = False,
) -> None:
    """Cut, mend or change a site's line to the hub.

    Examples: tram lab link huong-khe cut · tram lab link huong-khe set --rtt '300 ms' --loss '3 %'
    """
    lab = open_lab(name)
    changes: dict[str, Any] = {}
    if action == "set":
        if down_rate:
            changes["down_bps"] = parse_rate(down_rate)
        if up_rate:
            changes["up_bps"] = parse_rate(up_rate)
        if rtt:
            changes["rtt"] = parse_span(rtt).total_seconds()
        if loss:
            changes["loss"] = parse_share(loss)
        if not changes:
            raise BadInput("link set: nothing to set", hint="give at least one of --down --up --rtt --loss")
    elif action in ("cut", "mend"):
        changes["cut"] = action == "cut"
    elif action != "show":
        raise BadInput(f"link: {action!r} is not an action", hint="cut, mend, set or show")
    state = lab.set_link(site, **changes) if changes else lab.link(site)
    if as_json:
        _console.print_json(json.dumps(asdict(state)))
    else:
        _console.print(_links([state]))


@app.command()
def power(host: str, action: Annotated[str, typer.Argument(help="cut | on")], name: Name = None) -> None:
    """Cut a host's power without warning (its disk stays), or switch it on again.

    Example: tram lab power huong-khe-srv1 cut
    """
    lab = open_lab(name)
    if action == "cut":
        lab.power_cut(host)
    elif action == "on":
        lab.power_on(host)
    else:
        raise BadInput(f"power: {action!r} is not an action", hint="cut or on")
    _say(f"{host}: power {action}")


@app.command()
def renew(host: str, name: Name = None) -> None:
    """Throw a host's disk away and boot it bare, as a machine just delivered; prints the fingerprint of its new key.

    Example: tram lab renew huong-khe-srv1
    """
    typer.echo(open_lab(name).renew(host))


def _links(links: list[LinkState]) -> Table:
    table = Table("line of", "state", "down", "up", "RTT", "loss", "carried down", "carried up")
    for link_state in links:
        line = link_state.line
        if line is None:
            table.add_row(link_state.site, "[yellow]unknown[/]", *["?"] * 6)
            continue
        state = "[red]cut[/]" if line.cut else "[green]up[/]"
        table.add_row(
            link_state.site, state, format_rate(line.down_bps), format_rate(line.up_bps),
            format_span(timedelta(seconds=line.rtt)), format_share(line.loss),
            f"{link_state.down['bytes'] / 1e6:.1f} MB", f"{link_state.up['bytes'] / 1e6:.1f} MB",
        )  # fmt: skip
    return table
