"""One answer for everybody who looks at the same time, asked ahead while somebody does."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from tram.register import Province
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


@pytest.mark.slow
def test_it_is_asked_ahead_while_somebody_looks_and_rests_when_nobody_does(province: Province, hub: Hub) -> None:
    made = watcher(province, hub, fresh=timedelta(milliseconds=5), ahead=timedelta(seconds=4))
    made.state()
    until(lambda: hub.asked > 2 * len(QUESTIONS))
    until(lambda: not made._asking_ahead)
    rested = hub.asked
    time.sleep(0.05)
    assert hub.asked == rested
    hub.down = True
    assert made.state().word is Word.UNKNOWN
