"""The report to hand up: one page for whoever signs, then the detail. Vietnamese, one file, made for paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from tram.register import Province
from tram_audit.audit import Audit, Audited
from tram_audit.judging import Status, Verdict
from tram_audit.trend import Trend, curve, ends
from tram_audit.writing import SEVERITIES, STATUS_VI

SEVERITY_VI = {"critical": "nghiêm trọng", "high": "cao", "medium": "vừa", "low": "thấp"}
_ON_ONE_PAGE = 8
"""Lines that each list of the first page may have, so that it stays one page; the rest is in the detail."""


@dataclass(frozen=True, slots=True)
class Level:
    """The hosts of one level of administration: how many there are, have no failure, have some, could not be seen."""

    name: str
    hosts: int
    clean: int
    failing: int
    unseen: int


@dataclass(frozen=True, slots=True)
class Weight:
    """Failures of one severity: controls that fail somewhere, hosts on which any does, failures in all."""

    name: str
    controls: int
    hosts: int
    failures: int


def as_page(audit: Audit, province: Province, history: Trend | None = None) -> str:
    """The report; nothing in it is fetched from elsewhere."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rules = audit.rules
    failing: dict[str, list[Verdict]] = {}
    for verdict in audit.failed():
        failing.setdefault(verdict.control, []).append(verdict)
    ordered = sorted(failing, key=lambda code: (SEVERITIES.index(rules.controls[code].severity), code))
    every = [verdict for host in audit.hosts for verdict in host.verdicts]
    points = history.points if history else {}
    return environment.get_template("report.html.j2").render(
        audit=audit,
        province=province,
        rules=rules,
        most=_ON_ONE_PAGE,
        names={host.inventory_name: site.name for site in province.sites for host in site.hosts},
        unseen=[host for host in audit.hosts if host.error or host.counts()[Status.UNKNOWN]],
        levels=_levels(audit, province),
        weights=[weight for severity in SEVERITIES if (weight := _weight(audit, severity)).failures],
        curves={host: curve(found) for host, found in points.items() if len(found) > 1},
        points=points,
        ends=ends,
        failing=[(rules.controls[code], failing[code]) for code in ordered],
        waived=sorted(
            (verdict for verdict in every if verdict.waiver),
            key=lambda verdict: (verdict.waiver.expires if verdict.waiver else "", verdict.host),
        ),
        unknown=[verdict for verdict in every if verdict.status is Status.UNKNOWN],
        outside=[verdict for verdict in every if verdict.status is Status.NOT_APPLICABLE],
        statuses=list(Status),
        status_vi={str(status): words for status, words in STATUS_VI.items()},
        severity_vi=SEVERITY_VI,
    )


def _levels(audit: Audit, province: Province) -> list[Level]:
    tier_of = {host.inventory_name: site.tier for site in province.sites for host in site.hosts}
    found = []
    for code, tier in province.tiers.items():
        mine = [host for host in audit.hosts if tier_of[host.host] == code]
        if mine:
            kinds = Counter(_kind(host) for host in mine)
            found.append(Level(tier.name_vi, len(mine), kinds["clean"], kinds["failing"], kinds["unseen"]))
    return found


def _kind(host: Audited) -> str:
    counts = host.counts()
    if host.error or counts[Status.UNKNOWN]:
        return "unseen"
    return "failing" if counts[Status.FAIL] else "clean"


def _weight(audit: Audit, severity: str) -> Weight:
    mine: Sequence[Verdict] = [
        verdict for verdict in audit.failed() if audit.rules.controls[verdict.control].severity == severity
    ]
    hosts, controls = {verdict.host for verdict in mine}, {verdict.control for verdict in mine}
    return Weight(SEVERITY_VI[severity], len(controls), len(hosts), len(mine))
