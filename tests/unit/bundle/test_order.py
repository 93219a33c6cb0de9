"""An order is written in one way and read strictly."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tram.core.canonical import BadDocument
from tram.core.order import Order
from tram.core.tree import MAX_BYTES

NOW = datetime(2026, 11, 21, 19, 5, tzinfo=UTC)
ORDER = Order(
    province="lab",
    site="huong-khe",
    host="huong-khe-srv1",
    run="20261121T190500Z-3fa9c1",
    serial=7,
    playbook="playbooks/mail.yml",
    tree="ab" * 32,
    bytes=66_891,
    runtime="0123456789abcdef",
    issued=NOW,
    expires=NOW + timedelta(days=3),
)

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
runs = st.from_regex(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}", fullmatch=True)
orders = st.builds(
    Order,
    province=names,
    site=names,
    host=names,
    run=runs,
    serial=st.integers(1, 2**53 - 1),
    playbook=st.just("playbooks/thư điện tử.yml"),
    tree=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    bytes=st.integers(0, MAX_BYTES),
    runtime=st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
    issued=st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    expires=st.datetimes(datetime(2100, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    after=st.none() | runs,
    check=st.booleans(),
    confirm_seconds=st.none() | st.integers(1, 604_800),
)


@pytest.mark.slow
@given(orders)
def test_an_order_comes_back_as_it_was_written(order: Order) -> None:
    assert Order.parse(order.canonical()) == order


def test_parts_of_a_second_are_dropped_when_an_order_is_made_so_that_it_equals_itself_read() -> None:
    order = replace(ORDER, issued=NOW + timedelta(microseconds=5))
    assert Order.parse(order.canonical()) == order == ORDER


def test_another_byte_is_another_order_or_none() -> None:
    data = ORDER.canonical()
    for at in range(len(data)):
        damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        try:
            assert Order.parse(damaged) != ORDER
        except BadDocument:
            continue


@given(st.binary(max_size=400))
def test_whatever_comes_is_an_order_or_a_clear_refusal(data: bytes) -> None:
    with pytest.raises(BadDocument):
        Order.parse(data)


@given(st.data())
def test_a_wrong_type_anywhere_is_a_clear_refusal(data: st.DataObject) -> None:
    found = json.loads(ORDER.canonical())
    key = data.draw(st.sampled_from(sorted(found)))
    found[key] = data.draw(st.sampled_from([[], {}, 1.5, "", -1]))
    with pytest.raises(BadDocument, match=r"^(order|path)"):
        Order.parse(json.dumps(found, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode())
