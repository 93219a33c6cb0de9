"""A plan and a rollout as operators and machines see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tram.cli.i18n import _, both
from tram.cli.rollout_words import (
    OUTCOMES,
    STANDINGS,
    STATES,
    WAVES,
    add_columns,
    clock,
    coloured,
    progress,
    reason,
    size,
    span,
)
from tram.cli.runs import plain_host
from tram.ledger import Ledger, RolloutRow, utc_now
from tram.rollout.conductor import News, rows_in_order
from tram.rollout.forecast import Forecast
from tram.rollout.plan import Wave


def print_plan(console: Console, waves: Sequence[Wave]) -> None:
    """The waves with why each host is there, and its forecast."""
    for wave in waves:
        table = Table(title=escape(_wave_title(wave)))
        add_columns(table, both("Host"), both("Why here"), both("Bytes"), both("Time"), both("Fits"))
        for place in wave.places:
            why = "\n".join(reason(found) for found in place.why)
            table.add_row(place.host, why, *_cost(place.forecast))
        console.print(table)


def tell(console: Console, news: News) -> None:
    """One line a step, so that it also reads well in a log."""
    now = f"{utc_now().astimezone():%H:%M:%S}"
    if news.what == "host" and news.ended:
        word = coloured(OUTCOMES[news.ended.outcome])
        text = f"{escape(news.host)}: {word}" + (f": {escape(news.ended.reason)}" if news.ended.reason else "")
    elif news.what == "wave":
        text = _("wave {number} begins").format(number=news.wave)
    elif news.what == "soak" and news.until:
        text = _("wave {number} is watched until {at}").format(number=news.wave, at=clock(news.until))
    elif news.what == "rest" and news.until:
        text = _("nothing is due before {at}").format(at=clock(news.until))
    else:
        word = coloured(STANDINGS[news.what])
        why = "; ".join(reason(found) for found in news.reasons)
        text = _("wave {number}: {word}").format(number=news.wave, word=word) + (f": {why}" if why else "")
    console.print(f"[dim]{now}[/] {text}", soft_wrap=True)


def print_rollout(ledger: Ledger, row: RolloutRow) -> None:
    console = new_console()
    rows = rows_in_order(ledger.rollouts.places(row.run), ledger.show(row.run).hosts)
    console.print(f"{row.run} · {escape(row.stack)} · {coloured(STANDINGS[row.state])}")
    for wave in ledger.rollouts.waves(row.run):
        name = WAVES.get(wave.name, wave.name)
        title = _("Wave {number}: {name}").format(number=wave.number, name=name)
        table = Table(title=f"{escape(title)} · {coloured(STANDINGS[wave.state])}")
        add_columns(
            table,
            both("Host"),
            both("Outcome"),
            both("Progress"),
            both("Sent / received"),
            both("Tries"),
            both("Reason"),
        )
        for place, host in rows:
            if place.wave == wave.number:
                table.add_row(
                    host.host,
                    coloured(STATES[host.state], lines=True),
                    progress(host),
                    f"{size(host.bytes_down)} / {size(host.bytes_up)}",
                    str(host.attempts),
                    escape(host.reason),
                )
        console.print(table)
        for found in wave.objections:
            console.print(f"  {reason(found)}", soft_wrap=True)
    for given in ledger.rollouts.approved(row.run):
        text = _("wave {number} was approved by {who}, {at}")
        console.print(escape(text.format(number=given.wave, who=given.who, at=clock(given.at))))


def plain_rollout(ledger: Ledger, row: RolloutRow) -> dict[str, Any]:
    """A rollout for machines: docs/contracts/ledger.md."""
    rows = rows_in_order(ledger.rollouts.places(row.run), ledger.show(row.run).hosts)
    return {
        "run": row.run,
        "stack": row.stack,
        "state": row.state,
        "policy": row.policy,
        "waves": [
            {
                "number": wave.number,
                "name": wave.name,
                "state": wave.state,
                "soak_seconds": wave.soak_seconds,
                "needs_approval": wave.needs_approval,
                "objections": list(wave.objections),
                "hosts": [
                    {**plain_host(host), "why": list(place.why), "forecast": place.forecast}
                    for place, host in rows
                    if place.wave == wave.number
                ],
            }
            for wave in ledger.rollouts.waves(row.run)
        ],
        "approvals": [
            {"wave": given.wave, "who": given.who, "accepted": list(given.accepted)}
            for given in ledger.rollouts.approved(row.run)
        ],
    }


def plain_wave(wave: Wave) -> dict[str, Any]:
    return {
        "number": wave.number,
        "name": wave.name,
        "soak_seconds": wave.soak.total_seconds(),
        "needs_approval": wave.needs_approval,
        "hosts": [
            {
                "host": place.host,
                "site": place.site,
                "why": [found.plain() for found in place.why],
                "forecast": {**place.forecast.plain(), "fits": place.forecast.fits},
            }
            for place in wave.places
        ],
    }


def _wave_title(wave: Wave) -> str:
    title = _("Wave {number}: {name}").format(number=wave.number, name=WAVES.get(wave.name, wave.name))
    parts = [title, _("{count} sites").format(count=len(wave.sites))]
    if wave.soak:
        parts.append(_("then watched for {span}").format(span=span(wave.soak)))
    if wave.needs_approval:
        parts.append(_("begins when a person says so"))
    return " · ".join(parts)


def _cost(cost: Forecast) -> tuple[str, str, str]:
    """Bytes both ways and how they are known, time, and whether it fits."""
    known = {"bundle": _("from the bundle"), "ledger": _("as the last time"), "guess": _("a guess")}[cost.source]
    fits = "[green]✓[/]" if cost.fits else "[red]✗[/] " + "; ".join(reason(found) for found in cost.misfits)
    seconds = _seconds(cost.seconds)
    return f"{size(cost.bytes_down)} / {size(cost.bytes_up)}\n[dim]{known}[/]", seconds, fits


def _seconds(seconds: float) -> str:
    """Seconds as people read them; below ten to a tenth."""
    return f"{seconds:.1f} s" if seconds < 10 else span(timedelta(seconds=seconds))


def new_console(*, stderr: bool = False) -> Console:
    """A terminal's width, or into a file one that holds all columns."""
    console = Console(highlight=False, stderr=stderr)
    return console if console.is_terminal else Console(highlight=False, stderr=stderr, width=180)
