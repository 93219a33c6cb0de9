"""`tram sites` on the command line: what it prints and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from tram.core.run import Ran, run

from .bad_register import GOOD

pytestmark = pytest.mark.slow

TRAM = Path(sys.executable).parent / "tram"


@pytest.fixture
def register(tmp_path: Path) -> Path:
    folder = tmp_path / "register"
    shutil.copytree(GOOD, folder)
    return folder


def tram(*words: str | Path, language: str = "C.UTF-8") -> Ran:
    return run([TRAM, "sites", *words], env={**os.environ, "LC_ALL": language}, check=False)


def test_a_good_register_is_said_to_be_good_in_the_operators_language(register: Path) -> None:
    assert tram("check", register).stdout == "Tỉnh mẫu: 3 đơn vị, 4 máy chủ, không có lỗi\n"
    assert tram("check", register, language="en_US.UTF-8").stdout == "Tỉnh mẫu: 3 sites, 4 hosts, no error\n"


def test_a_bad_register_ends_with_two_and_every_error_as_it_is_written(register: Path) -> None:
    site = register / "sites" / "huong-khe.yml"
    site.write_text(
        site.read_text(encoding="utf-8").replace("district", "'[red]xa[/]'").replace("adsl", "asdl"), "utf-8"
    )
    done = tram("check", register)
    assert (done.code, done.stdout) == (2, "")
    assert "Sổ đăng ký có 2 lỗi / 2 errors in the register" in done.stderr
    assert 'sites/huong-khe.yml:7: unknown link class "asdl"; did you mean "adsl"?' in done.stderr
    assert 'sites/huong-khe.yml:3: "tier": "[red]xa[/]" is not a name' in done.stderr


def test_the_list_has_vietnamese_columns_and_every_site(register: Path) -> None:
    done = tram("list", register)
    assert done.code == 0
    for word in (
        "Mã",
        "Đơn vị",
        "Cấp",
        "Đường truyền",
        "Tải xuống",
        "Độ trễ",
        "Mất gói",
        "Máy chủ",
        "Năm",
        "Chức năng",
    ):
        assert word in done.stdout
    for word in (
        "trung-tam",
        "Huyện Hương Khê",
        "Cấp huyện",
        "4 Mbit/s / 512 kbit/s",
        "60 ms",
        "0.5 %",
        "198.51.100.11",
    ):
        assert word in done.stdout


def test_the_list_for_machines_has_units_in_its_names(register: Path) -> None:
    sites = json.loads(tram("list", register, "--json").stdout)
    assert [site["code"] for site in sites] == ["trung-tam", "huong-khe", "vu-quang"]
    assert sites[0]["link"] is None
    assert sites[1]["link"] == {
        "class": "adsl",
        "down_bps": 4000000,
        "up_bps": 512000,
        "rtt_ms": 60.0,
        "loss_percent": 0.5,
    }
    assert sites[2]["hosts"][1]["name"] == "vu-quang-srv2"


def test_out_to_a_spreadsheet_and_back_changes_nothing(register: Path) -> None:
    spreadsheet = register.parent / "ds.xlsx"
    before = {path: path.read_bytes() for path in register.glob("sites/*")}
    assert tram("export", register, "--to", spreadsheet).stdout == f"{spreadsheet}: đã ghi 4 dòng\n"
    dry = tram("import", spreadsheet, "--into", register, "--dry-run")
    assert (dry.code, dry.stdout) == (0, "3 đơn vị giữ nguyên\n")
    assert tram("import", spreadsheet, "--into", register).code == 0
    assert {path: path.read_bytes() for path in register.glob("sites/*")} == before


def test_a_folder_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    done = tram("check", tmp_path / "nowhere")
    assert done.code == 2
    assert "province.yml:1: cannot be read" in done.stderr


@pytest.mark.parametrize("command", ["check", "list", "import", "export"])
def test_help_has_an_example(command: str) -> None:
    done = tram(command, "--help")
    assert done.code == 0
    assert f"tram sites {command} " in done.stdout
