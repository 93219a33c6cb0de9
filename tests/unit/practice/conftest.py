"""A practice for two agencies of the lab's province, and an instance that is nothing but a list of answers."""

from __future__ import annotations

import shutil

import pytest

from tram.documents.practice import Practice, read_practice
from tram.register import Province, load

from ...conftest import LAB

AGENCIES = """
agencies:
  trung-tam:
    symbol: TT
    people: {van-thu: [thu-tt]}
  so-noi-vu:
    symbol: SNV
    people: {van-thu: [thu-snv], lanh-dao: [truong-snv], chuyen-vien: [vien-snv]}
"""


@pytest.fixture(scope="session")
def province(tmp_path_factory: pytest.TempPathFactory) -> Province:
    """The lab's, with a practice of its own."""
    folder = tmp_path_factory.mktemp("province") / "lab"
    shutil.copytree(LAB, folder)
    (folder / "practice").mkdir()
    (folder / "practice/trung-tam.yml").write_text(AGENCIES, encoding="utf-8")
    return load(folder)


@pytest.fixture(scope="session")
def practice(province: Province) -> Practice:
    """The role's practice for them."""
    return read_practice(province, "trung-tam")
