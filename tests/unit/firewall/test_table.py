"""The module `firewall_table`: why what is loaded, or will be after a boot, is not what is on disk."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ...role_module import load

AS_IT_SHOULD_BE = {"ActiveState": "active", "UnitFileState": "enabled", "NeedDaemonReload": "no"}


def stale(monkeypatch: pytest.MonkeyPatch, **unit: str) -> list[str]:
    """The reasons it gives for a unit like this, when the table that is loaded equals the file."""
    table = load("tram_test_firewall_table", "firewall/library/firewall_table.py").Table
    params: dict[str, Any] = {"file": "/etc/nftables.conf", "keep": "/does/not/exist"}
    one = table(SimpleNamespace(params=params, get_bin_path=lambda *_, **__: "nft"))
    monkeypatch.setattr(one, "meant", lambda: ("", ""))
    monkeypatch.setattr(one, "dump", lambda: ("", ""))
    monkeypatch.setattr(one, "unit", lambda: AS_IT_SHOULD_BE | unit)
    reasons: list[str] = one.stale()
    return reasons


def test_what_is_loaded_now_and_after_a_boot_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    assert stale(monkeypatch) == []


@pytest.mark.parametrize("state", ["disabled", "masked", ""])
def test_a_table_that_no_boot_would_load_is_stale(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    (why,) = stale(monkeypatch, UnitFileState=state)
    assert why == f"nftables.service was {state or 'not enabled'}, so not there after a boot"
