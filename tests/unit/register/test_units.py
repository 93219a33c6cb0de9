"""Quantities are read once into typed values, and written so that they read back the same."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tram.core.errors import BadInput
from tram.core.units import (
    BadQuantity,
    format_rate,
    format_share,
    format_span,
    parse_rate,
    parse_share,
    parse_span,
)


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("4 Mbit/s", 4_000_000),
        ("512 kbit/s", 512_000),
        ("1,5 Mbit/s", 1_500_000),
        ("1.536Mbps", 1_536_000),
        ("9600 bit/s", 9600),
        (" 1 GBIT/S ", 1_000_000_000),
    ],
)
def test_a_rate_is_read_in_bits_a_second(text: str, bits: int) -> None:
    assert parse_rate(text) == bits


@pytest.mark.parametrize(
    ("text", "micros"),
    [("60 ms", 60_000), ("0,5 ms", 500), ("2.5 s", 2_500_000), ("5 min", 300_000_000), ("1 d", 86_400_000_000)],
)
def test_a_span_is_read_to_the_microsecond(text: str, micros: int) -> None:
    assert parse_span(text) == timedelta(microseconds=micros)


@pytest.mark.parametrize(("text", "share"), [("0.5 %", 0.005), ("0,5%", 0.005), ("0 %", 0.0), ("100 %", 1.0)])
def test_a_share_is_read_as_a_fraction(text: str, share: float) -> None:
    assert parse_share(text) == share


@pytest.mark.parametrize(
    "text", ["", "4", "Mbit/s", "-4 Mbit/s", "4 MB/s", "4 Mbit", "0 bit/s", "0.5 bit/s", "4e3 b/s"]
)
def test_what_is_no_rate_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(BadQuantity) as caught:
        parse_rate(text)
    assert isinstance(caught.value, BadInput)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "60", "ms", "60 minutes", "-1 ms", "0.1 us", "999999999999 d"])
def test_what_is_no_span_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(BadQuantity) as caught:
        parse_span(text)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "0.5", "%", "101 %", "-1 %", "0.5 ‰"])
def test_what_is_no_share_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(BadQuantity) as caught:
        parse_share(text)
    assert caught.value.hint


def test_bytes_instead_of_bits_are_told_apart() -> None:
    with pytest.raises(BadQuantity) as caught:
        parse_rate("4 MB/s")
    assert "rates are in bits" in caught.value.hint


@given(st.integers(min_value=1, max_value=10**12))
def test_a_rate_reads_back_as_it_was_written(bits: int) -> None:
    assert parse_rate(format_rate(bits)) == bits


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=30)))
def test_a_span_reads_back_as_it_was_written(span: timedelta) -> None:
    assert parse_span(format_span(span)) == span


@given(st.integers(min_value=0, max_value=10**6).map(lambda millionths: millionths / 10**6))
def test_a_share_reads_back_as_it_was_written(share: float) -> None:
    assert parse_share(format_share(share)) == share
