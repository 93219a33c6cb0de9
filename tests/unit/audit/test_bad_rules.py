"""Wrong baselines and waivers owe exactly their errors: all of them, with file, line and what to do."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tram.core.errors import BadInput
from tram_audit.loading import RulesInvalid, load_rules

from .bare import REPO, rules

CASES = sorted((REPO / "tests/errors/audit").glob("*.yml"))
GOOD = REPO / "tests/errors/audit/good"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_wrong_rules_owe_exactly_these_errors(path: Path, tmp_path: Path) -> None:
    case: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    folder = tmp_path / "security"
    shutil.copytree(GOOD, folder)
    for name, changes in case.get("edit", {}).items():
        text = (folder / name).read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text, f"{name} of the good rules has no {old!r}"
            text = text.replace(old, new, 1)
        (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(RulesInvalid) as caught:
        load_rules(folder)
    assert [str(problem) for problem in caught.value.problems] == case["owes"]
    assert caught.value.exit_code == 2


def test_the_rules_that_the_cases_change_are_good() -> None:
    assert len(CASES) >= 10
    assert list(load_rules(GOOD).controls) == ["one", "two"]


def test_a_folder_without_baselines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has no folder baselines"):
        load_rules(tmp_path)


def test_every_control_is_in_a_profile_and_its_fix_is_there_or_said_to_be_planned() -> None:
    found = rules()
    assert set(found.controls) == {code for profile in found.profiles.values() for code in profile.controls}
    wrong = []
    for control in found.controls.values():
        if control.fix is None:
            continue
        defaults = REPO / "roles" / control.fix.role / "defaults/main.yml"
        there = defaults.exists() and control.fix.variable in yaml.safe_load(defaults.read_text(encoding="utf-8"))
        if there == control.fix.planned:
            wrong.append(f"{control.id}: {control.fix.role}.{control.fix.variable}, planned: {control.fix.planned}")
    assert wrong == []


def test_the_four_profiles_are_there() -> None:
    assert set(rules().profiles) == {"server", "mail", "hub", "old-machine"}
