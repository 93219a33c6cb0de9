"""`tram hardware`: what one disk's reading means, and what to replace first."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from ruamel.yaml import YAML

from tram.cli.hardware_view import plain_explained, show_explained, show_report
from tram.cli.i18n import _
from tram.cli.status import pair_of
from tram.core.errors import BadInput
from tram.register import Province, load
from tram_board.asking import Source
from tram_board.state import window
from tram_exporters.replacement import METRICS, Place, Sample, as_csv, as_page, from_files, plain, rank
from tram_exporters.risk import Constants, judge
from tram_exporters.smart import parse, read
from tram_exporters.textfile import Unreadable

app = typer.Typer(no_args_is_help=True, help=_("Aging hardware: what a disk's reading means, what to replace first."))
AsJson = Annotated[bool, typer.Option("--json", help=_("Print it as JSON."))]
MOST_BYTES = 16 * 2**20


@cache
def constants() -> Constants:
    """The numbers of risk.yml."""
    return Constants(YAML(typ="safe").load(files("tram_exporters").joinpath("risk.yml").read_text(encoding="utf-8")))


@app.command(
    "explain",
    help=_("Say what one disk's reading means and why."),
    epilog=_("Examples:")
    + "\n\n  smartctl --json --all /dev/sda > sda.json; tram hardware explain --smartctl-json sda.json\n\n"
    + _("Ends with 0 when only age is found, 1 for a sign of failure or an unknown disk, 2 for wrong input."),
)
def explain(
    *,
    smartctl_json: Annotated[
        Path,
        typer.Option("--smartctl-json", metavar="FILE", help=_("What smartctl --json --all printed; - for stdin.")),
    ],
    as_json: AsJson = False,
) -> None:
    """One disk, from a file: no host is asked."""
    rules = constants()
    try:
        disk = read(parse(_content(smartctl_json)))
    except Unreadable as error:
        hint = "make it anew: smartctl --json --all DEVICE > FILE"
        raise BadInput(f"{smartctl_json}: {error}", hint=hint) from error
    flags, looked = judge(disk, rules, year=datetime.now(UTC).year)
    if as_json:
        typer.echo(json.dumps(plain_explained(disk, flags, looked, rules), ensure_ascii=False, indent=1))
    else:
        show_explained(disk, flags, looked, rules)
    if disk.unknown or disk.broken or any(flag.signal != "age" for flag in flags):
        raise typer.Exit(1)


def _content(path: Path) -> bytes:
    try:
        if str(path) == "-":
            return typer.get_binary_stream("stdin").read(MOST_BYTES)
        if path.stat().st_size > MOST_BYTES:
            raise BadInput(f"{path}: larger than 16 MB, so no reading of one disk", hint="name smartctl's JSON")
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}", hint="name a file that smartctl --json --all printed") from error


@app.command(
    "report",
    help=_("The replacement list: every host by risk times impact."),
    epilog=_("Examples:")
    + "\n\n  tram hardware report -i inventories/ha-tinh --from so-do/ --csv thay-the.csv --html thay-the.html\n\n"
    "  tram hardware report --hub https://watch.tinh.example:8444 --ca ca.crt --certificate me.crt --key me.key\n\n"
    + _("Ends with 0 when every host is known, 1 when one is not, 2 for wrong input."),
)
def report(
    *,
    inventory: Annotated[
        Path, typer.Option("--inventory", "-i", metavar="DIR", help=_("The province's folder."))
    ] = Path("inventories/lab"),
    kept: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help=_("Kept textfiles: HOST.prom or HOST/tram_hardware.prom.")),
    ] = None,
    hub: Annotated[str | None, typer.Option("--hub", metavar="URL", help=_("Where the hub answers queries."))] = None,
    ca: Annotated[Path | None, typer.Option("--ca", metavar="FILE", help=_("The CA that vouches for it."))] = None,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", metavar="FILE", help=_("Our certificate for it."))
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help=_("The certificate's key."))] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help=_("Write a row a host."))] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help=_("Write the report to print."))] = None,
    top: Annotated[int, typer.Option("--top", min=1, help=_("How many hosts the table shows."))] = 40,
    as_json: AsJson = False,
) -> None:
    """Every host of the register is in it; one that said nothing is unknown, at the end."""
    if (kept is None) == (hub is None):
        raise BadInput("readings come from one place", hint="give --from DIR or --hub URL")
    province, rules, now = load(inventory), constants(), datetime.now(UTC)
    pair = pair_of(certificate, key)
    samples, broken = _kept(kept) if kept else (_asked(Source(str(hub), ca=ca, pair=pair), now), [])
    rows = rank(places(province), samples, rules.data, now)
    if csv:
        _write(csv, as_csv(rows))
    if html:
        _write(html, as_page(rows, f"Danh mục thiết bị cần thay: {province.name}", rules.data, now))
    if as_json:
        typer.echo(json.dumps(plain(rows), ensure_ascii=False, indent=1))
    else:
        show_report(rows[:top], more=len(rows) - top)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for one in broken:
        console.print(escape(one))
    strangers = sorted({one.host for one in samples} - {row.host for row in rows})
    if strangers:
        console.print(escape(_("Not in the register: {hosts}").format(hosts=", ".join(strangers))))
    if broken or any(row.unknown or row.risk is None for row in rows):
        raise typer.Exit(1)


def places(province: Province) -> list[Place]:
    """Hosts of the register; those of a parent serve the sites below it, too."""
    below: dict[str, int] = {}
    parents = {site.code: site.parent for site in province.sites}
    for code in parents:
        above = code
        while (parent := parents.get(above)) is not None:
            below[parent] = below.get(parent, 0) + 1
            above = parent
    return [
        Place(host.inventory_name, site.name, host.model, host.year, host.functions, below.get(site.code, 0))
        for site in province.sites
        for host in site.hosts
    ]


def _kept(folder: Path) -> tuple[list[Sample], list[str]]:
    if not folder.is_dir():
        raise BadInput(f"{folder}: there is no such folder", hint="--from wants a folder of HOST.prom files")
    return from_files(folder)


def _asked(source: Source, at: datetime) -> list[Sample]:
    """What the hub was told of every host of late. Raises: NotAnswered."""
    query = f'last_over_time({{__name__=~"{"|".join(METRICS)}"}}[{window().total_seconds():.0f}s])'
    return [
        Sample(one.labels["host"], one.labels["__name__"], one.labels, one.value)
        for one in source.now(query, at)
        if one.labels.keys() >= {"host", "__name__"}
    ]


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}", hint="name a file that can be written") from error
