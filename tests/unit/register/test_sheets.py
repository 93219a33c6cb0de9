"""Spreadsheets go in and out of a register without losing a byte, and speak Vietnamese or English."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from tram.core.errors import BadInput
from tram.register import load
from tram.register.columns import COLUMNS, Kind, column_of, read_cell, write_cell
from tram.register.exporting import export_sheet
from tram.register.importing import import_sheets
from tram.register.shape import BoardShape, ContactShape, HostShape, LinkShape, SiteShape
from tram.register.writing import site_text

from .bad_register import GOOD

HA_TINH = Path(__file__).parents[3] / "inventories" / "ha-tinh"
HEADINGS = [
    *("Mã đơn vị", "Tên đơn vị", "Cấp", "Đơn vị cấp trên", "Dải mạng", "Loại đường truyền"),
    *("Tên máy chủ", "Địa chỉ IP", "Năm", "Kiểu máy", "RAM (GB)", "Số lõi", "Chức năng"),
]
ENGLISH = [
    *("site code", "SITE NAME", "Tier", "parent", "network", "Link Class", "host name", "IP Address", "year", "model"),
    *("Memory (GB)", "cores", "functions"),
]
BOTH = [f"{vi} / {en}" for vi, en in zip(HEADINGS, ENGLISH, strict=True)]
ROW: list[Any] = [
    *("ky-anh", "Huyện Kỳ Anh", "Cấp huyện", "Trung tâm", "198.51.100.64/28", "adsl"),
    *("srv1", "198.51.100.70", "2008", "Máy chủ E", "0,5", "4", "dns; mail"),
]


def sites(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "sites").iterdir()}


def write_csv(path: Path, *rows: list[Any], separator: str = ",", encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as out:
        csv.writer(out, delimiter=separator).writerows(rows)
    return path


@pytest.fixture
def register(tmp_path: Path) -> Path:
    folder = tmp_path / "register"
    shutil.copytree(GOOD, folder)
    return folder


@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_a_whole_province_comes_back_byte_for_byte(kind: str, tmp_path: Path) -> None:
    spreadsheet, copy = tmp_path / f"ds.{kind}", tmp_path / "copy"
    copy.mkdir()
    shutil.copy(HA_TINH / "province.yml", copy)
    assert export_sheet(HA_TINH, spreadsheet) == sum(len(site.hosts) for site in load(HA_TINH).sites)
    done = import_sheets(spreadsheet, copy, dry_run=False)
    assert {change.what for change in done.changes} == {"new"}
    assert sites(copy) == sites(HA_TINH)
    assert sorted(path.name for path in copy.iterdir()) == ["province.yml", "sites"]


@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_a_file_that_says_the_same_is_left_as_it_is_comments_and_all(kind: str, register: Path) -> None:
    site = register / "sites" / "huong-khe.yml"
    site.write_text(site.read_text(encoding="utf-8").replace("tier:", "# dưới chân núi\ntier:"), encoding="utf-8")
    before = sites(register)
    export_sheet(register, register.parent / f"ds.{kind}")
    done = import_sheets(register.parent / f"ds.{kind}", register, dry_run=False)
    assert {change.what for change in done.changes} == {"same"}
    assert sites(register) == before


@pytest.mark.parametrize(
    "headings", [HEADINGS, ENGLISH, [f"{vi} / {en}" for vi, en in zip(HEADINGS, ENGLISH, strict=True)]]
)
@pytest.mark.parametrize(("separator", "encoding"), [(",", "utf-8"), (";", "utf-8-sig"), ("\t", "utf-8")])
def test_headings_in_vietnamese_and_english_are_understood(
    headings: list[str], separator: str, encoding: str, register: Path
) -> None:
    path = write_csv(register.parent / "ds.csv", headings, ROW, separator=separator, encoding=encoding)
    done = import_sheets(path, register, dry_run=False)
    assert [(change.code, change.what) for change in done.changes] == [("ky-anh", "new")]
    assert done.kept == ("huong-khe", "trung-tam", "vu-quang")
    site = next(site for site in load(register).sites if site.code == "ky-anh")
    assert (site.name, site.tier, site.parent) == ("Huyện Kỳ Anh", "district", "trung-tam")
    assert (site.hosts[0].ram_mb, site.hosts[0].year, site.hosts[0].functions) == (512, 2008, ("dns", "mail"))


@pytest.mark.parametrize("heading", ["MÃ ĐƠN VỊ", "Ma don vi", " Mã  đơn vị ", "ma_don_vi", "Site Code", "site-code"])
def test_case_diacritics_and_blanks_of_a_heading_do_not_matter(heading: str) -> None:
    column = column_of(heading)
    assert column is not None
    assert column.loc == ("code",)


def test_no_heading_means_two_columns() -> None:
    names = [(text, column.loc) for column in COLUMNS for text in (column.vi, column.en, *column.also)]
    for text, loc in names:
        found = column_of(text)
        assert found is not None
        assert found.loc == loc, text


def test_every_value_of_a_site_file_has_a_column() -> None:
    inside = {"board": BoardShape, "link": LinkShape, "contact": ContactShape, "hosts": HostShape}
    keys = {(key,) for key in SiteShape.model_fields if key not in inside}
    for key, shape in inside.items():
        keys |= {(key, field.alias or name) for name, field in shape.model_fields.items()}
    assert {column.loc for column in COLUMNS} == keys


def test_a_dry_run_tells_the_same_and_writes_nothing(register: Path) -> None:
    path = write_csv(register.parent / "ds.csv", HEADINGS, ROW)
    before = sites(register)
    dry = import_sheets(path, register, dry_run=True)
    assert sites(register) == before
    assert dry == import_sheets(path, register, dry_run=False)
    assert sites(register) != before


def test_what_the_sheet_has_no_column_for_stays_as_it_was(register: Path) -> None:
    row = [*("vu-quang", "Huyện Vũ Quang", "district", "huong-khe", "198.51.100.0/28", "fibre")]
    hosts = [
        [*("srv1", "198.51.100.10", "2009", "Máy chủ C", "8", "4", "mail")],
        [*("srv2", "198.51.100.11", "2011", "Máy chủ D", "8", "8", "")],
    ]
    path = write_csv(register.parent / "ds.csv", HEADINGS, row + hosts[0], row[:1] + [""] * 5 + hosts[1])
    done = import_sheets(path, register, dry_run=False)
    assert [(change.what, change.hosts_gone) for change in done.changes] == [("changed", ())]
    site = next(site for site in load(register).sites if site.code == "vu-quang")
    assert site.contact is not None
    assert (site.contact.phone, site.pilot, site.hosts[1].suite) == ("0239 000 0001", True, "trixie")
    assert site.link is not None
    assert site.link.rtt.total_seconds() == 0.012
    assert site.hosts[0].ram_mb == 8192


def test_hosts_that_go_and_columns_that_are_not_read_are_named(register: Path) -> None:
    row = [*("vu-quang", "Huyện Vũ Quang", "district", "huong-khe", "198.51.100.0/28", "fibre")]
    host = [*("srv1", "198.51.100.10", "2009", "Máy chủ C", "4", "4", "mail")]
    path = write_csv(register.parent / "ds.csv", ["STT", *HEADINGS, "Ghi chú"], ["1", *row, *host, "đã cũ"])
    done = import_sheets(path, register, dry_run=False)
    assert done.changes[0].hosts_gone == ("srv2",)
    assert done.ignored == ("STT", "Ghi chú")


def test_an_import_that_was_killed_between_two_steps_is_put_right_by_the_next(register: Path) -> None:
    before = sites(register)
    (register / ".import-killed").mkdir()
    (register / "sites").rename(register / ".import-killed" / "before")
    import_sheets(write_csv(register.parent / "ds.csv", HEADINGS, ROW), register, dry_run=False)
    after = sites(register)
    assert {name: after[name] for name in before} == before
    assert sorted(path.name for path in register.iterdir()) == ["province.yml", "sites"]


def test_a_spreadsheet_is_never_overwritten_unasked(register: Path) -> None:
    spreadsheet = register.parent / "ds.xlsx"
    spreadsheet.write_text("mine", encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        export_sheet(register, spreadsheet)
    assert "--force" in caught.value.hint
    assert spreadsheet.read_text(encoding="utf-8") == "mine"
    export_sheet(register, spreadsheet, force=True)
    assert load_workbook(spreadsheet).active is not None


def test_a_spreadsheet_of_another_kind_is_refused(register: Path) -> None:
    with pytest.raises(BadInput):
        export_sheet(register, register.parent / "ds.ods")


CELLS: dict[Kind, st.SearchStrategy[Any]] = {
    "text": st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1),
    "number": st.integers(min_value=0, max_value=10**8),
    "flag": st.sampled_from([True, None]),
    "list": st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True), max_size=4).map(
        lambda words: words or None
    ),
}


@pytest.mark.parametrize("kind", list(CELLS))
@pytest.mark.parametrize("through", ["xlsx", "csv"])
@given(data=st.data())
def test_a_cell_reads_back_as_it_was_written(through: Literal["xlsx", "csv"], kind: Kind, data: st.DataObject) -> None:
    value = data.draw(CELLS[kind])
    cell = write_cell(value)
    seen = cell if through == "xlsx" else "" if cell is None else str(cell)
    wanted = read_cell(value, "text") if kind == "text" else value  # composed (NFC), as every name is
    assert read_cell(seen, kind) == wanted


WORDS = st.text("aăâbcdđeêghiklmnoôơpqrstuưvxyáàảãạếềểễệ '\"#:-,;", min_size=1, max_size=30).map(
    lambda text: " ".join(f"H {text} x".split())
)
SITES = st.fixed_dictionaries(
    {
        "code": st.just("huong-khe"),
        "name": WORDS,
        "tier": st.just("district"),
        "parent": st.just("trung-tam"),
        "board": st.none() | st.fixed_dictionaries({"x": st.integers(0, 100), "y": st.integers(0, 100)}),
        "network": st.just("203.0.113.0/28"),
        "link": st.fixed_dictionaries({"class": st.just("adsl"), "loss": st.sampled_from([None, "0.25 %"])}),
        "contact": st.fixed_dictionaries(
            {"post": WORDS, "phone": st.from_regex(r"0[0-9]{3} [0-9]{3}", fullmatch=True)}
        ),
        "pilot": st.sampled_from([None, True]),
        "hosts": st.lists(
            st.fixed_dictionaries(
                {
                    "year": st.integers(1990, 2100),
                    "model": WORDS,
                    "ram_mb": st.integers(128, 10**6),
                    "cores": st.integers(1, 64),
                    "suite": st.sampled_from(["bookworm", "trixie"]),
                    "functions": st.lists(st.sampled_from(["dns", "mail", "webmail"]), unique=True),
                }
            ),
            max_size=3,
        ),
    }
)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(site=SITES, kind=st.sampled_from(["xlsx", "csv"]))
def test_any_site_comes_back_byte_for_byte(site: dict[str, Any], kind: str) -> None:
    hosts = [
        {"name": f"srv{number}", "address": f"203.0.113.{number}", **host}
        for number, host in enumerate(site["hosts"], start=1)
    ]
    text = site_text(site | {"hosts": hosts})
    with TemporaryDirectory() as scratch:
        register, spreadsheet = Path(scratch) / "register", Path(scratch) / f"ds.{kind}"
        shutil.copytree(GOOD, register)
        (register / "sites" / "huong-khe.yml").write_text(text, encoding="utf-8")
        export_sheet(register, spreadsheet)
        for path in (register / "sites").iterdir():
            path.unlink()
        import_sheets(spreadsheet, register, dry_run=False)
        assert (register / "sites" / "huong-khe.yml").read_text(encoding="utf-8") == text
