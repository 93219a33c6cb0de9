"""A practice is read whole or not at all; each fault says where it is."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tram.core.errors import BadInput
from tram.documents.practice import FOLDER, Practice, PracticeInvalid, read_practice
from tram.register import Province

from ...conftest import REPO

CASES = sorted((REPO / "tests/errors/practice").glob("*.yml"))


def test_the_roles_practice_has_five_types_and_two_flows(practice: Practice) -> None:
    assert [*practice.types] == ["cong-van-den", "cong-van-di", "to-trinh", "quyet-dinh", "giay-moi"]
    assert {kind.flow for kind in practice.types.values()} == {*practice.flows}
    assert practice.names == {"trung-tam": "Trung tâm Công nghệ thông tin", "so-noi-vu": "Sở Nội vụ"}


def test_a_site_without_a_file_is_told_to_write_one(province: Province) -> None:
    with pytest.raises(BadInput, match="nobody said which agencies huong-khe keeps documents for"):
        read_practice(province, "huong-khe")


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_each_fault_is_named_with_its_line(case: Path, province: Province, tmp_path: Path) -> None:
    said = yaml.safe_load(case.read_text(encoding="utf-8"))
    folder, home = tmp_path / "files", tmp_path / "home"
    shutil.copytree(FOLDER, folder)
    shutil.copytree(province.folder / "practice", home / "practice")
    path = home / said["file"] if "/" in said["file"] else folder / said["file"]
    path.write_text(said["text"], encoding="utf-8")
    with pytest.raises(PracticeInvalid) as caught:
        read_practice(replace(province, folder=home), "trung-tam", folder)
    told = caught.value.message.replace("files/", "")
    assert [line for line in said["owes"] if line not in told] == [], told
