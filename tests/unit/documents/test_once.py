"""Whether a task was begun before decides whether a file it finds is its own of then."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("request_", "again"),
    [
        (None, False),
        (SimpleNamespace(retries=0, delivery_info={"redelivered": False}), False),
        (SimpleNamespace(retries=0, delivery_info=None), False),
        (SimpleNamespace(retries=0, delivery_info={"redelivered": True}), True),
        (SimpleNamespace(retries=1, delivery_info={}), True),
    ],
    ids=["no task", "first", "first, by hand", "a worker died", "it ended half way"],
)
def test_a_second_try_is_known(request_: Any, again: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    celery: Any = ModuleType("celery")
    celery.current_task = SimpleNamespace(request=request_) if request_ else None
    monkeypatch.setitem(sys.modules, "celery", celery)
    monkeypatch.delitem(sys.modules, "tram_mayan.once", raising=False)
    assert import_module("tram_mayan.once").is_second_try() is again
