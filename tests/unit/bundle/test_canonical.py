"""One way to write a document: what is written is read back the same, and nothing else is read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tram.core.canonical import BadDocument, digest, dumps, format_time, loads, parse_time

text = st.text(st.characters(exclude_categories=["Cs"]))
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
)


@given(plain)
def test_what_is_written_is_read_back_the_same(found: object) -> None:
    assert loads(dumps(found), what="it", limit=10**6) == found


@given(st.dictionaries(text, st.integers(), min_size=2))
def test_the_order_in_which_a_mapping_was_made_does_not_matter(found: dict[str, int]) -> None:
    assert dumps(dict(reversed(found.items()))) == dumps(found)


def test_vietnamese_letters_stay_letters() -> None:
    assert dumps({"tên": "Hương Khê"}) == '{"tên":"Hương Khê"}'.encode()


def test_the_digest_is_that_of_sha256sum() -> None:
    assert digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (float("nan"), "Out of range float values are not JSON compliant"),
        ({1: "one"}, "the key 1 is not text"),
        ("\ud800", "surrogates not allowed"),
        ({"a": {1}}, "Object of type set is not JSON serializable"),
    ],
)
def test_what_json_cannot_say_is_refused(found: object, words: str) -> None:
    with pytest.raises(BadDocument, match="cannot be written as canonical JSON: ") as refused:
        dumps(found)
    assert words in refused.value.message


def test_a_list_that_holds_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(BadDocument, match="cannot be written as canonical JSON"):
        dumps(endless)


@pytest.mark.parametrize(
    "data",
    [
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1}\n',
        b'{"a":1,"a":1}',
        b'{"a":1.0e0}',
        b'{"a":"\\u0061"}',
        b'"\\ud800"',
        b'{"a":NaN}',
        b"\xff",
        b"",
        b"[" * 100_000,
        b"1" * 5_000,
    ],
)
def test_the_same_data_written_otherwise_is_refused(data: bytes) -> None:
    with pytest.raises(BadDocument, match=r"^it: is not canonical JSON: "):
        loads(data, what="it", limit=10**6)


def test_more_bytes_than_the_limit_are_not_looked_at() -> None:
    with pytest.raises(BadDocument) as refused:
        loads(b"[" * 11, what="it", limit=10)
    assert (refused.value.message, refused.value.reason) == ("it: 11 bytes, at most 10 are read", "too-large")


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=7))])))
def test_times_come_back_to_the_second(at: datetime) -> None:
    try:
        utc = at.astimezone(UTC)
    except OverflowError:  # the first and the last hours of the calendar
        return
    assert parse_time(format_time(at), what="it") == utc.replace(microsecond=0)


@pytest.mark.parametrize(
    "words", ["2026-11-21", "2026-11-21T19:05:00+00:00", "2026-13-21T19:05:00Z", "٢026-11-21T19:05:00Z"]
)
def test_other_ways_to_write_a_time_are_refused(words: str) -> None:
    with pytest.raises(BadDocument, match="is not a time such as 2026-11-21T19:05:00Z"):
        parse_time(words, what="it")


def test_json_of_another_program_is_read_when_it_is_canonical() -> None:
    data = json.dumps({"a": [1, 2]}, separators=(",", ":")).encode()
    assert loads(data, what="it", limit=100) == {"a": [1, 2]}
