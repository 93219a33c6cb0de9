"""Rosters of people who do not exist: common Vietnamese names, combined by number. Any likeness is chance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from openpyxl import Workbook

FAMILY = ("Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Phan", "Vũ", "Đặng", "Bùi", "Đỗ", "Hồ", "Ngô", "Dương")
MIDDLE = ("Thị", "Văn", "Thị Minh", "Đức", "Quang", "Thị Thu", "Hữu", "Ngọc", "Xuân", "Thanh", "Công")
GIVEN = (
    "Khai",
    "Hương",
    "Đông",
    "Ánh",
    "Dũng",
    "Yến",
    "Tuấn",
    "Hạnh",
    "Ý",
    "Sơn",
    "Mai",
    "Phượng",
    "Khôi",
    "Ước",
    "Lĩnh",
)
POSTS = ("Chuyên viên", "Phó trưởng phòng", "Trưởng phòng", "Văn thư", "Kế toán", "Lãnh đạo")

WITHOUT_SERVERS = (
    ("so-tai-chinh", "Sở Tài chính", "department"),
    ("so-y-te", "Sở Y tế", "department"),
    ("ky-anh", "Huyện Kỳ Anh", "district"),
    ("vu-quang", "Huyện Vũ Quang", "district"),
)
"""Agencies beside those that the lab's province has."""
HEADINGS = ("STT", "Mã cán bộ", "Họ và tên", "Chức vụ", "Đơn vị", "Ngày sinh")


def invented(number: int) -> str:
    """The name of person number `number`; no two of the first 2145 are the same."""
    return " ".join((FAMILY[number % len(FAMILY)], MIDDLE[number % len(MIDDLE)], GIVEN[number % len(GIVEN)]))


def add_agencies(province: Path) -> None:
    """Write the agencies without servers into a copy of the lab's province."""
    for number, (code, name, tier) in enumerate(WITHOUT_SERVERS, start=8):
        text = f"code: {code}\nname: {name}\ntier: {tier}\nparent: trung-tam\nnetwork: 198.51.100.{16 * number}/28\n"
        (province / f"sites/{code}.yml").write_text(f"{text}link:\n  class: fibre\n", encoding="utf-8")


def people(first: int, count: int, agency: str) -> list[list[object]]:
    """Rows of a roster: number, code, name, post, agency, day of birth."""
    return [
        [
            place,
            f"CB{number:05d}",
            invented(number),
            POSTS[number % len(POSTS)],
            agency,
            f"{number % 28 + 1:02d}/05/1980",
        ]
        for place, number in enumerate(range(first, first + count), start=1)
    ]


def write_roster(path: Path, rows: Sequence[Sequence[object]], headings: Sequence[str] = HEADINGS) -> Path:
    """As an agency sends it: title and a merged line above, headings below."""
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Danh sách"
    sheet.append(["DANH SÁCH CÁN BỘ, CÔNG CHỨC (người không có thật · invented people)"])
    sheet.append(["Năm 2026"])
    sheet.merge_cells(start_row=1, start_column=1, end_row=1, end_column=len(headings))
    sheet.append([*headings])
    for row in rows:
        sheet.append([*row])
    sheet.append([])
    sheet.append([None, None, None, "Người lập biểu"])
    book.save(path)
    return path
