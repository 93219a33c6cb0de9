"""`tram outbreak`: a sample found at one office protects all others; who has it in effect is seen live."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from tram.act.come import come
from tram.act.key import CentreKey, load_key
from tram.act.outcome import NotReached
from tram.act.session import Session
from tram.act.signatures import Sample, Seen, by_hash, checked_name, publish, seen
from tram.act.target import Target, targets
from tram.cli.antivirus import plain, protected, show_findings
from tram.cli.i18n import _, both
from tram.core.errors import BadInput
from tram.look.antivirus import look_at_antivirus
from tram.register import Host, Province, load

app = typer.Typer(no_args_is_help=True, help=_("An outbreak: make a signature, publish it, follow it, see findings."))

ASKED_EVERY = timedelta(seconds=2)
LARGEST_TEXT = 1_000_000
"""Bytes of a YARA rule file; the signature travels to every office."""

_EXAMPLES = _("Examples:")
_STATES = {
    "active": f"[green]{both('in effect')}[/]",
    "refused": f"[red]{both('refused by the host')}[/]",
    "failed": f"[red]{both('failed')}[/]",
}

Inventory = Annotated[Path, typer.Option("--inventory", "-i", metavar="DIR", help=_("The province's folder."))]
Name = Annotated[str, typer.Option("--name", help=_("Name of the signature; default: from day and hash."))]
AsJson = Annotated[bool, typer.Option("--json", help=_("Print the results as JSON."))]
LAB = Path("inventories/lab")


@app.command(
    "declare",
    help=_("Publish a signature of a file, hash or rule to every host and search their disks for it."),
    epilog=f"{_EXAMPLES}\n\n  tram outbreak declare cong-van.docm\n\n"
    "  tram outbreak declare 275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f --name Tinh.Trojan.A\n\n"
    "  tram outbreak declare --yara rule.yar --name Tinh.Macro.B --no-sweep\n\n"
    + _("Ends with 0 when it is in effect on every host, 1 when some have yet to catch up, 2 for wrong input."),
)
def declare(
    what: Annotated[str, typer.Argument(metavar="[FILE|HASH]", help=_("A sample, or its SHA-256 or MD5."))] = "",
    *,
    inventory: Inventory = LAB,
    name: Name = "",
    note: Annotated[str, typer.Option("--note", help=_("Why, for people; one line."))] = "",
    size: Annotated[
        int | None, typer.Option("--size", min=1, help=_("Size in bytes, where only a hash is known."))
    ] = None,
    yara: Annotated[
        Path | None, typer.Option("--yara", metavar="FILE", help=_("A YARA rule instead of a sample."))
    ] = None,
    ndb: Annotated[str, typer.Option("--ndb", metavar="LINE", help=_("A line of ClamAV's .ndb instead."))] = "",
    sweep: Annotated[
        bool, typer.Option("--sweep/--no-sweep", help=_("Search the disks as soon as it is there."))
    ] = True,
    wait: Annotated[int, typer.Option("--wait", min=0, help=_("Seconds to follow it."))] = 60,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=_("Only say what would be published."))] = False,
    as_json: AsJson = False,
) -> None:
    """Have the hub test, sign and publish; then follow what the hosts tell the hub."""
    province = load(inventory)
    hosts = protected(province, [])
    sample = _sample(what, size, yara, ndb)
    name = checked_name(
        name or f"Tinh.Outbreak.{datetime.now(UTC):%Y%m%d}.{hashlib.sha256(sample.value.encode()).hexdigest()[:8]}"
    )
    hub, key = _hub(province)
    if dry_run:
        typer.echo(_("Would publish {name} ({kind}) to {count} hosts.").format(
            name=name, kind=sample.option.removeprefix("--"), count=len(hosts)
        ))  # fmt: skip
        return
    began = time.monotonic()
    with come(hub, key) as session:
        serial = publish(session, sample, name, note=note, sweep=sweep)
        known = _follow(session, serial, hosts, began, wait, quiet=as_json, name=name)
    missing = [host for host in hosts if _state(known, host, serial) != "active"]
    if as_json:
        typer.echo(json.dumps(_plain(name, serial, hosts, known), ensure_ascii=False, indent=1))
    elif missing:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        names = ", ".join(host.inventory_name for host in missing)
        console.print(_("Not yet in effect on {hosts}: they fetch it by themselves as soon as they hear of it.").format(
            hosts=names
        ), markup=False)  # fmt: skip
        console.print(_("Look again: tram outbreak status {name}").format(name=name), markup=False)
    if missing:
        raise typer.Exit(1)


@app.command(
    "status",
    help=_("Who has the newest release in effect, and what a signature found where."),
    epilog=f"{_EXAMPLES}\n\n  tram outbreak status\n\n  tram outbreak status Tinh.Trojan.A --json\n\n"
    + _("Ends with 0 when every host could be asked, 1 otherwise, 2 for wrong input."),
)
def status(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help=_("Only findings of this signature."))] = "",
    *,
    inventory: Inventory = LAB,
    as_json: AsJson = False,
    parallel: Annotated[int, typer.Option(min=1, max=64, help=_("How many hosts at once."))] = 8,
) -> None:
    """Ask every host for its findings."""
    province = load(inventory)
    found = look_at_antivirus(province, protected(province, []), parallel=parallel)
    if as_json:
        typer.echo(json.dumps([plain(one) for one in found], ensure_ascii=False, indent=1))
    else:
        console = Console(highlight=False)
        table = Table()
        for heading in (both("Host"), both("Release in effect"), both("Note")):
            table.add_column(heading, overflow="fold")
        for one in found:
            note = one.unknown or one.error or ""
            active = str(one.active) if one.active is not None else f"[yellow]{both('unknown')}[/]"
            table.add_row(one.host, active, escape(note))
        console.print(table)
        if not show_findings(found, name):
            console.print(_("Nothing was found on the hosts that answered."))
    if any(one.unknown for one in found):
        raise typer.Exit(1)


def _sample(what: str, size: int | None, yara: Path | None, ndb: str) -> Sample:
    if sum((bool(what), yara is not None, bool(ndb))) != 1:
        raise BadInput("what is to be found?", hint="give one of: a file, a hash, --yara FILE, --ndb LINE")
    if yara is not None:
        return Sample("--yara", "-", stdin=_text(yara))
    if ndb:
        return Sample("--ndb", ndb)
    path = Path(what)
    if not path.exists():
        return by_hash(what, size)
    if not path.is_file() or path.stat().st_size == 0:
        raise BadInput(f"{what}: is no file with something in it", hint="name the sample itself, not its folder")
    with path.open("rb") as file:
        return Sample("--sha256", hashlib.file_digest(file, "sha256").hexdigest(), size=path.stat().st_size)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise BadInput(f"{path}: is over {LARGEST_TEXT} bytes", hint="a rule for one outbreak is a few lines")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read: {error}", hint="name a text file with YARA rules") from error


def _hub(province: Province) -> tuple[Target, CentreKey]:
    name = next(
        (host.inventory_name for host in province.hub.hosts if "antivirus_mirror" in host.functions), ""
    )  # fmt: skip
    if not name:
        raise BadInput(
            f"{province.folder}: the hub has no host with the function antivirus_mirror",
            hint=f"add it in sites/{province.hub.code}.yml, then run playbooks/antivirus.yml",
        )
    key = load_key(province.secrets_dir, f"tram@{province.code}")
    if key is None:
        raise BadInput("the centre has no key yet", hint=f"take the hub over first: tram host bootstrap {name}")
    return targets(province, [name])[0], key


def _follow(
    session: Session, serial: int, hosts: Sequence[Host], began: float, wait: int, *, quiet: bool, name: str
) -> Mapping[str, Seen]:
    """What the hosts have told the hub, as soon as all have it in effect or the time is up."""
    known: Mapping[str, Seen] = {}
    times: dict[str, float] = {}
    console = Console(stderr=True, highlight=False)
    until = time.monotonic() + wait
    with Live(console=console, auto_refresh=False, transient=quiet) as live:
        while True:
            try:
                known = seen(session, serial)
            except NotReached:
                break  # what was published stays published; the table says what is known
            for host in hosts:
                if _state(known, host, serial) == "active":
                    times.setdefault(host.fqdn, time.monotonic() - began)
            if not quiet:
                live.update(_table(name, serial, hosts, known, times), refresh=True)
            if len(times) == len(hosts) or time.monotonic() >= until:
                break
            time.sleep(ASKED_EVERY.total_seconds())
    return known


def _state(known: Mapping[str, Seen], host: Host, serial: int) -> str:
    one = known.get(host.fqdn)
    return one.state if one and one.serial >= serial else ""


def _table(
    name: str, serial: int, hosts: Sequence[Host], known: Mapping[str, Seen], times: Mapping[str, float]
) -> Table:
    title = _("{name}: release {serial}, in effect on {active} of {all}").format(
        name=escape(name), serial=serial, active=len(times), all=len(hosts)
    )
    table = Table(title=title)
    for heading in (both("Host"), both("State"), both("After")):
        table.add_column(heading)
    for host in hosts:
        state = _state(known, host, serial)
        word = _STATES.get(state, f"[yellow]{both('not heard of')}[/]")
        after = f"{times[host.fqdn]:.0f} s" if host.fqdn in times else ""
        table.add_row(host.inventory_name, word, after)
    return table


def _plain(name: str, serial: int, hosts: Sequence[Host], known: Mapping[str, Seen]) -> dict[str, object]:
    return {
        "name": name,
        "serial": serial,
        "hosts": {host.inventory_name: _state(known, host, serial) or None for host in hosts},
    }
