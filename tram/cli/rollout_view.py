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
    STANDINGS,
    STATES,
    add_columns,
    ago,
    clock,
    coloured,
    progress,
    reason,
    size,
    span,
    wave_name,
)
from tram.cli.runs import plain_host
from tram.ledger import HostRow, Ledger, Outcome, RolloutRow, State, WaveRow, is_gone
from tram.rollout.conductor import rows_in_order
from tram.rollout.forecast import Forecast
from tram.rollout.plan import Wave
from tram.rollout.policy import Policy

# In a wave of more hosts than this only those are listed that need a look; and so many names fit a sentence.
_MANY, _SOME = 20, 5


def print_plan(console: Console, waves: Sequence[Wave]) -> None:
    """The waves with why each host is there, and its forecast."""
    for wave in waves:
        table = Table(title=escape(_wave_title(wave)))
        add_columns(table, both("Host"), both("Why here"), both("Bytes"), both("Time"), both("Fits"))
        for place in wave.places:
            why = "\n".join(reason(found) for found in place.why)
            table.add_row(place.host, why, *_cost(place.forecast))
        console.print(table)


def print_rollout(console: Console, ledger: Ledger, row: RolloutRow, *, hosts: bool = True) -> None:
    """How it stands, wave by wave (with each host of it), and what an operator can do about it."""
    rows = rows_in_order(ledger.rollouts.places(row.run), ledger.show(row.run).hosts)
    console.print(f"{row.run} · {escape(row.stack)} · {coloured(STANDINGS[row.state])}")
    for wave in ledger.rollouts.waves(row.run):
        if hosts:
            console.print(_wave_table(wave, [host for place, host in rows if place.wave == wave.number]))
        for found in wave.objections:
            console.print(f"  {reason(found)}", soft_wrap=True)
    for given in ledger.rollouts.approved(row.run):
        text = _("wave {number} was approved by {who}, {at}")
        console.print(escape(text.format(number=given.wave, who=given.who, at=clock(given.at))))
    for line in advice(row, [host for _place, host in rows]):
        console.print(escape(line), soft_wrap=True)


def advice(row: RolloutRow, hosts: Sequence[HostRow]) -> list[str]:
    """What can be done now, with the commands for it."""
    words = {"stack": row.stack, "run": row.run, "resume": f"tram rollout resume {row.stack}"}
    owed = [host for host in hosts if host.state is State.NOT_REACHED]
    found = []
    if owed:
        words["hosts"] = ", ".join(host.host for host in owed[:_SOME]) + ("…" if owed[_SOME:] else "")
        words["age"] = span(Policy.of(row.policy, row.run).age_limit)
        found.append(_("Not reached: {hosts}. They are tried again for {age} from their first try."))
    if row.state == "resting":
        due = min((host.next_try for host in owed if host.next_try), default=None)
        words["when"] = clock(due) if due else _("the line's next hours on")
        found.append(_("Its timer goes on with it from {when} (tram rollout timer); or at once: {resume}"))
    elif row.state == "running" and (row.controller is None or is_gone(row.controller)):
        found.append(_("Nobody conducts it, its controller has ended. Go on: {resume}"))
    elif row.state in ("paused", "planned"):
        found.append(_("Go on: {resume}. Or end it: tram rollout abort {stack}"))
    elif row.state == "held":
        found.append(_("When the evidence is there: {resume}. To accept what is missing: {resume} --approve"))
    elif row.state == "stopped":
        words["host"] = next((host.host for host in hosts if host.outcome is Outcome.FAILED), "–")
        found.append(_("No other host was begun. What happened: tram runs show {run} --host {host}"))
        found.append(_("Corrected? tram rollout abort {stack}, then start {stack}: what is done is found done."))
        found.append(_("Or let it go on in spite of that: {resume} --approve"))
    return [text.format(**words) for text in found]


def _wave_table(wave: WaveRow, hosts: Sequence[HostRow]) -> Table:
    """One wave's hosts; of a large one only those that are not simply done or waiting."""
    plain = [host for host in hosts if host.state in (State.DONE, State.WAITING)] if len(hosts) > _MANY else []
    title = _("Wave {number}: {name}").format(number=wave.number, name=wave_name(wave.name))
    table = Table(title=f"{escape(title)} · {coloured(STANDINGS[wave.state])}")
    add_columns(table, both("Host"), both("Outcome"), both("Progress"), both("Sent / received"))
    add_columns(table, both("Tries"), both("Last heard"), both("Reason"))
    for host in hosts:
        if host in plain:
            continue
        why = [host.reason] if host.reason else []
        if host.next_try:
            why.append(_("again from {at}").format(at=clock(host.next_try)))
        table.add_row(
            host.host,
            coloured(STATES[host.state], lines=True),
            progress(host),
            f"{size(host.bytes_down)} / {size(host.bytes_up)}",
            str(host.attempts),
            ago(host.last_heard),
            escape("; ".join(why)),
        )
    if plain:
        table.caption = "  ".join(
            f"{STATES[state][1]} {count}"
            for state in (State.DONE, State.WAITING)
            if (count := sum(host.state is state for host in plain))
        )
    return table


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
    title = _("Wave {number}: {name}").format(number=wave.number, name=wave_name(wave.name))
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
