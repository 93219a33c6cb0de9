"""A task that ended because the database was away is done again, for as long as it takes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


class Away(Exception):
    """The database is."""


@pytest.fixture
def again(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, without Celery and Django."""
    signals: Any = ModuleType("celery.signals")

    def connect(**_more: Any) -> Callable[[Any], Any]:
        return lambda function: function

    signals.task_failure = SimpleNamespace(connect=connect)
    database: Any = ModuleType("django.db")
    database.OperationalError = database.InterfaceError = Away
    for name, module in (("celery.signals", signals), ("django.db", database)):
        monkeypatch.setitem(sys.modules, name.partition(".")[0], ModuleType(name.partition(".")[0]))
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "tram_mayan.again", raising=False)
    return import_module("tram_mayan.again")


@pytest.mark.parametrize("tries", [0, 1, 40])
def test_a_long_outage_uses_up_none_of_the_tasks_own_tries(again: ModuleType, tries: int) -> None:
    asked: list[dict[str, Any]] = []
    sender = SimpleNamespace(
        name="ocr", request=SimpleNamespace(retries=tries), apply_async=lambda **how: asked.append(how)
    )
    again.do_again(sender, Away("starting"), (7,), {})
    assert [(how["args"], how["retries"]) for how in asked] == [((7,), 1)]


def test_what_has_another_fault_is_left(again: ModuleType) -> None:
    sender = SimpleNamespace(name="ocr", apply_async=lambda **_how: pytest.fail("done again"))
    again.do_again(sender, ValueError("no page"), (), {})
