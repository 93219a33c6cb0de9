"""Views that count: adoption by agency, lines and what their providers keep, as plain rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from statistics import median
from typing import Any

from tram.register.model import Province
from tram_board.asking import Sample
from tram_board.readings import Answers
from tram_board.state import ProvinceState
from tram_board.words import Word

STAGES = ("people", "issued", "activated", "used", "sent")
SLA_PERIOD = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Agency:
    """One agency's people by stage; None: unknown."""

    code: str
    name: str
    people: int | None
    issued: int | None
    activated: int | None
    used: int | None
    sent: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """One site's line: what was agreed, what is measured (None: unknown). Times in seconds, shares from 0 to 1.

    `outage` is by cause over `SLA_PERIOD`; `availability` counts the provider's own faults (cause `link`) only and is
    None when the record does not reach that far back.
    """

    site: str
    name: str
    provider: str
    kind: str
    agreed_rtt: float
    agreed_loss: float
    rtt: float | None
    rtt95: float | None
    loss: float | None
    state: Word
    outage: Mapping[str, float]
    availability: float | None


@dataclass(frozen=True, slots=True)
class Provider:
    """All lines of one provider. `unknown` lines are neither kept nor broken."""

    name: str
    lines: int
    broken: int
    unknown: int
    rtt: float | None
    loss: float | None
    availability: float | None


def agencies(province: Province, answers: Answers, codes: Collection[str]) -> tuple[list[Agency], str]:
    """The funnel of every agency a person may see, and why it is unknown where it is."""
    found, failed = answers
    by_agency: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for sample in found.get("accounts", []):
        by_agency[sample.labels.get("agency", "")][sample.labels.get("stage", "")] = int(sample.value)
    rows = [
        Agency(site.code, site.name, *(by_agency[site.code].get(stage) for stage in STAGES))
        for site in province.sites
        if site.code in codes
    ]
    return rows, failed.get("accounts", "")


def total(rows: Sequence[Agency]) -> dict[str, int | None]:
    """All agencies that have figures together; None for a stage of which none has."""
    sums: dict[str, int | None] = {}
    for stage in STAGES:
        known = [value for row in rows if (value := getattr(row, stage)) is not None]
        sums[stage] = sum(known) if known else None
    return sums


def lines(state: ProvinceState, answers: Answers) -> tuple[list[Line], list[Provider], str]:
    """Every line of the sites a person may see, and their providers; why outages are unknown, where they are."""
    found, failed = answers
    outages = _outages(found)
    rtt95 = {sample.labels.get("site", ""): sample.value for sample in found.get("rtt95", [])}
    rows = []
    for code, one in state.sites.items():
        link = one.site.link
        if link is None:
            continue
        measured = {
            name: [
                v for host in one.site.hosts if (v := state.readings.one(name, code, host.inventory_name)) is not None
            ]
            for name in ("link_rtt", "link_loss")
        }
        reach = one.verbs.get("reach")
        outage = outages.get(code)
        rows.append(
            Line(
                site=code,
                name=one.site.name,
                provider=link.provider,
                kind=link.kind,
                agreed_rtt=link.rtt.total_seconds(),
                agreed_loss=link.loss,
                rtt=min(measured["link_rtt"], default=None),
                rtt95=rtt95.get(code),
                loss=min(measured["link_loss"], default=None),
                state=reach.word if reach else Word.UNKNOWN,
                outage=outage or {},
                availability=None
                if outage is None
                else max(0.0, 1 - outage.get("link", 0.0) / SLA_PERIOD.total_seconds()),
            )
        )
    return rows, _providers(rows), failed.get("outage") or failed.get("outage_before", "")


def _outages(found: Mapping[str, Sequence[Sample]]) -> dict[str, dict[str, float]]:
    """Seconds of outage within the period, by site and cause; only of sites whose record goes back that far.

    Counters are compared at two moments instead of along 30 days of samples of every site. One that is less than it
    was began anew in between: what it says now is then the least that can be said.
    """
    before = {(s.labels.get("site", ""), s.labels.get("cause", "")): s.value for s in found.get("outage_before", [])}
    spans: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for sample in found.get("outage", []):
        key = sample.labels.get("site", ""), sample.labels.get("cause", "")
        if key in before:
            spans[key[0]][key[1]] = sample.value - before[key] if sample.value >= before[key] else sample.value
    return dict(spans)


def _providers(rows: Sequence[Line]) -> list[Provider]:
    by_name: defaultdict[str, list[Line]] = defaultdict(list)
    for row in rows:
        by_name[row.provider].append(row)
    return [
        Provider(
            name=name,
            lines=len(mine),
            broken=sum(row.state in (Word.BAD, Word.ATTENTION) for row in mine),
            unknown=sum(row.state is Word.UNKNOWN for row in mine),
            rtt=_middle([row.rtt for row in mine]),
            loss=_middle([row.loss for row in mine]),
            availability=_mean([row.availability for row in mine]),
        )
        for name, mine in sorted(by_name.items())
    ]


def _middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def plain(rows: Sequence[Agency | Line | Provider]) -> list[dict[str, Any]]:
    """Rows for machines."""
    return [asdict(row) for row in rows]
