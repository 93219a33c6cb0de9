"""What a delivery costs a line, and the rules a line and a rollout have."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tram.core.errors import BadInput
from tram.rollout.forecast import Forecast, Traffic, carry_seconds, forecast
from tram.rollout.policy import LinkPolicy, Policy, Window, load_policy, wave_size

from .province import BAD_LINE, GOOD_LINE

NIGHT = Window("22:00", "05:30")
VIET_NAM = timedelta(hours=7)


def test_a_bundle_over_adsl_takes_a_second_and_a_runtime_over_a_slow_line_minutes() -> None:
    assert 1 < carry_seconds(26_000, 7_000, BAD_LINE) < 2
    slow = replace(BAD_LINE, down_bps=256_000, up_bps=256_000)
    assert 35 < carry_seconds(1_100_000, 7_000, slow) < 60


def test_a_lossy_long_line_gives_less_than_its_rate() -> None:
    lossy = replace(GOOD_LINE, rtt=timedelta(milliseconds=300), loss=0.05)
    assert carry_seconds(1_000_000, 0, lossy) > 4 * carry_seconds(1_000_000, 0, GOOD_LINE)


@given(st.integers(0, 10**7), st.integers(1, 10**6), st.floats(0, 0.2), st.integers(0, 2000), st.integers(10**4, 10**8))
def test_more_bytes_never_take_less_time(size: int, more: int, loss: float, rtt_ms: int, rate: int) -> None:
    line = replace(GOOD_LINE, loss=loss, rtt=timedelta(milliseconds=rtt_ms), down_bps=rate, up_bps=rate)
    assert 0 <= carry_seconds(size, 0, line) < carry_seconds(size + more, 0, line)


def test_the_hub_costs_no_line_anything() -> None:
    found = forecast(Traffic(5_000_000, 20_000, "bundle"), None, LinkPolicy())
    assert (found.seconds, found.fits) == (0.0, True)


def test_what_does_not_fit_says_why_with_its_figures() -> None:
    allowed = LinkPolicy(hours=Window("01:00", "01:01"), cap_bytes=1_000_000)
    slow = replace(BAD_LINE, down_bps=128_000)
    found = forecast(Traffic(1_200_000, 20_000, "bundle"), slow, allowed)
    assert not found.fits
    assert [str(reason) for reason in found.misfits] == [
        "2 min are needed, its hours are 01:00–01:01",
        "1230000 bytes are more than the 1000000 allowed on its line",
    ]
    assert Forecast.of(found.plain()) == found


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-21T15:00:00", "2026-11-21T15:00:00"),  # 22:00 in Viet Nam
        ("2026-11-21T14:59:59", "2026-11-21T15:00:00"),
        ("2026-11-21T22:29:00", "2026-11-21T22:29:00"),  # 05:29 the next morning
        ("2026-11-21T22:30:00", "2026-11-22T15:00:00"),
        ("2026-11-21T05:00:00", "2026-11-21T15:00:00"),
    ],
)
def test_hours_over_night_are_one_window_by_the_provinces_clock(now: str, opens: str) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert NIGHT.opens(at, VIET_NAM) == datetime.fromisoformat(opens).replace(tzinfo=UTC)
    assert NIGHT.length == timedelta(hours=7, minutes=30)


@given(
    st.integers(0, 366 * 86400).map(lambda s: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=s)),
    st.integers(0, 1439),
    st.integers(0, 1439),
)
def test_when_a_line_opens_it_is_open_and_within_a_day(at: datetime, since: int, until: int) -> None:
    window = Window(f"{since // 60:02}:{since % 60:02}", f"{until // 60:02}:{until % 60:02}")
    opens = window.opens(at, VIET_NAM)
    assert at <= opens <= at + timedelta(days=1)
    assert window.opens(opens, VIET_NAM) == opens


@pytest.mark.parametrize(
    ("size", "total", "count"),
    [("1", 31, 1), ("10 %", 31, 4), ("30%", 10, 3), ("100 %", 7, 7), ("rest", 9, 9), ("1 %", 5, 1)],
)
def test_the_size_of_a_wave(size: str, total: int, count: int) -> None:
    assert wave_size(size, total) == count


def test_the_rules_survive_the_ledger() -> None:
    policy = Policy(
        growth=("2", "50 %"), approve=(1, 3), links={"adsl": LinkPolicy(NIGHT, 5_000_000)}, min_reached=0.75
    )
    assert Policy.of(policy.plain(), "") == policy


def test_a_province_may_have_rules_of_its_own(tmp_path: Path) -> None:
    assert load_policy(tmp_path) == Policy()
    (tmp_path / "rollout.yml").write_text(
        "growth: [1, 20 %, rest]\nsoak: 30 min\nmin_reached: 90 %\n"
        "links:\n  adsl: {hours: {since: '22:00', until: '05:30'}, cap_bytes: 20000000}\n",
        encoding="utf-8",
    )
    found = load_policy(tmp_path)
    assert (found.growth, found.soak, found.min_reached) == (("1", "20 %", "rest"), timedelta(minutes=30), 0.9)
    assert found.link("adsl") == LinkPolicy(NIGHT, 20_000_000)
    assert found.link("fibre") == LinkPolicy()
    (tmp_path / "rollout.yml").write_text("", encoding="utf-8")
    assert load_policy(tmp_path) == Policy()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("soak: 5 parsecs", "soak: "),
        ("growth: [0 %]", "growth.0: "),
        ("growth: []", "growth: "),
        ("min_reached: 120 %", "min_reached: "),
        ("wave: 1", "wave: "),
        ("links: {adsl: {cap: 1}}", "links.adsl"),
        ("links: {adsl: {hours: {since: '25:00', until: '1:00'}}}", "links.adsl.hours.since: "),
        ("- a", "rollout.yml: "),
        ("a: [", "cannot be read"),
    ],
)
def test_wrong_rules_are_said_with_their_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "rollout.yml").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as bad:
        load_policy(tmp_path)
    assert "rollout.yml" in bad.value.message
    assert said in bad.value.message
