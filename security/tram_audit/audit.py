"""An audit: every host looked at and judged; what differs from the audit before; kept for the next one."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tram.core.errors import BadInput
from tram.look import Looked, Patience, look_at_all
from tram.register import Host, Province, Site
from tram_audit.facts import facts_of
from tram_audit.judging import Status, Verdict, judge_host, profile_for
from tram_audit.loading import Profile, Rules
from tram_audit.looks import looks

FORMAT = "tram-audit/1"
KEPT, KEPT_BYTES = 200, 500_000_000
"""Audits that are kept for drift and trend, and how much of the disk they may take; the oldest go first, never the last
two."""


@dataclass(frozen=True, slots=True)
class Audited:
    """One host. `error` is empty, or why nothing, or not all, could be seen of it."""

    host: str
    site: str
    profile: str
    error: str
    seconds: float
    verdicts: tuple[Verdict, ...]

    def counts(self) -> Counter[Status]:
        """How many controls stand how."""
        return Counter(verdict.status for verdict in self.verdicts)


@dataclass(frozen=True, slots=True)
class Change:
    """A control that stands otherwise than in the audit before."""

    host: str
    control: str
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class Audit:
    """All of it; `changes` is None when there was no audit before."""

    province: str
    at: datetime
    rules: Rules
    hosts: tuple[Audited, ...]
    changes: tuple[Change, ...] | None = None

    def failed(self) -> list[Verdict]:
        """Every failure."""
        return [verdict for host in self.hosts for verdict in host.verdicts if verdict.status is Status.FAIL]

    def unknown(self) -> list[Verdict]:
        """Everything nobody can say."""
        return [verdict for host in self.hosts for verdict in host.verdicts if verdict.status is Status.UNKNOWN]


def choose(province: Province, names: Sequence[str]) -> list[tuple[Site, Host]]:
    """The hosts that are meant: inventory names, codes of sites, functions or tiers; without any, all.

    Raises: BadInput for a name that is none of these.
    """
    every = [(site, host) for site in province.sites for host in site.hosts]
    found: dict[str, tuple[Site, Host]] = {}
    for name in names:
        mine = [
            (site, host)
            for site, host in every
            if name in (host.inventory_name, site.code, site.tier, *host.functions, *(["pilot"] if site.pilot else []))
        ]
        if not mine:
            raise BadInput(f"no host, site, tier or function {name}", hint="tram sites list shows them")
        found |= {host.inventory_name: (site, host) for site, host in mine}
    return [pair for pair in every if pair[1].inventory_name in found] if names else every


def run_audit(
    province: Province,
    rules: Rules,
    chosen: Sequence[tuple[Site, Host]],
    *,
    profile: str | None = None,
    parallel: int = 8,
    patience: Patience | None = None,
    tell: Callable[[Looked], None] | None = None,
) -> Audit:
    """Look at the hosts and judge them; changes nothing on any of them.

    Raises: BadInput for an unknown profile; ProgramFailed when there is no ssh here.
    """
    if profile is not None and profile not in rules.profiles:
        raise BadInput(f"unknown profile {profile}", hint=f"one of: {', '.join(rules.profiles)}")
    asked = [host for _, host in chosen]
    seen = look_at_all(province, asked, looks(rules.sysctls), parallel=parallel, patience=patience, tell=tell)
    now = datetime.now(UTC)
    hosts = []
    for (site, host), looked in zip(chosen, seen, strict=True):
        taken: Profile = rules.profiles[profile] if profile else profile_for(rules, site, host)
        facts = facts_of(looked)
        verdicts = judge_host(rules, taken, host, facts, operator=province.operator, today=now.date())
        hosts.append(Audited(host.inventory_name, site.code, taken.name, looked.error, looked.seconds, tuple(verdicts)))
    return Audit(province.code, now, rules, tuple(hosts))


def folder(province: str) -> Path:
    """Where the audits of a province are kept, at the centre."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state")
    return base / "tram" / province / "audits"


def keep(audit: Audit, place: Path) -> Path:
    """Write the audit down for the next one to compare with; old ones go."""
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = place / f"{audit.at:%Y%m%dT%H%M%S}.{audit.at.microsecond // 1000:03d}Z.json"
    fresh = file.with_suffix(".new")
    fresh.touch(mode=0o600)
    with fresh.open("w", encoding="utf-8") as out:
        json.dump(plain(audit), out, ensure_ascii=False)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)
    taken = 0
    for number, one in enumerate(sorted(place.glob("*Z.json"), reverse=True), start=1):
        taken += one.stat().st_size
        if number > KEPT or (number > 2 and taken > KEPT_BYTES):
            one.unlink(missing_ok=True)
    return file


def kept(place: Path, *, newest_first: bool = False) -> Iterator[Mapping[str, Any]]:
    """The audits that are kept. One that cannot be read (any more) counts as not kept."""
    for file in sorted(place.glob("*Z.json"), reverse=newest_first):
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(data, dict) and data.get("format") == FORMAT:
            yield data


def before(place: Path, hosts: Iterable[str]) -> dict[tuple[str, str], str]:
    """How each control stood, (host, control) → status, when the host was last audited and answered."""
    wanted = set(hosts)
    found: dict[tuple[str, str], str] = {}
    for data in kept(place, newest_first=True):
        if not wanted:
            break
        for host in data["hosts"]:
            if host["host"] in wanted and not host["error"]:
                wanted.discard(host["host"])
                found |= {(host["host"], one["control"]): one["status"] for one in host["verdicts"]}
    return found


def compare(audit: Audit, earlier: Mapping[tuple[str, str], str]) -> tuple[Change, ...]:
    """What stands otherwise now. A host that did not answer has not drifted: nobody knows."""
    return tuple(
        Change(host.host, verdict.control, was, verdict.status)
        for host in audit.hosts
        if not host.error
        for verdict in host.verdicts
        if (was := earlier.get((host.host, verdict.control))) not in (None, verdict.status.value)
    )


def plain(audit: Audit) -> dict[str, Any]:
    """The audit for machines: docs/contracts/audit.md."""
    changes = (
        None
        if audit.changes is None
        else [
            {"host": one.host, "control": one.control, "before": one.before, "now": str(one.now)}
            for one in audit.changes
        ]
    )
    return {
        "format": FORMAT,
        "province": audit.province,
        "at": audit.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "hosts": [_plain_host(host) for host in audit.hosts],
        "changes": changes,
    }


def _plain_host(host: Audited) -> dict[str, Any]:
    return {
        "host": host.host,
        "site": host.site,
        "profile": host.profile,
        "error": host.error,
        "counts": {str(status): host.counts()[status] for status in Status},
        "verdicts": [
            {
                "control": verdict.control,
                "status": str(verdict.status),
                "evidence": list(verdict.evidence),
                "reason": None if verdict.reason is None else {"vi": verdict.reason.vi, "en": verdict.reason.en},
                "waiver": None if verdict.waiver is None else verdict.waiver.model_dump(),
            }
            for verdict in host.verdicts
        ],
    }
