"""Names become addresses by one rule, whatever keyboard or program wrote them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from tram.accounts.names import BadName, free, local_part, read_name

PAGE = Path(__file__).parents[3] / "docs/contracts/accounts.md"

CASES = [
    ("Nguyễn Thị Minh Khai", "khai.ntm"),
    ("Đặng Đình Đông", "dong.dd"),
    ("Lê Ý", "y.l"),
    ("Trần Thị Ước Lượng", "luong.ttu"),
    ("H'Hen Niê", "nie.h"),
    ("Y Bhăm-Êban Đỗ", "do.ybe"),
]


@pytest.mark.parametrize(("name", "address"), CASES)
def test_a_name_asks_for_given_name_dot_initials(name: str, address: str) -> None:
    assert local_part(name) == address
    assert local_part(unicodedata.normalize("NFD", name)) == address
    assert local_part(name.upper()) == address


@pytest.mark.parametrize(("name", "address"), CASES)
def test_the_contract_page_has_the_same_examples(name: str, address: str) -> None:
    assert f"| {name} | `{address}` |" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "written",
    [
        "Nguyễn Thị Minh Khai",
        unicodedata.normalize("NFD", "Nguyễn Thị Minh Khai"),
        "  Nguyễn\u00a0Thị  Minh\tKhai \u200b",
        "NGUYỄN THỊ MINH KHAI",
        "nguyễn thị minh khai",
    ],
)
def test_one_name_has_one_spelling(written: str) -> None:
    name = read_name(written)
    assert (name.full, name.family, name.given) == ("Nguyễn Thị Minh Khai", "Nguyễn Thị Minh", "Khai")


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("Khai", "only one word"),
        ("Nguyễn-Khai", "no blank"),
        ("Nguyễn Văn A1", '"1" cannot be in a name'),
        ("Nguyễn Văn An (nghỉ)", '"\\(" cannot be in a name'),
        ("Nguyễn " * 20 + "An", "longer than 100"),
    ],
)
def test_what_is_no_name_is_refused(written: str, says: str) -> None:
    with pytest.raises(BadName, match=says):
        read_name(written)


def test_who_comes_second_gets_a_number() -> None:
    assert free("khai.ntm", set()) == "khai.ntm"
    assert free("khai.ntm", {"khai.ntm", "khai.ntm2"}) == "khai.ntm3"
