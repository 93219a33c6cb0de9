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

# $w is the window a sample counts for, $s the site's selector (or nothing). An agent sends everything each time.
BY_HOST = {
    "up": "max by (site, host) (last_over_time(up{site!=''$s}[$w]))",
    "exporter": "max by (site, host, exporter) "
    "(last_over_time(tram_exporter_last_success_timestamp_seconds{site!=''$s}[$w]))",
    "reading_failed": "max by (site, host, exporter, reading) "
    "(last_over_time(tram_exporter_readings_failed{site!=''$s}[$w])) > 0",
    "link_up": "max by (site, host) (last_over_time(tram_link_up{site!=''$s}[$w]))",
    "link_loss": "min by (site, host) (last_over_time(tram_link_loss_ratio{site!=''$s}[$w]))",
    "link_rtt": "min by (site, host) (last_over_time(tram_link_rtt_seconds{site!='',quantile='0.5'$s}[$w]))",
    "risk": "max by (site, host) (last_over_time(tram_host_risk_ratio{site!=''$s}[$w]))",
    "risk_unknown": "max by (site, host, reason) (last_over_time(tram_host_risk_unknown{site!=''$s}[$w])) > 0",
    "flag": "max by (site, host, component, signal, disk) "
    "(last_over_time(tram_hardware_flag_ratio{site!=''$s}[$w])) > 0.05",
    "disk_free": "min by (site, host) (last_over_time(node_filesystem_avail_bytes{site!=''$s}[$w]) "
    "/ last_over_time(node_filesystem_size_bytes{site!=''$s}[$w]))",
    "md_failed": "sum by (site, host, device) (last_over_time(node_md_disks{site!='',state='failed'$s}[$w])) > 0",
    "mail_oldest": "max by (site, host) (last_over_time(tram_mail_queue_oldest_seconds{site!=''$s}[$w]))",
    "mail_queue": "max by (site, host) (last_over_time(tram_mail_queue_messages{site!=''$s}[$w]))",
    "antivirus_up": "min by (site, host) (last_over_time(tram_antivirus_engine_up{site!=''$s}[$w]))",
    "signatures": "min by (site, host) "
    "(last_over_time(tram_antivirus_signatures_timestamp_seconds{site!='',set=~'province|daily'$s}[$w]))",
    "findings": "sum by (site, host, state) (last_over_time(tram_antivirus_findings{site!=''$s}[$w])) > 0",
    "baseline": "sum by (site, host, result) (last_over_time(tram_baseline_controls{site!=''$s}[$w]))",
    "drift": "max by (site, host) (last_over_time(tram_baseline_drift{site!=''$s}[$w]))",
    "audited": "max by (site, host) (last_over_time(tram_baseline_audited_timestamp_seconds{site!=''$s}[$w]))",
    "backup": "min by (site, host, service) "
    "(last_over_time(tram_backup_last_success_timestamp_seconds{site!=''$s}[$w]))",
    "proof": "min by (site, host) (last_over_time(tram_backup_last_restore_proof_timestamp_seconds{site!=''$s}[$w]))",
    "overdue": "sum by (site, host) (last_over_time(tram_documents_overdue{site!=''$s}[$w]))",
    "not_reached": "max by (site, host) (last_over_time(tram_delivery_not_reached_age_seconds{site!=''$s}[$w])) > 0",
    "delivered": "max by (site, host) (last_over_time(tram_delivery_last_done_timestamp_seconds{site!=''$s}[$w]))",
}
"""Asked for state; each answer has the labels site and host, which the hub set."""

ABROAD = {
    "accounts": "max by (agency, stage) (last_over_time(tram_accounts[$w]))",
    "outage": "max by (site, cause) (last_over_time(tram_link_outage_seconds_total{site!=''$s}[$w]))",
    "outage_before": "max by (site, cause) (last_over_time(tram_link_outage_seconds_total{site!=''$s}[$w] offset 30d))",
    "rollout": "max by (run, stack) (last_over_time(tram_rollout_standing[$w]))",
    "rollout_wave": "max by (run, wave, name) (last_over_time(tram_rollout_wave_standing[$w]))",
    "rollout_host": "max by (run, wave, site, host) (last_over_time(tram_rollout_host_standing[$w]))",
    "rollout_told": "max(last_over_time(tram_exporter_last_success_timestamp_seconds{exporter='delivery'}[1d]))",
    "rtt95": "max by (site) (last_over_time(tram_link_rtt_seconds{site!='',quantile='0.95'$s}[$w]))",
}
"""Asked by single views."""

Answers = tuple[Mapping[str, Sequence[Sample]], Mapping[str, str]]
"""Samples by question, and for each that failed why."""

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
        query = names[name].replace("$w", _text(window)).replace("$s", chosen)
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
