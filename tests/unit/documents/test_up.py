"""A worker that takes tasks says so to systemd, and to nobody else."""

from __future__ import annotations

import socket
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


@pytest.fixture
def up(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, with Celery's signals stood in for."""
    module: Any = ModuleType("celery.signals")
    module.worker_ready = SimpleNamespace(connect=lambda **_more: lambda function: function)
    monkeypatch.setitem(sys.modules, "celery", ModuleType("celery"))
    monkeypatch.setitem(sys.modules, "celery.signals", module)
    monkeypatch.delitem(sys.modules, "tram_mayan.up", raising=False)
    return import_module("tram_mayan.up")


def test_systemd_is_told(up: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        up.tell_systemd(sender=None)
        assert systemd.recv(100) == b"READY=1"


def test_by_hand_nobody_is(up: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    up.tell_systemd(sender=None)
