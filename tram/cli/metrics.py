"""`tram metrics`: what the centre knows of hosts that they cannot say themselves, as files for node_exporter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from tram.cli.i18n import _
from tram.core.errors import BadInput
from tram.ledger import Ledger, State, open_ledger
from tram.register import Province, load
from tram_audit.audit import folder, kept
from tram_exporters.textfile import Page

EXAMPLES = (
    _("Examples:")
    + "\n\n  tram metrics -i inventories/ha-tinh --to /var/lib/prometheus/node-exporter\n\n"
    + _("Ends with 0 when everything was read, 1 when a figure is missing, 2 for wrong input.")
)
RESULTS = ("pass", "fail", "waived", "unknown", "expired")


def metrics(
    *,
    inventory: Annotated[
        Path, typer.Option("--inventory", "-i", metavar="DIR", help=_("The province's folder."))
    ] = Path("inventories/lab"),
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help=_("Where node_exporter reads its textfiles."))],
) -> None:
    """What the centre knows of hosts, as metrics: deliveries and the baseline."""
    if not to.is_dir():
        raise BadInput(f"{to}: there is no such folder", hint="make it first, or install prometheus-node-exporter")
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


metrics.__doc__ = _("What the centre knows of hosts, as metrics: deliveries and the baseline.")


def delivery(province: Province) -> Page:
    """Runs by outcome, and how long a host has been owed one."""
    page = Page("delivery")
    with page.reading("ledger"):
        ledger = open_ledger(province.code)
        try:
            _delivery(page, ledger, datetime.now(UTC))
        finally:
            ledger.close()
    return page


def _delivery(page: Page, ledger: Ledger, now: datetime) -> None:
    counts: Counter[tuple[str, str, str]] = Counter()
    for host, site, state, count, ended in ledger.tally():
        if state.outcome is None:
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
        age = max(0.0, (now - one.since).total_seconds())
        owed[one.host, one.site] = max(age, owed.get((one.host, one.site), 0.0))
    for (host, site), age in owed.items():
        text = "How long the host has been owed a run it was not reached for; absent when it is owed none."
        page.gauge("tram_delivery_not_reached_age_seconds", text, age, host=host, site=site)


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
