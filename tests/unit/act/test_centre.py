"""What only the centre has goes into the safe whole, and nobody but the safe's key opens it."""

from __future__ import annotations

import io
import shutil
import sqlite3
import tarfile
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest
from typer.testing import CliRunner

from tram.act.centre import root_keys, seal
from tram.cli.main import app
from tram.core.errors import BadInput
from tram.register import Province, load

from ...conftest import LAB

SAFE = pyrage.x25519.Identity.generate()


@pytest.fixture
def province(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Province:
    """One with a register, two secrets and a ledger."""
    monkeypatch.setenv("TRAM_SECRETS", str(tmp_path / "kept"))
    monkeypatch.setenv("TRAM_LEDGER", f"sqlite:///{tmp_path}/ledger.db")
    (tmp_path / "kept/ca").mkdir(parents=True)
    (tmp_path / "kept/ca/issuing.key").write_text("a key", encoding="utf-8")
    (tmp_path / "kept/ca/issuing.key").chmod(0o600)
    (tmp_path / "kept/lock").touch()
    with sqlite3.connect(tmp_path / "ledger.db") as ledger:
        ledger.execute("create table t (n)")
    shutil.copytree(LAB, tmp_path / "province")
    (tmp_path / "stick").mkdir()
    return load(tmp_path / "province")


def test_it_comes_back_as_it_was(province: Province, tmp_path: Path) -> None:
    folder = str(province.folder)
    told = CliRunner().invoke(
        app,
        ["backup", "centre", "--to", str(tmp_path / "stick"), "--recipient", str(SAFE.to_public()), "-i", folder],
    )
    assert told.exit_code == 0, told.output
    (file,) = (tmp_path / "stick").iterdir()
    assert b"a key" not in file.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(pyrage.decrypt(file.read_bytes(), [SAFE]))) as tar:
        tar.extractall(tmp_path / "back")
    key = tmp_path / "back/secrets/ca/issuing.key"
    assert (key.read_text(encoding="utf-8"), key.stat().st_mode & 0o777) == ("a key", 0o600)
    assert load(tmp_path / "back/inventory").code == "lab"
    assert sqlite3.connect(tmp_path / "back/ledger.db").execute("select name from sqlite_master").fetchall() == [("t",)]
    assert not (tmp_path / "back/secrets/lock").exists()
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(file.read_bytes(), [pyrage.x25519.Identity.generate()])


def test_the_roots_key_is_named_while_it_lies_at_the_centre(province: Province, tmp_path: Path) -> None:
    assert root_keys(province) == []
    (tmp_path / "kept/ca/root.key").write_text("root", encoding="utf-8")
    assert root_keys(province) == [tmp_path / "kept/ca/root.key"]


@pytest.mark.parametrize(
    ("recipient", "place", "says"),
    [("age1x", "stick", "is no key of age"), (str(SAFE.to_public()), "nowhere", "is no folder")],
    ids=["no key", "no stick"],
)
def test_what_is_wrong_writes_nothing(
    province: Province, tmp_path: Path, recipient: str, place: str, says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        seal(province, "sqlite:///none", recipient, tmp_path / place)
    assert not any((tmp_path / "stick").iterdir())
