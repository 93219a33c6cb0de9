"""Rosters are read as agencies write them."""

from __future__ import annotations

import unicodedata
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from tram.accounts.headings import read_code, read_day
from tram.accounts.roster import RosterInvalid, read_rosters
from tram.core.errors import BadInput
from tram.register import Province

from ...rosters import people, write_roster
from ..register.bad_sheet import make_sheet, read_case

BAD = Path(__file__).parents[2] / "errors" / "accounts"
FILES = sorted(BAD.glob("*.yml"))


def sheet_of(path: Path, *rows: list[Any], merge: tuple[str, ...] = ()) -> Path:
    book = Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    for area in merge:
        book.active.merge_cells(area)
    book.save(path)
    return path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_bad_roster_owes_exactly_these_errors(path: Path, province: Province, tmp_path: Path) -> None:
    case = read_case(path)
    with pytest.raises(BadInput) as caught:
        read_rosters([make_sheet(case, tmp_path)], province)
    error = caught.value
    told = (
        [str(problem) for problem in error.problems]
        if isinstance(error, RosterInvalid)
        else [f"{error.message}; {error.hint}".replace(f"{tmp_path}/", "")]
    )
    assert told == case.owes


def test_there_are_cases() -> None:
    assert len(FILES) >= 10


def test_a_roster_as_it_comes_is_read(province: Province, tmp_path: Path) -> None:
    """Title lines, merged cells above, columns of formulas and of days that nobody asked for, a signature below."""
    rows = people(1, 3, "Huyện Hương Khê")
    rows[0][0] = "=ROW()-3"
    rows[1][5] = date(1980, 5, 2)
    roster = read_rosters([write_roster(tmp_path / "ds.xlsx", rows)], province)
    assert sorted(roster.members) == ["CB00001", "CB00002", "CB00003"]
    assert roster.agencies == {"huong-khe"}
    assert roster.ignored == ["STT", "Ngày sinh"]
    assert roster.members["CB00001"].name.full == "Trần Văn Hương"


@pytest.mark.parametrize(
    "headings",
    [
        ["Mã cán bộ", "Họ và tên", "Đơn vị"],
        ["MÃ CBCC", "HỌ TÊN", "CƠ QUAN, ĐƠN VỊ"],
        ["mã số (*)", "Họ và tên (viết có dấu)", "Đơn vị công tác"],
        ["Employee code", "Full name", "Agency"],
        [unicodedata.normalize("NFD", word) for word in ("Mã nhân viên", "Họ tên cán bộ", "Tên đơn vị")],
        ["Mã\ncán bộ", "Họ và tên / Full name", "Đơn vị · Agency"],
    ],
)
def test_headings_have_variants(headings: list[str], province: Province, tmp_path: Path) -> None:
    path = sheet_of(tmp_path / "ds.xlsx", headings, ["cb 1".replace(" ", ""), "Lê  Thị\u00a0An", " huyện hương khê "])
    (member,) = read_rosters([path], province).members.values()
    assert (member.code, member.name.full, member.agency) == ("CB1", "Lê Thị An", "huong-khe")


def test_family_and_given_name_may_stand_in_two_columns(province: Province, tmp_path: Path) -> None:
    rows = ["Mã cán bộ", "Họ đệm", "Tên", "Đơn vị"], ["CB1", "Lê Thị", "An", "vu-quang"]
    merged = ["Mã cán bộ", "Họ và tên", None, "Đơn vị"], ["CB1", "Lê Thị", "An", "vu-quang"]
    for number, (path, merge) in enumerate(((rows, ()), (merged, ("B1:C1",)))):
        file = sheet_of(tmp_path / f"{number}.xlsx", *path, merge=merge)
        assert read_rosters([file], province).members["CB1"].name.full == "Lê Thị An"


def test_an_agencys_own_list_needs_no_column_for_it(province: Province, tmp_path: Path) -> None:
    path = tmp_path / "ds.csv"
    path.write_text("\ufeffMã CB;Họ tên\nCB1;Lê Thị An\n", encoding="utf-8")
    assert read_rosters([path], province, agency="vu-quang").members["CB1"].agency == "vu-quang"
    with pytest.raises(BadInput, match="vu-quangg: no such agency"):
        read_rosters([path], province, agency="vu-quangg")


def test_the_same_code_in_two_files_is_told_with_both_places(province: Province, tmp_path: Path) -> None:
    one, two = (tmp_path / name for name in ("mot.csv", "hai.csv"))
    one.write_text("Mã CB,Họ tên,Đơn vị\nCB1,Lê Thị An,huong-khe\n", encoding="utf-8")
    two.write_text("Mã CB,Họ tên,Đơn vị\ncb1,Trần Văn Bình,vu-quang\n", encoding="utf-8")
    with pytest.raises(RosterInvalid) as caught:
        read_rosters([one, two], province)
    assert [str(problem) for problem in caught.value.problems] == [
        'hai.csv, row 2, column A "Mã CB": "CB1" is already that of Lê Thị An (mot.csv, row 2, column A "Mã CB"); '
        "each person has a code of his own"
    ]


@pytest.mark.parametrize(
    ("value", "day"),
    [
        (datetime.combine(date(2026, 12, 31), time()), date(2026, 12, 31)),
        (date(2026, 12, 31), date(2026, 12, 31)),
        (46387, date(2026, 12, 31)),
        ("31/12/2026", date(2026, 12, 31)),
        (" 31-12-2026 ", date(2026, 12, 31)),
        ("2026-12-31", date(2026, 12, 31)),
        ("31/13/2026", None),
        ("cuối năm", None),
        (7, None),
        (True, None),
    ],
)
def test_days_come_in_many_forms(value: object, day: date | None) -> None:
    assert read_day(value) == day


@pytest.mark.parametrize(
    ("value", "code"),
    [("cb-01 ", "CB-01"), (12, "12"), (12.0, "12"), (12.5, None), ("a b", None), ("", None), (True, None), ("é", None)],
)
def test_codes_are_in_capitals(value: object, code: str | None) -> None:
    assert read_code(value) == code
