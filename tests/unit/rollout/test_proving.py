"""Restores are proven month by month: everybody has a turn, nobody is forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from tram.register import Province, load
from tram.rollout.proving import first_due, turns

from ...conftest import LAB

NOW = datetime(2026, 11, 22, 13, 0, tzinfo=UTC)
DISTRICT, DEPARTMENT, HUB = "huong-khe-srv1", "so-noi-vu-srv1", "trung-tam-hub1"


@pytest.fixture
def province() -> Province:
    """The lab's, every host backed up."""
    lab = load(LAB)
    kept = [
        replace(site, hosts=tuple(replace(host, functions=(*host.functions, "backup")) for host in site.hosts))
        for site in lab.sites
    ]
    return replace(lab, sites=tuple(kept), hub=next(site for site in kept if site.is_hub))


def test_a_month_is_shared_out_pilots_before_bad_lines(province: Province) -> None:
    found = sorted(turns(province, {}, NOW), key=lambda one: (one.wave, one.day))
    assert next(one.host for one in found) == DEPARTMENT, "the pilot"
    days = {one.host: one.day.day for one in found}
    assert sorted(days.values()) == [1, 10, 19]
    assert all(one.day <= NOW.date() and one.due and one.overdue for one in found)


def test_whoever_was_longest_unproven_is_next_and_who_is_done_is_not_asked_again(province: Province) -> None:
    old, new = NOW - timedelta(days=40), NOW - timedelta(days=1)
    found = turns(province, {DEPARTMENT: old, HUB: new}, NOW)
    assert first_due(found, 5) == [DISTRICT, DEPARTMENT]
    assert first_due(found, 1) == [DISTRICT]
    assert {one.host: one.overdue for one in found} == {DISTRICT: True, DEPARTMENT: True, HUB: False}


def test_from_then_on_every_day_finds_each_host_proven_within_the_month(province: Province) -> None:
    proven: dict[str, datetime] = {}
    for day in range(75):
        now = NOW + timedelta(days=day)
        for host in first_due(turns(province, proven, now), 1):
            proven[host] = now
        if day > 35:
            assert not any(one.overdue for one in turns(province, proven, now)), now


def test_a_turn_in_days_to_come_was_last_months(province: Province) -> None:
    first = datetime(2027, 1, 1, 1, 0, tzinfo=UTC)
    days = {one.day for one in turns(province, {}, first)}
    assert days == {date(2027, 1, 1), date(2026, 12, 10), date(2026, 12, 19)}


def test_a_province_without_backups_has_no_turns() -> None:
    assert turns(load(LAB), {}, NOW) == []
