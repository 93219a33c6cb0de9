"""Whose restore is to be proven when: each host once a month, spread over its days in the order of the waves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from tram.register import Host, Province, Site
from tram.rollout.plan import make_plan
from tram.rollout.policy import load_policy
from tram.rollout.targets import Targets

DAYS = 28
"""Every month has so many."""
OVERDUE = timedelta(days=35)
"""As the alert RestoreUnproven and the board have it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A host's turn: the last day it fell on, when a restore was last proven (None: never), what follows of both."""

    host: str
    wave: int
    day: date
    proven: datetime | None
    due: bool
    overdue: bool


def backed_up(province: Province) -> tuple[tuple[Site, Host], ...]:
    """The hosts that have a backup, in the order of the register."""
    return tuple((site, host) for site in province.sites for host in site.hosts if "backup" in host.functions)


def turns(province: Province, proven: Mapping[str, datetime], now: datetime) -> list[Turn]:
    """Every host's turn, in the order in which they are to be done: never proven first, then the longest ago."""
    hosts = backed_up(province)
    if not hosts:
        return []
    # No ledger: a month's order is not to change with what was delivered in it.
    plan = make_plan(Targets(hosts, frozenset()), load_policy(province.folder), last_of=_nothing, bytes_of=_nothing)
    order = [(place.host, wave.number) for wave in plan for place in wave.places]
    found = [_turn(host, wave, _days(n, len(order), now.date()), proven.get(host), now)
             for n, (host, wave) in enumerate(order)]  # fmt: skip
    return sorted(found, key=lambda one: (not one.due, one.proven or datetime.min.replace(tzinfo=UTC), one.day))


def _nothing(_host: str) -> None:
    return None


def _days(place: int, count: int, today: date) -> date:
    """The last day on or before today on which the place of so many has its turn."""
    this = today.replace(day=1 + place * DAYS // count)
    return this if this <= today else (this.replace(day=1) - timedelta(days=1)).replace(day=this.day)


def _turn(host: str, wave: int, day: date, proven: datetime | None, now: datetime) -> Turn:
    due = proven is None or proven.date() < day
    return Turn(host, wave, day, proven, due, proven is None or now - proven > OVERDUE)


def first_due(found: Sequence[Turn], count: int) -> list[str]:
    """The hosts whose turn it is, so many."""
    return [one.host for one in found if one.due][:count]
