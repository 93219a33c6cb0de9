"""A machine made of files and canned programs, and the constants."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tram.core.run import Ran
from tram_exporters.machine import Machine
from tram_exporters.risk import Constants
from tram_exporters.textfile import Absent, Page

REPO = Path(__file__).parents[3]
READINGS = Path(__file__).parent / "smart"
NOW = 1_795_000_000.0  # 2026-11-18


def reading(name: str) -> str:
    """The published output of that name."""
    return (READINGS / f"{name}.json").read_text(encoding="utf-8")


class Programs:
    """Programs of a machine: what each argv prints (or the first word alone); all others are not installed."""

    def __init__(self, answers: dict[str, str | tuple[str, int]]) -> None:
        self.answers = answers

    def __call__(self, argv: Sequence[str], _seconds: float) -> Ran:
        """Run one."""
        said = self.answers.get(" ".join(argv), self.answers.get(argv[0]))
        if said is None:
            raise Absent(argv[0])
        text, code = said if isinstance(said, tuple) else (said, 0)
        return Ran(tuple(argv), code, text, "" if code == 0 else text)


MachineMaker = Callable[..., Machine]


@pytest.fixture
def machine(tmp_path: Path) -> MachineMaker:
    """Make a machine of these files (path: content) and programs."""

    def make(files: dict[str, str] | None = None, programs: dict[str, Any] | None = None, now: float = NOW) -> Machine:
        root = tmp_path / "root"
        root.mkdir(exist_ok=True)
        for path, content in (files or {}).items():
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content, encoding="utf-8")
        return Machine(root, Programs(programs or {}), now)

    return make


@pytest.fixture(scope="session")
def constants() -> Constants:
    """The numbers of risk.yml."""
    return Constants(yaml.safe_load((REPO / "monitoring/tram_exporters/risk.yml").read_text(encoding="utf-8")))


def values(page: Page) -> dict[str, float]:
    """What a page says, by `metric{labels}`."""
    lines = [line for line in page.text(now=NOW).splitlines() if not line.startswith("#")]
    return {key: float(value) for key, _space, value in (line.rpartition(" ") for line in lines)}


def clean_by_promtool(text: str) -> str:
    """What `promtool check metrics` has against a text; nothing when it is clean."""
    said = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    return said.stdout + said.stderr


def scan(*pairs: tuple[str, str]) -> str:
    """What a scan prints."""
    return json.dumps(
        {"smartctl": {"exit_status": 0}, "devices": [{"name": name, "type": kind} for name, kind in pairs]}
    )
