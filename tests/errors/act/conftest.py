"""The whole command against simulated hosts: what an operator types, reads and gets as exit code."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import tram.register.model
from tram.cli.main import main

ROOT = Path(__file__).parents[3]

# The simulator lives with the unit tests; pytest shares fixtures only downwards.
_spec = importlib.util.spec_from_file_location("act_simulator", ROOT / "tests/unit/act/conftest.py")
assert _spec is not None
assert _spec.loader is not None
_unit = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_unit)
simulate = _unit.simulate


@dataclass(frozen=True)
class Typed:
    """What a command ended with."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Desk:
    """An operator's desk: a lab whose hosts are all behind one proxy command, and `tram host bootstrap`."""

    state: Path
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def wire(self, port: int) -> None:
        """Lead the way to every host of the lab to this port of loopback."""
        (self.state / "ssh_config").write_text(f"Host *\n  ProxyCommand nc 127.0.0.1 {port}\n")

    def bootstrap(self, *words: str) -> Typed:
        argv = ["tram", "host", "bootstrap", "--inventory", str(ROOT / "inventories/lab"), *words]
        self.monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as ended:
            main()
        captured = self.capsys.readouterr()
        return Typed(int(ended.value.code or 0), captured.out, captured.err)

    def file(self, name: str, text: str, mode: int = 0o600) -> str:
        path = self.state / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    state = tmp_path / "labs" / "lab"
    state.mkdir(parents=True)
    monkeypatch.setattr(tram.register.model, "LABS", state.parent)
    monkeypatch.delenv("TRAM_LAB", raising=False)
    monkeypatch.setenv("TRAM_SECRETS", str(tmp_path / "secrets"))
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    monkeypatch.setenv("COLUMNS", "200")
    return Desk(state, capsys, monkeypatch)
