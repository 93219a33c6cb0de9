"""Who is told that there is no room: whom room would help, and nobody else."""

from __future__ import annotations

import errno
import json
import sys
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


class DatabaseError(Exception):
    """As Django's: its cause is the driver's, which has the state."""


class OperationalError(DatabaseError):
    """As Django's."""


class Driver(Exception):
    """As the driver's."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


class Answer:
    """What is answered."""

    def __init__(self, said: Any, status: int, **_more: Any) -> None:
        self.said, self.status_code = json.dumps(said, ensure_ascii=False) if isinstance(said, dict) else said, status


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, with what it knows of Django, Celery and Redis stood in for."""
    brought: dict[str, dict[str, Any]] = {
        "django": {}, "kombu": {}, "redis": {}, "django.core": {},
        "django.core.signals": {"got_request_exception": SimpleNamespace(connect=lambda *_, **__: None)},
        "django.db": {"DatabaseError": DatabaseError, "OperationalError": OperationalError,
                      "InterfaceError": type("InterfaceError", (Exception,), {})},
        "django.http": {"HttpRequest": object, "HttpResponse": Answer, "JsonResponse": Answer},
        "kombu.exceptions": {"OperationalError": type("QueueAway", (Exception,), {})},
        "redis.exceptions": {"RedisError": type("RedisError", (Exception,), {})},
    }  # fmt: skip
    for name, held in brought.items():
        module = ModuleType(name)
        module.__dict__.update(held)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "tram_mayan.away", raising=False)
    yield import_module("tram_mayan.away")
    sys.modules.pop("tram_mayan.away", None)


def database(state: str | None, kind: type[DatabaseError] = DatabaseError) -> DatabaseError:
    error = kind("…")
    error.__cause__ = Driver(state)
    return error


def after(later: Exception, first: Exception) -> Exception:
    """What came of handling the first."""
    later.__context__ = first
    return later


@pytest.mark.parametrize(
    ("error", "room"),
    [
        (database("53100", OperationalError), True),
        (database("57P03", OperationalError), True),
        (database(None, OperationalError), True),
        (after(database("25P02"), database("53100", OperationalError)), True),
        (after(PermissionError(errno.EACCES, "…"), OSError(errno.ENOSPC, "…")), True),
        (OSError(errno.ENOSPC, "…"), True),
        (database("23505"), False),
        (database("22001"), False),
        (database("40P01", OperationalError), False),
        (database(None), False),
        (PermissionError(errno.EACCES, "…"), False),
    ],
    ids=["full", "starting", "no-connection", "after-full", "cleaned-up-after-full", "disk", "twice", "too-long",
         "deadlock", "unknown", "not-allowed"],
)  # fmt: skip
def test_of_room_is_told_who_lacks_it(away: Any, error: Exception, room: bool) -> None:
    request = SimpleNamespace(method="POST", content_type="multipart/form-data; boundary=x", path="/api/v4/x/")
    try:
        raise error
    except Exception:
        away.remember(request)
    answer = away.SaySo(lambda _: SimpleNamespace(status_code=500))(request)
    assert answer.status_code == 503
    assert (away.NOT_TAKEN in answer.said, away.NOT_DONE in answer.said) == (room, not room)
