"""`tram metrics`: what the centre knows of hosts that they cannot say themselves, as files for node_exporter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from tram.cli.i18n import _
from tram.cli.timers import Install, print_or_install
from tram.core.errors import BadInput
from tram.ledger import Ledger, State, open_ledger
from tram.ledger.rolloutbook import OVER, RolloutBook
from tram.register import Province, load
from tram.rollout.timer import Call, make_units
from tram_audit.audit import folder, kept
from tram_board.words import STANDINGS
from tram_exporters.textfile import Page

app = typer.Typer(help=_("What the centre knows of hosts, as metrics: deliveries and the baseline."))

_EXAMPLES = _("Examples:")
_ENDS = _("Ends with 0 when everything was read, 1 when a figure is missing, 2 for wrong input.")
FOLDER = Path("/var/lib/prometheus/node-exporter")
"""Where Debian's node exporter looks (textfile collector)."""
RESULTS = ("pass", "fail", "waived", "unknown", "expired")


Inventory = Annotated[Path, typer.Option("--inventory", "-i", metavar="DIR", help=_("The province's folder."))]
To = Annotated[Path, typer.Option("--to", metavar="DIR", help=_("Where node_exporter reads its textfiles."))]


@app.callback(
    invoke_without_command=True,
    epilog=f"{_EXAMPLES}\n\n  tram metrics -i inventories/ha-tinh\n\n"
    f"  tram metrics timer -i inventories/ha-tinh --install\n\n{_ENDS}",
)
def metrics(context: typer.Context, *, inventory: Inventory = Path("inventories/lab"), to: To = FOLDER) -> None:
    """Write both files; no host is asked."""
    if context.invoked_subcommand:
        return
    folder_there(to)
    province = load(inventory)
    pages = [delivery(province), baseline(province)]
    for page in pages:
        try:
            page.write(to)
        except OSError as error:
            raise BadInput(f"{to}: {error.strerror}", hint="name a folder that can be written") from error
        for reading, why in page.failed.items():
            typer.echo(f"{page.exporter}: {reading}: {why}", err=True)
    if any(page.failed for page in pages):
        raise typer.Exit(1)


@app.command(
    "timer",
    help=_("Let this machine say each five minutes what it knows of hosts."),
    epilog=f"{_EXAMPLES}\n\n  tram metrics timer -i inventories/ha-tinh\n\n"
    "  tram metrics timer -i inventories/ha-tinh --install\n\n"
    + _("As root for the whole machine, otherwise for your account. Without --install it only prints them."),
)
def timer(
    *,
    inventory: Inventory = Path("inventories/lab"),
    install: Install = False,
    to: To = FOLDER,
) -> None:
    """Print the two units that call `tram metrics`, or put them in place."""
    province = load(inventory)
    if install:
        folder_there(to)
    call = Call(
        f"tram-metrics-{province.code}",
        "metrics",
        f"what the centre knows of the hosts of {province.code}, for the watch",
        "every five minutes",
        "OnCalendar=*:0/5\nRandomizedDelaySec=20s\n",
        arguments=("--to", str(to.absolute())),
        longest=timedelta(minutes=4),
    )
    print_or_install(make_units(province, call, project=Path.cwd()), install=install)


def folder_there(to: Path) -> None:
    """Raises: BadInput when it is no folder."""
    if not to.is_dir():
        raise BadInput(f"{to}: there is no such folder", hint="make it first, or install prometheus-node-exporter")


def delivery(province: Province) -> Page:
    """Runs by outcome, how long a host has been owed one, and how rollouts stand."""
    page = Page("delivery")
    with page.reading("ledger"):
        ledger = open_ledger(province.code)
        try:
            hosts = {host.inventory_name for site in province.sites for host in site.hosts}
            _delivery(page, ledger, datetime.now(UTC), hosts)
            _rollouts(page, ledger.rollouts, ledger)
        finally:
            ledger.close()
    return page


def _delivery(page: Page, ledger: Ledger, now: datetime, hosts: Set[str]) -> None:
    """Of these hosts: who left the register is owed nothing any more."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for host, site, state, count, ended in ledger.tally():
        if state.outcome is None or host not in hosts:
            continue
        counts[host, site, state.outcome.name.lower()] += count
        if state is State.DONE and ended is not None:
            text = "When the last run of this host was done."
            page.gauge("tram_delivery_last_done_timestamp_seconds", text, ended.timestamp(), host=host, site=site)
    for host, site in sorted({(host, site) for host, site, _outcome in counts}):
        for outcome in ("done", "failed", "not_reached"):
            text = "Runs of this host that ended so, over all that the ledger has."
            labels = {"host": host, "site": site, "outcome": outcome}
            page.counter("tram_delivery_runs_total", text, counts[host, site, outcome], **labels)
    owed: dict[tuple[str, str], float] = {}
    for one in ledger.carried_over(timedelta(days=3650)):
        if one.host not in hosts:
            continue
        age = max(0.0, (now - one.since).total_seconds())
        owed[one.host, one.site] = max(age, owed.get((one.host, one.site), 0.0))
    for (host, site), age in owed.items():
        text = "How long the host has been owed a run it was not reached for; absent when it is owed none."
        page.gauge("tram_delivery_not_reached_age_seconds", text, age, host=host, site=site)


def _rollouts(page: Page, book: RolloutBook, ledger: Ledger) -> None:
    """How each rollout under way stands, and the last that is over. A state is a number: its place in STANDINGS."""
    number = {word: float(place) for place, word in enumerate(STANDINGS)}
    newest = book.newest()
    over = [row for row in newest if row.state in OVER]
    for row in [*(row for row in newest if row.state not in OVER), *over[:1]]:
        text = "How the rollout stands, by the list in docs/contracts/metrics.md."
        page.gauge("tram_rollout_standing", text, number[row.state], run=row.run, stack=row.stack)
        for wave in book.waves(row.run):
            labels = {"run": row.run, "wave": str(wave.number), "name": wave.name}
            page.gauge("tram_rollout_wave_standing", "How a wave of it stands.", number[wave.state], **labels)
        waves = {place.host: place.wave for place in book.places(row.run)}
        for host in ledger.show(row.run).hosts:
            labels = {"run": row.run, "wave": str(waves[host.host]), "host": host.host, "site": host.site}
            page.gauge("tram_rollout_host_standing", "How a host in it stands.", number[str(host.state)], **labels)


def baseline(province: Province) -> Page:
    """How each host stood in its newest audit that reached it, and how many controls fail that did not before."""
    page = Page("baseline")
    with page.reading("audits"):
        place = folder(province.code if not province.lab else province.state_dir.name)
        wanted = {host.inventory_name for site in province.sites for host in site.hosts}
        for data in kept(place, newest_first=True):
            worse = Counter(one["host"] for one in data.get("changes") or [] if one["now"] == "fail")
            for host in data["hosts"]:
                if host["host"] in wanted and not host["error"]:
                    wanted.discard(host["host"])
                    _baseline(page, host, worse[host["host"]], datetime.fromisoformat(data["at"]))
    return page


def _baseline(page: Page, host: Mapping[str, Any], worse: int, at: datetime) -> None:
    labels = {"host": str(host["host"]), "site": str(host["site"])}
    counts: Counter[str] = Counter()
    for verdict in host["verdicts"]:
        out = verdict["status"] == "fail" and verdict["waiver"] is not None
        counts["expired" if out else verdict["status"]] += 1
    for result in RESULTS:
        text = "Controls by how they stood in the last audit; `expired`: fails, and its waiver has run out."
        page.gauge("tram_baseline_controls", text, counts[result], **labels, result=result)
    page.gauge("tram_baseline_drift", "Controls that fail now and did not the audit before.", worse, **labels)
    text = "When the host was last audited and answered."
    page.gauge("tram_baseline_audited_timestamp_seconds", text, at.timestamp(), **labels)
