"""One answer for everybody who looks at the same time, asked ahead while somebody does."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from tram.register import Province
from tram_board import watcher as module
from tram_board.readings import ABROAD, BY_HOST
from tram_board.state import INTERVAL
from tram_board.watcher import Watcher
from tram_board.words import VERBS, Word

from .conftest import NOW, Hub

QUESTIONS = BY_HOST | ABROAD
LONG = timedelta(hours=1)


def watcher(province: Province, hub: Hub, **words: timedelta) -> Watcher:
    return Watcher(province, hub.source(), verbs=tuple(VERBS), interval=INTERVAL, now=lambda: NOW, **words)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_who_looks_again_at_once_costs_the_store_nothing(province: Province, hub: Hub) -> None:
    made = watcher(province, hub, fresh=LONG)
    assert made.state() is made.state()
    assert hub.asked == len(QUESTIONS)


def test_an_old_answer_is_not_given(province: Province, hub: Hub) -> None:
    made = watcher(province, hub, fresh=timedelta(0))
    assert made.state().word is Word.OK
    hub.down = True
    assert made.state().word is Word.UNKNOWN


def test_asked_ahead_nobody_waits_and_nothing_older_than_an_interval_is_shown(
    province: Province, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = watcher(province, hub, fresh=LONG)
    made.begin()
    until(lambda: made._state is not None)
    assert made.state() is made.state()
    assert hub.asked == len(QUESTIONS)
    # The store hangs with the question: what is too old is not shown for it, and nobody waits for long.
    monkeypatch.setattr(module, "_WAITS", 0.05)
    made._asked -= INTERVAL.total_seconds() + 1
    with made._lock:
        state = made.state()
    assert (state.word, state.counts[Word.OK]) == (Word.UNKNOWN, 0)
    assert "has not answered yet" in state.problem
    made.end()


@pytest.mark.slow
def test_it_is_asked_often_while_somebody_looks_and_seldom_when_nobody_does(
    province: Province, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOKED", timedelta(seconds=2))
    made = watcher(province, hub, fresh=timedelta(milliseconds=5))
    made.begin()
    made.state()
    until(lambda: hub.asked > 3 * len(QUESTIONS))
    time.sleep(2.5)
    rested = hub.asked
    time.sleep(0.1)
    assert hub.asked == rested
    hub.down = True
    made.state()
    until(lambda: made.state().word is Word.UNKNOWN)
    made.end()
