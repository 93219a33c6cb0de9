"""What to replace first, for a budget: each host's flags and risk from what its exporter said, times what it serves.

Runs at the centre: from kept textfiles or from the hub's query API.
"""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tram_exporters.risk import together

FLAG, UNKNOWN = "tram_hardware_flag_ratio", "tram_host_risk_unknown"
LAST = "tram_exporter_last_success_timestamp_seconds"
METRICS = (FLAG, UNKNOWN, LAST)
STALE_SECONDS = 86_400.0
"""What was last said longer ago is no word about today."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One value a host said."""

    host: str
    metric: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Row:
    """A host in the list. `risk` is None when nothing of it is known; with `unknown` it may be more than `risk`."""

    host: str
    site: str
    what: str
    year: int
    impact: float
    risk: float | None
    flags: tuple[tuple[str, str, float], ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def priority(self) -> float | None:
        """Risk times impact."""
        return None if self.risk is None else self.risk * self.impact


@dataclass(slots=True)
class _Said:
    flags: dict[tuple[str, str], float] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    last: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """A host of the register, as the ranking needs it."""

    host: str
    site: str
    what: str
    year: int
    functions: tuple[str, ...]
    below: int


def impact(place: Place, constants: Mapping[str, Any]) -> float:
    """How much the host's failure hurts."""
    weights = constants["impact"]["functions"]
    heaviest = max((float(weights.get(one, 1)) for one in place.functions), default=1.0)
    return heaviest * (1 + place.below)


def from_files(folder: Path) -> tuple[list[Sample], list[str]]:
    """Samples of `<host>.prom` or `<host>/tram_hardware.prom`, and the files that cannot be read."""
    samples: list[Sample] = []
    broken: list[str] = []
    for path in sorted([*folder.glob("*.prom"), *folder.glob("*/tram_hardware.prom")]):
        host = path.parent.name if path.name == "tram_hardware.prom" and path.parent != folder else path.stem
        try:
            families = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            broken.append(f"{path}: {error}")
            continue
        found = (one for family in families for one in family.samples if one.name in METRICS)
        samples += [Sample(host, one.name, one.labels, one.value) for one in found]
    return samples, broken


def rank(places: Sequence[Place], samples: Iterable[Sample], constants: Mapping[str, Any], now: datetime) -> list[Row]:
    """Every host of the register: the most pressing first, then those of which nothing is known."""
    said: dict[str, _Said] = {}
    for one in samples:
        host = said.setdefault(one.host, _Said())
        if one.metric == FLAG:
            signal, disk = one.labels.get("signal", ""), one.labels.get("disk", "")
            if 0 <= one.value <= 1:
                host.flags[signal, disk] = one.value
            else:
                host.unknown.add("implausible")
        elif one.metric == UNKNOWN and one.value:
            host.unknown.add(one.labels.get("reason", "reading_failed"))
        elif one.metric == LAST and one.labels.get("exporter") == "hardware":
            host.last = one.value
    rows = [_row(place, said.get(place.host), constants, now) for place in places]
    return sorted(rows, key=lambda row: (row.priority is None, -(row.priority or 0.0), -row.impact, row.host))


def _row(place: Place, said: _Said | None, constants: Mapping[str, Any], now: datetime) -> Row:
    weight = impact(place, constants)
    base = (place.host, place.site, place.what, place.year, weight)
    if said is None or abs(now.timestamp() - said.last) > STALE_SECONDS:
        return Row(*base, None, unknown=("silent",))
    flags = tuple(sorted(((s, d, p) for (s, d), p in said.flags.items()), key=lambda one: (-one[2], one)))
    return Row(*base, together(p for _s, _d, p in flags) if flags else None, flags, tuple(sorted(said.unknown)))


COLUMNS = ("rank", "host", "site", "what", "year", "risk", "impact", "priority", "flags", "unknown")


def plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The list for programs; what is not known is null."""
    return [
        {
            "rank": number,
            "host": row.host,
            "site": row.site,
            "what": row.what,
            "year": row.year,
            "risk": None if row.risk is None else round(row.risk, 4),
            "impact": row.impact,
            "priority": None if row.priority is None else round(row.priority, 4),
            "flags": [{"signal": signal, "disk": disk, "p": round(p, 4)} for signal, disk, p in row.flags],
            "unknown": list(row.unknown),
        }
        for number, row in enumerate(rows, 1)
    ]


def as_csv(rows: Sequence[Row]) -> str:
    """One line a host. A cell that a spreadsheet would take for a formula is a text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in plain(rows):
        flags = "; ".join(
            f"{flag['signal']} {flag['disk']} {flag['p']:.2f}".replace("  ", " ") for flag in one["flags"]
        )
        cells = {**one, "flags": flags, "unknown": ", ".join(one["unknown"])}
        writer.writerow([_cell(cells[column]) for column in COLUMNS])
    return out.getvalue()


def _cell(value: object) -> str:
    said = "" if value is None else str(value)
    return f"'{said}" if said[:1] in {"=", "+", "-", "@", "\t"} else said


_STYLE = """
body{font:11pt sans-serif} table{border-collapse:collapse;width:100%} th{background:#eee} tr{break-inside:avoid}
td,th{border:1px solid #999;padding:3px 5px;text-align:left;vertical-align:top} @page{size:A4 landscape;margin:12mm}
"""


def as_page(rows: Sequence[Row], title: str, constants: Mapping[str, Any], at: datetime) -> str:
    """A page for paper: Vietnamese, one file, nothing fetched."""
    heads = ("", "Máy chủ", "Đơn vị", "Loại máy", "Năm", "Rủi ro 1 năm", "Ảnh hưởng", "Ưu tiên", "Vì sao", "Chưa rõ")
    lines = []
    for number, row in enumerate(rows, 1):
        why = "; ".join(f"{_meaning(signal, constants)} {disk} ({p:.0%})" for signal, disk, p in row.flags)
        unknown = " ".join(_unknown(one, constants) for one in row.unknown)
        risk = "chưa rõ" if row.risk is None else f"{'≥ ' if row.unknown else ''}{row.risk:.0%}"
        priority = "–" if row.priority is None else f"{row.priority:.2f}"
        cells = (number, row.host, row.site, row.what, row.year, risk, f"{row.impact:g}", priority, why, unknown)
        lines.append("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{one}</th>" for one in heads)
    title = html.escape(title)
    return (
        f'<!doctype html><html lang="vi"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1>"
        f"<p>Lập lúc {at:%H:%M %d/%m/%Y} UTC. Ưu tiên = rủi ro × ảnh hưởng; rủi ro = 1 − Π(1 − p). "
        "Máy chưa đọc được ghi là chưa rõ, không coi là tốt.</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></html>\n"
    )


def _meaning(signal: str, constants: Mapping[str, Any]) -> str:
    return str(texts(signal, constants).get("vi", signal))


def _unknown(reason: str, constants: Mapping[str, Any]) -> str:
    return str(constants["unknown"].get(reason, {}).get("vi", reason))


def texts(signal: str, constants: Mapping[str, Any]) -> Mapping[str, str]:
    """What a signal means, in both languages (`vi`, `en`)."""
    for one in constants["attributes"].values():
        if one["signal"] == signal:
            return dict(one)
    for part in (constants["analogies"], constants["signals"]):
        if signal in part:
            return dict(part[signal])
    return dict(constants["age"]) if signal == "age" else {}
