"""What the board asks of the time series, by name: one PromQL expression each, for all hosts or one site's.

Whatever is older than the window is not in an answer: missing and stale are the same thing, *unknown*.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tram_board.asking import NotAnswered, Sample, Source

# $w is the window of what comes at every interval, $v of what comes less often, $s the site's selector (or nothing).
BY_HOST = {
    "up": "max by (site, host) (last_over_time(up{site!=''$s}[$w]))",
    "exporter": "max by (site, host, exporter) "
    "(last_over_time(tram_exporter_last_success_timestamp_seconds{site!=''$s}[$v]))",
    "reading_failed": "max by (site, host, exporter, reading) "
    "(last_over_time(tram_exporter_readings_failed{site!=''$s}[$v])) > 0",
    "link_up": "max by (site, host) (last_over_time(tram_link_up{site!=''$s}[$w]))",
    "link_loss": "min by (site, host) (last_over_time(tram_link_loss_ratio{site!=''$s}[$w]))",
    "link_rtt": "min by (site, host) (last_over_time(tram_link_rtt_seconds{site!='',quantile='0.5'$s}[$w]))",
    "risk": "max by (site, host) (last_over_time(tram_host_risk_ratio{site!=''$s}[$v]))",
    "risk_unknown": "max by (site, host, reason) (last_over_time(tram_host_risk_unknown{site!=''$s}[$v])) > 0",
    "flag": "max by (site, host, component, signal, disk) "
    "(last_over_time(tram_hardware_flag_ratio{site!=''$s}[$v])) > 0.05",
    "disk_free": "min by (site, host) (last_over_time(node_filesystem_avail_bytes{site!=''$s}[$w]) "
    "/ last_over_time(node_filesystem_size_bytes{site!=''$s}[$v]))",
    "md_failed": "sum by (site, host, device) (last_over_time(node_md_disks{site!='',state='failed'$s}[$v])) > 0",
    "mail_oldest": "max by (site, host) (last_over_time(tram_mail_queue_oldest_seconds{site!=''$s}[$w]))",
    "mail_queue": "max by (site, host) (last_over_time(tram_mail_queue_messages{site!=''$s}[$w]))",
    "antivirus_up": "min by (site, host) (last_over_time(tram_antivirus_engine_up{site!=''$s}[$w]))",
    "signatures": "min by (site, host) "
    "(last_over_time(tram_antivirus_signatures_timestamp_seconds{site!='',set=~'province|daily'$s}[$v]))",
    "findings": "sum by (site, host, state) (last_over_time(tram_antivirus_findings{site!=''$s}[$v])) > 0",
    "baseline": "sum by (site, host, result) (last_over_time(tram_baseline_controls{site!=''$s}[$v]))",
    "drift": "max by (site, host) (last_over_time(tram_baseline_drift{site!=''$s}[$v]))",
    "audited": "max by (site, host) (last_over_time(tram_baseline_audited_timestamp_seconds{site!=''$s}[$v]))",
    "backup": "min by (site, host, service) "
    "(last_over_time(tram_backup_last_success_timestamp_seconds{site!=''$s}[$v]))",
    "overdue": "sum by (site, host) (last_over_time(tram_documents_overdue{site!=''$s}[$v]))",
    "not_reached": "max by (site, host) (last_over_time(tram_delivery_not_reached_age_seconds{site!=''$s}[$v])) > 0",
    "delivered": "max by (site, host) (last_over_time(tram_delivery_last_done_timestamp_seconds{site!=''$s}[$v]))",
}
"""Asked for state; each answer has the labels site and host, which the hub set."""

ABROAD = {
    "accounts": "max by (agency, stage) (last_over_time(tram_accounts[$v]))",
    "outage": "max by (site, cause) (last_over_time(tram_link_outage_seconds_total{site!=''$s}[$v]))",
    "outage_before": "max by (site, cause) (last_over_time(tram_link_outage_seconds_total{site!=''$s}[$v] offset 30d))",
    "rtt95": "max by (site) (last_over_time(tram_link_rtt_seconds{site!='',quantile='0.95'$s}[$v]))",
}
"""Asked by single views."""

Answers = tuple[Mapping[str, Sequence[Sample]], Mapping[str, str]]
"""Samples by question, and for each that failed why."""

RARER = 4
"""So many times rarer a site tells what need not be known within minutes (`watch_site_slow_seconds`)."""
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Readings:
    """The answers of one moment by name, then by host (`site`, `host`). `failed` says why a name has no answer."""

    at: datetime
    found: Mapping[str, Mapping[tuple[str, str], Sequence[Sample]]] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    def of(self, name: str, site: str, host: str) -> Sequence[Sample]:
        """The samples of one host; none when there is none, or the question failed."""
        return self.found.get(name, {}).get((site, host), ())

    def one(self, name: str, site: str, host: str) -> float | None:
        """The host's single value; None: unknown."""
        samples = self.of(name, site, host)
        return samples[0].value if samples else None


def ask(
    source: Source, names: Mapping[str, str], at: datetime, window: timedelta, site: str | None = None
) -> tuple[dict[str, list[Sample]], dict[str, str]]:
    """Answers by name, and for each question that failed why. Never raises: a question without answer is a fact."""
    chosen = f",site='{site}'" if site else ""

    def once(name: str) -> list[Sample] | str:
        query = names[name].replace("$w", _text(window)).replace("$v", _text(RARER * window)).replace("$s", chosen)
        try:
            return source.now(query, at)
        except NotAnswered as error:
            return error.message

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = dict(zip(names, pool.map(once, names), strict=True))
    found = {name: answer for name, answer in answers.items() if not isinstance(answer, str)}
    return found, {name: answer for name, answer in answers.items() if isinstance(answer, str)}


def gather(source: Source, at: datetime, window: timedelta, site: str | None = None) -> Readings:
    """All readings that state is made of, of every host or of one site's."""
    answers, failed = ask(source, BY_HOST, at, window, site)
    found: dict[str, dict[tuple[str, str], list[Sample]]] = {}
    for name, samples in answers.items():
        by_host: defaultdict[tuple[str, str], list[Sample]] = defaultdict(list)
        for sample in samples:
            by_host[sample.labels.get("site", ""), sample.labels.get("host", "")].append(sample)
        found[name] = by_host
    return Readings(at, found, failed)


def _text(window: timedelta) -> str:
    return f"{window.total_seconds():.0f}s"
