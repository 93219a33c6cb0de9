"""Targets come from the register, the way to them from ssh's own configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from tram.act.target import targets
from tram.register import load
from tram.register import model as module

ROOT = Path(__file__).parents[3]


@pytest.fixture
def lab_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "LABS", tmp_path)
    monkeypatch.setenv("TRAM_LAB", "mine")
    state = tmp_path / "mine"
    state.mkdir()
    (state / "ssh_config").write_text("Host *\n  IdentityFile /k/root_key\n  ProxyCommand enter %h %p\n")
    return state


def test_a_lab_host_is_reached_through_its_labs_ssh_config(lab_state: Path) -> None:
    hub, *_rest = targets(load(ROOT / "inventories/lab"), [], every=True)
    assert (hub.name, hub.address, hub.operator, hub.port) == ("trung-tam-hub1", "192.0.2.10", "tram", 22)
    assert hub.proxy == "enter 192.0.2.10 22"
    assert hub.identity_files == (Path("/k/root_key"),)
    assert hub.pins == lab_state / "known_hosts"


def test_a_real_hosts_pin_lies_beside_its_register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = ROOT / "inventories/ha-tinh"
    every = targets(load(folder), [], every=True)
    assert every
    assert {(target.pins, target.proxy) for target in every} == {(folder / "known_hosts", "")}


def test_a_host_named_twice_is_one_target(lab_state: Path) -> None:
    found = targets(load(ROOT / "inventories/lab"), ["huong-khe-srv1", "so-noi-vu-srv1", "huong-khe-srv1"])
    assert [target.name for target in found] == ["huong-khe-srv1", "so-noi-vu-srv1"]
