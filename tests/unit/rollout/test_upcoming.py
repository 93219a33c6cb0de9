"""Who is next, and the hours in which lines are used for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tram.ledger import Ledger
from tram.rollout.policy import Policy, Window
from tram.rollout.targets import Targets
from tram.rollout.upcoming import next_wave

from .province import new_rollout, site

HUB, PILOT, FAR = site("hub", line=None), site("xa-01", pilot=True), site("xa-02")
FOUND = Targets(tuple((one, one.hosts[0]) for one in (HUB, PILOT, FAR)), frozenset({"mail"}))
VIETNAM = timedelta(hours=7)


def hosts(ledger: Ledger) -> list[str]:
    return [host.inventory_name for _, host in next_wave(ledger, "mail", FOUND, Policy()).hosts]


def test_without_a_rollout_the_first_wave_of_a_plan_is_next(ledger: Ledger) -> None:
    assert hosts(ledger) == ["hub-srv1"]


def test_of_a_rollout_the_wave_that_has_yet_to_begin_is_next(ledger: Ledger) -> None:
    run = new_rollout(ledger, [["hub-srv1"], ["xa-01-srv1", "xa-02-srv1"]])
    assert hosts(ledger) == ["hub-srv1"]
    ledger.rollouts.set_wave(run, 1, "running")
    assert hosts(ledger) == ["xa-01-srv1", "xa-02-srv1"]
    ledger.rollouts.set_wave(run, 2, "running")
    assert hosts(ledger) == []
    ledger.rollouts.set_state(run, "done")
    assert hosts(ledger) == ["hub-srv1"]


@pytest.mark.parametrize(
    ("hour", "opens", "closes"),
    [(12, 20, 29), (20, 20, 29), (23, 23, 29), (28, 28, 29), (29, 44, 53)],
)
def test_quiet_hours_go_over_midnight(hour: int, opens: int, closes: int) -> None:
    midnight = datetime(2026, 11, 21, 17, tzinfo=UTC)  # in Viet Nam
    window, at = Window("20:00", "05:00"), midnight + timedelta(hours=hour)
    assert window.opens(at, VIETNAM) == midnight + timedelta(hours=opens)
    assert window.closes(at, VIETNAM) == midnight + timedelta(hours=closes)
