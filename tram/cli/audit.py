"""`tram audit`: where each host stands against the baselines, as it is in effect; changes nothing on them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tram.cli.i18n import _, both
from tram.core.errors import BadInput
from tram.register import load
from tram_audit.audit import Audit, Audited, before, choose, compare, folder, keep, plain, run_audit
from tram_audit.judging import Status, Verdict
from tram_audit.loading import Rules, load_rules
from tram_audit.oscal import as_oscal
from tram_audit.page import as_page
from tram_audit.trend import Trend, ends, plain_trend, spark, trend
from tram_audit.writing import SEVERITIES, as_csv, as_sarif

_LONGEST = 15
"""Failures that `--trend` shows."""

EXAMPLES = (
    _("Examples:")
    + """

  tram audit

  tram audit -i inventories/ha-tinh --limit pilot --html bao-cao.html

  tram audit --trend 12 --limit huong-khe

  tram audit --limit huong-khe --json | jq '.hosts[].verdicts[] | select(.status == "fail")'

"""
    + _("Ends with 0 when nothing fails and everything is known, 1 otherwise, 2 for wrong input.")
)


def audit(
    *,
    inventory: Annotated[
        Path, typer.Option("--inventory", "-i", metavar="DIR", help=_("The province's folder."))
    ] = Path("inventories/lab"),
    security: Annotated[
        Path, typer.Option("--security", metavar="DIR", help=_("The folder of baselines and waivers."))
    ] = Path("security"),
    limit: Annotated[
        list[str] | None, typer.Option("--limit", "-l", help=_("Only this host, site, tier or function; repeatable."))
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", help=_("Judge every host by this profile, not by its own."))
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=_("Print it as JSON."))] = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help=_("Write a row a control and host."))
    ] = None,
    sarif: Annotated[Path | None, typer.Option("--sarif", metavar="FILE", help=_("Write it as SARIF 2.1.0."))] = None,
    oscal: Annotated[
        Path | None, typer.Option("--oscal", metavar="FILE", help=_("Write it as OSCAL assessment results."))
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help=_("Write the report to print."))] = None,
    trend_of: Annotated[
        int | None,
        typer.Option("--trend", min=2, metavar="N", help=_("Ask no host; show the last N audits of each.")),
    ] = None,
    parallel: Annotated[int, typer.Option("--parallel", min=1, max=64, help=_("How many hosts at once."))] = 8,
) -> None:
    """Look at hosts, read-only, and judge what is in effect on them by the baselines."""
    province, rules = load(inventory), load_rules(security)
    place = folder(province.code if not province.lab else province.state_dir.name)
    wanted: list[tuple[Path | None, Callable[[Audit], str]]] = [
        (csv, as_csv),
        (sarif, as_sarif),
        (oscal, lambda done: as_oscal(done, province)),
        (html, lambda done: as_page(done, province, trend(place, [host.host for host in done.hosts]))),
    ]
    files = [(path, write) for path, write in wanted if path is not None]
    for path, _as in files:
        if not path.parent.is_dir():
            raise BadInput(f"{path}: there is no folder {path.parent}", hint="make it first")
        if path.is_dir():
            raise BadInput(f"{path}: is a folder", hint="name a file in it")
    chosen = choose(province, limit or [])
    if trend_of is not None:
        if files:
            raise BadInput("--trend asks no host, so there is no report to write", hint="only --json goes with it")
        found = trend(place, [host.inventory_name for _site, host in chosen], trend_of)
        if as_json:
            typer.echo(json.dumps(plain_trend(found), ensure_ascii=False, indent=1))
        else:
            _print_trend(found, rules)
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    done = run_audit(
        province,
        rules,
        chosen,
        profile=profile,
        parallel=parallel,
        tell=lambda one: console.print(f"{one.host}: {one.error or f'{one.seconds:.1f} s'}", markup=False),
    )
    earlier = before(place, [host.host for host in done.hosts])
    done = replace(done, changes=compare(done, earlier) if earlier else None)
    keep(done, place)
    for path, write in files:
        _write_own(path, write(done))
    if as_json:
        typer.echo(json.dumps(plain(done), ensure_ascii=False, indent=1))
    else:
        _print(done)
    if done.failed() or done.unknown():
        raise typer.Exit(1)


# What --help says; a docstring of its own could not be translated.
audit.__doc__ = _("Where each host stands against the security baselines; changes nothing.")


def _write_own(path: Path, text: str) -> None:
    """A new file is its owner's alone: it says where each host is weak."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}", hint="the audit itself is kept") from error


def _print(done: Audit) -> None:
    console = Console(highlight=False)
    table = Table()
    for heading in (both("Host"), both("Profile"), both("Pass"), both("Fail"), both("Unknown"), both("Waived")):
        table.add_column(heading)
    table.add_column(both("Not applicable"))
    table.add_column(both("Note"))
    for host in done.hosts:
        table.add_row(*_row(host))
    console.print(table)
    failing: dict[str, list[Verdict]] = {}
    for verdict in done.failed():
        failing.setdefault(verdict.control, []).append(verdict)
    if failing:
        console.print(_failures(done, failing))
    if done.changes is None:
        console.print(_("This is the first audit of these hosts: nothing to compare with."))
    else:
        console.print(_("{count} changes since the audit before").format(count=len(done.changes)))
        for change in done.changes:
            console.print(f"  {change.host}  {change.control}: {change.before} → {change.now}", markup=False)


def _print_trend(found: Trend, rules: Rules) -> None:
    console = Console(highlight=False)
    table = Table()
    for heading in (both("Host"), both("Failures"), both("First → last"), both("Audits"), both("Last audit")):
        table.add_column(heading)
    for host, points in found.points.items():
        last = f"{points[-1].at:%Y-%m-%d %H:%M}" if points else "-"
        table.add_row(host, spark(points), ends(points), str(len(points)), last)
    console.print(table)
    if found.standing:
        longest = Table(title=both("Failing longest"))
        for heading in (both("Since"), both("Host"), both("Control"), both("Audits")):
            longest.add_column(heading)
        for one in found.standing[:_LONGEST]:
            title = rules.controls[one.control].title.vi if one.control in rules.controls else ""
            name = f"{escape(title)}\n[dim]{one.control}[/]"
            longest.add_row(f"{one.since:%Y-%m-%d %H:%M}", one.host, name, str(one.audits))
        console.print(longest)


def _row(host: Audited) -> list[str]:
    counts = host.counts()
    fail, unknown = counts[Status.FAIL], counts[Status.UNKNOWN]
    return [
        host.host,
        host.profile,
        str(counts[Status.PASS]),
        f"[bold red]{fail}[/]" if fail else "0",
        f"[bold yellow]{unknown}[/]" if unknown else "0",
        str(counts[Status.WAIVED]),
        str(counts[Status.NOT_APPLICABLE]),
        escape(host.error),
    ]


def _failures(done: Audit, failing: dict[str, list[Verdict]]) -> Table:
    """Failing controls, the worst first."""
    table = Table()
    for heading in (both("Severity"), both("Control"), both("Hosts"), both("What was seen")):
        table.add_column(heading)
    controls = done.rules.controls
    for code in sorted(failing, key=lambda code: (SEVERITIES.index(controls[code].severity), code)):
        control, verdicts = controls[code], failing[code]
        first = verdicts[0]
        seen = "\n".join([*first.evidence[:2], *([first.reason.en] if first.reason else [])])
        name = f"{escape(control.title.vi)}\n[dim]{control.id}: {escape(control.title.en)}[/]"
        hosts = ", ".join(verdict.host for verdict in verdicts[:4]) + (" …" if len(verdicts) > 4 else "")
        table.add_row(control.severity, name, hosts, escape(seen))
    return table
