"""An order that comes while a pushed run is under guard waits for the end of that run, and sees to it that it comes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tram.site import drain, durable, guard_unit
from tram.site.place import Config, Place


@dataclass
class Push:
    """A run under guard that ends once somebody watches it; `alone` when it would end without us."""

    place: Place
    looks: int = 3
    alone: bool = False
    watched: list[str] = field(default_factory=list)

    @property
    def unfinished(self) -> bool:
        self.looks -= self.alone
        return self.looks > 0

    def watch(self) -> None:
        self.watched.append("here")
        self.looks = 0


@pytest.fixture
def push(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Push:
    """Under guard on this host; its unit is gone, so that to wake it does nothing."""
    found = Push(Place(tmp_path))
    monkeypatch.setattr(drain, "Guard", lambda *_: found)
    monkeypatch.setattr(drain, "_WAKE_SECONDS", 0.05)
    monkeypatch.setattr(drain, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(guard_unit, "_UNITS", tmp_path / "no-units")
    return found


HOST = Config("", "", "a-host")


def test_a_push_that_nobody_watches_any_more_is_watched_from_here(push: Push) -> None:
    drain._let_a_push_end(HOST)
    assert push.watched == ["here"]


def test_a_push_that_somebody_watches_is_waited_for(push: Push) -> None:
    push.looks, push.alone = 30, True
    with durable.locked(push.place.lock("watch"), wait=False) as mine:
        assert mine
        drain._let_a_push_end(HOST)
    assert push.watched == []
