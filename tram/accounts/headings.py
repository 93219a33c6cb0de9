"""The columns of a roster: what agencies call them, and how their cells are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from openpyxl.utils.datetime import from_excel

from tram.accounts.names import tidy
from tram.register.columns import meant, normal

Key = Literal["code", "name", "family", "given", "agency", "title", "leaves", "hands_over"]


@dataclass(frozen=True, slots=True)
class Heading:
    """One column: its headings, in Vietnamese as it should be, in English, and as it also is written."""

    key: Key
    vi: str
    en: str
    also: tuple[str, ...] = ()


HEADINGS = (
    Heading(
        "code",
        "Mã cán bộ",
        "Employee code",
        (
            *("Mã CB", "Mã số", "Mã CBCC", "Mã CBCCVC", "Mã số cán bộ", "Mã số CBCC", "Mã số CBCCVC", "Mã công chức"),
            *("Mã viên chức", "Mã nhân viên", "Mã NV", "Số hiệu cán bộ", "Số hiệu công chức", "Code"),
        ),
    ),
    Heading("name", "Họ và tên", "Full name", ("Họ tên", "Họ và tên cán bộ", "Họ tên cán bộ", "Tên đầy đủ", "Name")),
    Heading("family", "Họ và tên đệm", "Family name", ("Họ đệm", "Họ và đệm", "Họ, tên đệm", "Họ")),
    Heading("given", "Tên", "Given name", ("Tên gọi",)),
    Heading(
        "agency",
        "Đơn vị",
        "Agency",
        (
            *("Mã đơn vị", "Cơ quan", "Cơ quan, đơn vị", "Tên đơn vị", "Tên cơ quan", "Đơn vị công tác"),
            *("Cơ quan công tác", "Nơi công tác", "Agency code"),
        ),
    ),
    Heading(
        "title",
        "Chức vụ",
        "Post",
        ("Chức danh", "Chức vụ, chức danh", "Chức danh, chức vụ", "Vị trí việc làm", "Title"),
    ),
    Heading(
        "leaves",
        "Nghỉ từ ngày",
        "Leaves on",
        ("Ngày nghỉ", "Ngày nghỉ việc", "Ngày thôi việc", "Ngày nghỉ hưu", "Nghỉ từ"),
    ),
    Heading("hands_over", "Bàn giao cho", "Hands over to", ("Mã người nhận bàn giao", "Bàn giao thư cho")),
)

_BY_HEADING = {normal(text): heading for heading in HEADINGS for text in (heading.vi, heading.en, *heading.also)}
_DAY = re.compile(r"(?P<d>\d{1,2})[/.-](?P<m>\d{1,2})[/.-](?P<y>\d{4})")
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[ T]00:00:00)?")
_SERIALS = range(20_000, 80_000)
"""Excel's numbers of days from 1954 to 2119: a day that lost its format."""


def heading_of(text: str) -> Heading | None:
    """The column a heading means."""
    return meant(re.sub(r"\(.*?\)|\*", "", text), _BY_HEADING)


def read_code(value: Any) -> str | None:
    """An employee code, in capitals; None when it cannot be one. A number has lost its leading zeros before we came."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    code = tidy(str(value)).upper()
    return code if re.fullmatch(r"[A-Z0-9][A-Z0-9._/-]{0,31}", code) else None


def read_day(value: Any) -> date | None:
    """A day as Excel has it (a day, or its number) or as people write it: 31/12/2026; None when it is none."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        found = from_excel(value) if int(value) in _SERIALS else None
        return found.date() if isinstance(found, datetime) else None
    text = tidy(str(value))
    day, iso = _DAY.fullmatch(text), _ISO.fullmatch(text)
    try:
        if day:
            return date(int(day["y"]), int(day["m"]), int(day["d"]))
        return date(*(int(part) for part in iso.groups())) if iso else None
    except ValueError:
        return None
