"""Wheels for hosts without an index: chosen and checked by pip, served as PEP 503 has it."""

from __future__ import annotations

import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from tram.act.wheels import download, fill_folder, pages
from tram.core.errors import BadInput
from tram.register import load

DIGEST = "a" * 64


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one wheel; no index is asked."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    folder = tmp_path / "built"
    folder.mkdir()
    with zipfile.ZipFile(folder / "cong_van-1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("cong_van.py", "")
        wheel.writestr("cong_van-1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: cong-van\nVersion: 1.2\n")
        wheel.writestr("cong_van-1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("cong_van-1.2.dist-info/RECORD", "")
    return folder


def requirements(shelf: Path, line: str = "cong-van==1.2 --hash=sha256:{}") -> Path:
    digest = sha256((shelf / "cong_van-1.2-py3-none-any.whl").read_bytes()).hexdigest()
    path = shelf.parent / "requirements.txt"
    path.write_text(line.format(digest) + "\n", encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_wheel_that_was_built_beside_is_taken_by_its_hash(shelf: Path, tmp_path: Path) -> None:
    into = tmp_path / "got"
    into.mkdir()
    download(requirements(shelf), "trixie", into, [shelf])
    assert [path.name for path in into.iterdir()] == ["cong_van-1.2-py3-none-any.whl"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    ["cong-van==1.2", "cong-van==1.2 --hash=sha256:" + "0" * 64, "cong-van==9 --hash=sha256:{}"],
    ids=["no hash", "wrong hash", "no such version"],
)
def test_no_hash_a_wrong_one_and_no_such_version_are_refused(shelf: Path, tmp_path: Path, line: str) -> None:
    with pytest.raises(BadInput) as refused:
        download(requirements(shelf, line), "bookworm", tmp_path / "got", [shelf])
    assert "requirements.txt: " in refused.value.message
    assert "--find-links" in (refused.value.hint or "")


def test_a_release_nobody_has_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no release hosts may have"):
        download(tmp_path / "x", "buster", tmp_path)
    with pytest.raises(BadInput, match="is no file"):
        download(tmp_path / "x", "bookworm", tmp_path)


def test_each_project_has_a_page_with_all_its_wheels_and_their_hashes() -> None:
    made = pages([
        f"files/{DIGEST}/python_ldap-3.4.4-cp311-cp311-linux_x86_64.whl",
        f"files/{DIGEST}/Python.LDAP-3.4.5-1-cp313-cp313-linux_x86_64.whl",
        f"files/{DIGEST}/redis-5.0-py3-none-any.whl",
    ])  # fmt: skip
    assert list(made) == ["simple/python-ldap/index.html", "simple/redis/index.html"]
    page = made["simple/python-ldap/index.html"].decode()
    assert page.count("<a href=") == 2
    assert f'"../../files/{DIGEST}/python_ldap-3.4.4-cp311-cp311-linux_x86_64.whl#sha256={DIGEST}"' in page


@pytest.mark.parametrize(
    ("name", "files", "says"),
    [
        ("simple", ["a.tgz"], "cannot name a folder"),
        ("../x", ["a.tgz"], "cannot name a folder"),
        ("npm", [], "has no files"),
        ("npm", ["công văn.tgz"], "cannot be served"),
        ("npm", [".hidden"], "cannot be served"),
    ],
)
def test_a_folder_is_served_by_plain_names_only(tmp_path: Path, name: str, files: list[str], says: str) -> None:
    for file in files:
        (tmp_path / file).write_bytes(b"x")
    province = load(Path(__file__).parents[3] / "inventories/lab")
    with pytest.raises(BadInput, match=says):
        fill_folder(province, None, tmp_path, name)  # type: ignore[arg-type]


def test_a_dry_run_says_what_a_folder_has(tmp_path: Path) -> None:
    (tmp_path / "chart.js-3.9.1.tgz").write_bytes(b"four")
    province = load(Path(__file__).parents[3] / "inventories/lab")
    shelf = fill_folder(province, None, tmp_path, "npm", dry=True)  # type: ignore[arg-type]
    assert (shelf.url, shelf.files, shelf.sent) == (
        "https://mirror.tinh.example:8443/wheels/npm", {"chart.js-3.9.1.tgz": 4}, 0
    )  # fmt: skip
