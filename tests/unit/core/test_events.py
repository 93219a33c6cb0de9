"""What a host tells is read strictly, and a line that is no event never stops the ones before it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tram.core.events import KINDS, BadEvent, Event, append, append_all, last_seq, read

RUN, HOST = "20261121T190500Z-3fa9c1", "huong-khe-srv1"
GOOD = {"run": RUN, "host": HOST, "seq": 1, "at": "2026-11-21T19:05:00Z", "kind": "task"}
words = st.text(max_size=20)
events = st.builds(
    Event, words, words, st.integers(1, 2**53), words, st.sampled_from(KINDS),
    st.dictionaries(words.filter(lambda name: name not in GOOD), st.none() | st.integers(-99, 99) | words, max_size=4),
)  # fmt: skip


@given(events)
def test_an_event_comes_back_as_it_was_written(event: Event) -> None:
    assert Event.parse(event.line()) == event
    assert event.line().count(b"\n") == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no", "not JSON"),
        ("[" * 30_000, "not JSON"),
        ("[1]", "a JSON object"),
        (json.dumps({**GOOD, "seq": 0}), "numbered from 1"),
        (json.dumps({**GOOD, "seq": True}), 'no "seq"'),
        (json.dumps({**GOOD, "seq": "1"}), 'no "seq"'),
        (json.dumps({**GOOD, "kind": "secret"}), 'unknown kind of event "secret"'),
        (json.dumps({name: value for name, value in GOOD.items() if name != "at"}), 'no "at"'),
        (json.dumps({**GOOD, "message": "x" * 70_000}), "larger than 65536"),
    ],
)
def test_a_line_that_is_no_event_is_refused_with_the_reason(line: str, said: str) -> None:
    with pytest.raises(BadEvent, match=said):
        Event.parse(line)


def test_numbers_go_on_without_gaps_whoever_writes(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert last_seq(path) == 0
    append(path, RUN, HOST, "state", {"state": "accepted"})
    append_all(path, RUN, HOST, [("task", {"task": "a"}), ("task", {"task": "b"})])
    append(path, RUN, HOST, "result", {"outcome": "done"})
    assert [event.seq for event in read(path)] == [1, 2, 3, 4]
    assert [event.kind for event in read(path, 3)] == ["task", "result"]
    assert last_seq(path) == 4


def test_what_a_task_says_of_itself_never_takes_the_envelopes_place(tmp_path: Path) -> None:
    made = append(tmp_path / "e", RUN, HOST, "task", {"run": "other", "seq": 99, "host": "other", "task": "a"})
    assert (made.run, made.host, made.seq) == (RUN, HOST, 1)
    assert list(read(tmp_path / "e")) == [made]


def test_reading_stops_at_a_foreign_line_and_keeps_what_came_before(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    append(path, RUN, HOST, "note", {"message": "one"})
    with path.open("ab") as file:
        file.write(b"\x00\x00\x00 a torn page\n")
    assert [event.body["message"] for event in read(path)] == ["one"]
