"""The columns of a spreadsheet of sites: one row a host, the site's own columns repeated or left empty below."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

C = TypeVar("C")
Kind = Literal["text", "raw", "number", "gigabytes", "flag", "list"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: where its value stands in a site file, its headings, and how a cell is to be read.

    A number in a `text` column becomes text; in a `raw` one it stays what it is, to be refused.
    """

    loc: tuple[str, ...]
    vi: str
    en: str
    also: tuple[str, ...] = ()
    kind: Kind = "text"
    required: bool = False
    exported: bool = True

    @property
    def of_host(self) -> bool:
        """Whether the value is the host's rather than the site's."""
        return self.loc[0] == "hosts"


COLUMNS = (
    Column(("code",), "Mã đơn vị", "Site code", ("Mã", "Code"), required=True),
    Column(("name",), "Tên đơn vị", "Site name", ("Đơn vị", "Site"), required=True),
    Column(("tier",), "Cấp", "Tier", ("Cấp đơn vị", "Level"), required=True),
    Column(("parent",), "Đơn vị cấp trên", "Parent", ("Cấp trên", "Parent site"), required=True),
    Column(("board", "x"), "Vị trí X", "Board X", ("X",), kind="number"),
    Column(("board", "y"), "Vị trí Y", "Board Y", ("Y",), kind="number"),
    Column(("network",), "Dải mạng", "Network", ("Mạng", "CIDR"), required=True),
    Column(("domain",), "Tên miền", "Domain"),
    Column(("link", "class"), "Loại đường truyền", "Link class", ("Đường truyền", "Link"), required=True),
    Column(("link", "provider"), "Nhà cung cấp", "Provider", ("Nhà mạng",)),
    Column(("link", "kind"), "Công nghệ", "Kind", ("Technology",)),
    Column(("link", "down"), "Tải xuống", "Down", ("Download",)),
    Column(("link", "up"), "Tải lên", "Up", ("Upload",)),
    Column(("link", "rtt"), "Độ trễ", "RTT", ("Latency",)),
    Column(("link", "loss"), "Mất gói", "Loss", ("Packet loss",)),
    Column(("contact", "post"), "Đầu mối", "Contact", ("Chức danh liên hệ", "Post")),
    Column(("contact", "phone"), "Điện thoại", "Phone", ("Số điện thoại", "Telephone"), kind="raw"),
    Column(("pilot",), "Thí điểm", "Pilot", kind="flag"),
    Column(("hosts", "name"), "Tên máy chủ", "Host name", ("Máy chủ", "Host", "Server"), required=True),
    Column(("hosts", "address"), "Địa chỉ IP", "IP address", ("IP", "Address"), required=True),
    Column(("hosts", "year"), "Năm", "Year", ("Năm mua", "Năm sản xuất"), kind="number", required=True),
    Column(("hosts", "model"), "Kiểu máy", "Model", ("Dòng máy",), required=True),
    Column(("hosts", "ram_mb"), "RAM (MB)", "Memory (MB)", kind="number", required=True),
    Column(("hosts", "ram_mb"), "RAM (GB)", "Memory (GB)", ("RAM",), kind="gigabytes", required=True, exported=False),
    Column(("hosts", "cores"), "Số lõi", "Cores", ("Số nhân", "CPU cores"), kind="number", required=True),
    Column(("hosts", "suite"), "Bản Debian", "Suite", ("Debian", "Hệ điều hành", "Debian release")),
    Column(("hosts", "functions"), "Chức năng", "Functions", ("Dịch vụ", "Services"), kind="list", required=True),
)


def normal(heading: str) -> str:
    """A heading without case, diacritics, blanks and punctuation: "Mã đơn vị" and "ma don vi" are the same."""
    plain = unicodedata.normalize("NFD", heading.casefold().replace("đ", "d"))
    return re.sub(r"[^a-z0-9]", "", plain)


def column_of(heading: str) -> Column | None:
    """The column a heading means; a heading may say it in both languages ("Cấp / Tier")."""
    return meant(heading, _BY_HEADING)


def meant(heading: str, known: Mapping[str, C]) -> C | None:
    """What a heading means, of what is known by its normal form; it may say it in both languages."""
    for text in (heading, *re.split(r"[/·|\n]", heading)):
        if (word := normal(text)) and (found := known.get(word)):
            return found
    return None


def read_cell(value: Any, kind: Kind) -> Any:
    """A cell as a site file would have it; None for an empty one. What does not fit is left for the shape to refuse."""
    if isinstance(value, str):
        value = " ".join(unicodedata.normalize("NFC", value).split())
    if value is None or value == "":
        return None
    readers = {"text": _text, "raw": lambda cell: cell, "number": _number, "gigabytes": _megabytes}
    return (readers | {"flag": _flag, "list": _list})[kind](value)


def write_cell(value: Any) -> str | int | float | None:
    """The other way round: what `read_cell` reads back as the same value."""
    if isinstance(value, bool):
        return "có" if value else None
    if isinstance(value, list):
        return ", ".join(value)
    assert value is None or isinstance(value, str | int | float)
    return value


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _number(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value):
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _megabytes(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"\d{1,6}([.,]\d{1,3})?( ?GB)?", value, re.IGNORECASE):
        value = float(value.upper().removesuffix("GB").strip().replace(",", "."))
    return _number(value * 1024.0) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _flag(value: Any) -> Any:
    """True, None for no (a file leaves it out), or the value itself."""
    words = {"co": True, "x": True, "yes": True, "true": True, "1": True} | dict.fromkeys(("khong", "no", "false", "0"))
    word = normal(str(value))
    return words.get(word, value)


def _list(value: Any) -> Any:
    return [word for part in re.split(r"[,;]", value) if (word := part.strip())] if isinstance(value, str) else value


_BY_HEADING = {normal(text): column for column in COLUMNS for text in (column.vi, column.en, *column.also)}
