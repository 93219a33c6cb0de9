"""What `tram hardware` shows: one disk explained, the replacement list; as tables and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tram.cli.i18n import _, both
from tram_exporters.replacement import Row, texts
from tram_exporters.risk import Constants, Flag, Looked, together
from tram_exporters.smart import Disk

KINDS = {
    "hdd": both("spinning ATA disk"),
    "ssd": both("ATA SSD"),
    "nvme": both("NVMe SSD"),
    "sas": both("SAS disk"),
    "unknown": both("kind unknown"),
}


def told(said: Mapping[str, str]) -> str:
    """A text of risk.yml in both languages."""
    return f"{said.get('vi', '')} · {said.get('en', '')}" if said else ""


def plain_explained(disk: Disk, flags: Sequence[Flag], looked: Sequence[Looked], rules: Constants) -> dict[str, Any]:
    """The explanation for programs; what is not known is null."""
    return {
        "disk": disk.name,
        "model": disk.model,
        "kind": disk.kind,
        "readable": disk.readable,
        "power_on_hours": disk.hours,
        "temperature_celsius": disk.temperature,
        "used_percent": disk.used_percent,
        "exit_status": disk.exit_status,
        "exit_bits": [{"bit": bit, **rules.data["exit_bits"][bit]} for bit in _bits(disk)],
        "risk": round(together(flag.p for flag in flags), 6) if flags else None,
        "flags": [
            {
                "signal": flag.signal,
                "value": flag.value,
                "p": round(flag.p, 6),
                "rate": flag.rate,
                "interval": None if flag.low is None else [flag.low, flag.high],
                "source": flag.source,
                "grown": flag.grown,
                **{key: texts(flag.signal, rules.data).get(key, "") for key in ("vi", "en")},
            }
            for flag in flags
        ],
        "looked_at": [
            {"signal": one.signal, "value": one.value, "rate": one.rate, "interval": [one.low, one.high]}
            for one in looked
        ],
        "seen": disk.seen,
        "unknown": [
            {"reason": reason, "value": value, **rules.data["unknown"].get(reason, {})}
            for reason, value in _unknown(disk)
        ],
        "messages": disk.messages,
    }


def _unknown(disk: Disk) -> list[tuple[str, str]]:
    """Why something is unknown, and what of it was given."""
    return [*disk.unknown.items(), *(("implausible", f"{name} = {value}") for name, value in disk.broken.items())]


def _bits(disk: Disk) -> list[int]:
    return [bit for bit in range(8) if disk.exit_status >> bit & 1]


def show_explained(disk: Disk, flags: Sequence[Flag], looked: Sequence[Looked], rules: Constants) -> None:
    """Print it for a person: the verdict, each flag with its reason, what was looked at, what is not known."""
    console = Console(highlight=False, soft_wrap=True)
    hours = "" if disk.hours is None else f" · {disk.hours} h ({disk.hours / 8766:.1f} {both('years')})"
    console.print(escape(f"{disk.name} · {disk.model or '?'} · {KINDS[disk.kind]}{hours}"))
    if not disk.readable:
        console.print(f"[bold yellow]{both('UNKNOWN: this disk was not read')}[/]")
    elif flags:
        more = "≥ " if disk.unknown else ""
        chance = together(flag.p for flag in flags)
        console.print(f"[bold]{both('Chance to fail within a year')}: {more}{chance:.1%}[/]")
    for bit in _bits(disk):
        console.print(escape(f"  smartctl exit {1 << bit}: {told(rules.data['exit_bits'][bit])}"))
    for flag in flags:
        rate = ""
        if flag.rate is not None:
            rate = f", {_('rate')} {flag.rate:.2f}/{_('year')} [{flag.low:.2f}–{flag.high:.2f}]"
        colour = "dim" if flag.signal == "age" else "red"
        console.print(f"  [{colour}]{flag.signal} = {escape(flag.value)}[/]: {flag.p:.1%}{escape(rate)}")
        console.print(escape(f"    {told(texts(flag.signal, rules.data))}"))
        console.print(escape(f"    {both('source')}: {flag.source}"), style="dim")
    for one in looked:
        line = (
            f"  {one.signal} = {one.value}: {_('no flag')} ({one.rate:.3f}/{_('year')} [{one.low:.3f}–{one.high:.3f}])"
        )
        console.print(escape(line), style="dim")
    for name, value in disk.seen.items():
        console.print(escape(f"  {name} = {value}: {_('seen, has no weight')}"), style="dim")
    for reason, value in _unknown(disk):
        said = told(rules.data["unknown"].get(reason, {}))
        console.print(
            f"  [yellow]{both('unknown')}: {escape(said or reason)}[/]{escape(f' ({value})' if value else '')}"
        )


def show_report(rows: Sequence[Row], *, more: int = 0) -> None:
    """The ranked list."""
    console = Console(highlight=False)
    table = Table(title=both("What to replace first"))
    for heading in ("#", both("Host"), both("Site"), both("Year"), both("Risk"), both("Impact"), both("Priority")):
        table.add_column(heading, overflow="fold")
    table.add_column(both("Why"), overflow="fold", ratio=2)
    for number, row in enumerate(rows, 1):
        risk = _("not known") if row.risk is None else f"{'≥ ' if row.unknown else ''}{row.risk:.0%}"
        why = "; ".join(f"{signal} {disk} {p:.0%}".replace("  ", " ") for signal, disk, p in row.flags)
        unknown = "; ".join(f"{_('unknown')}: {one}" for one in row.unknown)
        priority = "–" if row.priority is None else f"{row.priority:.2f}"
        cells = (row.host, row.site, row.year, risk, f"{row.impact:g}", priority)
        table.add_row(
            str(number), *(escape(str(one)) for one in cells), escape("\n".join(filter(None, (why, unknown))))
        )
    console.print(table)
    if more > 0:
        console.print(_("… and {count} more; all of them: --json").format(count=more))
