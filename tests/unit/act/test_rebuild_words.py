"""`tram replace` and `tram drill restore` refuse what is wrong before anything is touched."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tram.act.outcome import LoginRefused, StepFailed
from tram.act.target import Target
from tram.cli import rebuild
from tram.cli.main import app
from tram.core.errors import BadInput, TramError

from ...conftest import LAB


@pytest.fixture
def province(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A real province (no lab) whose district is backed up; the department's host is not, nor has it work."""
    folder = tmp_path / "province"
    shutil.copytree(LAB, folder)
    for file, functions in (("huong-khe", ["mail", "backup"]), ("so-noi-vu", [])):
        path = folder / f"sites/{file}.yml"
        site = yaml.safe_load(path.read_text(encoding="utf-8"))
        site["hosts"][0]["functions"] = functions
        path.write_text(yaml.safe_dump(site, allow_unicode=True, sort_keys=False), encoding="utf-8")
    file = folder / "province.yml"
    file.write_text(file.read_text(encoding="utf-8").replace("lab: true", "lab: false"), encoding="utf-8")
    monkeypatch.setenv("TRAM_SECRETS", str(tmp_path / "secrets"))
    return folder


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["replace", "so-noi-vu", "--address", "198.51.100.11"], "so-noi-vu: is no host or site that is backed up"),
        (["replace", "huong-khe/srv1", "--address", "here"], "--address here: is no address"),
        (["replace", "huong-khe/srv1", "--address", "8.8.8.8"], "8.8.8.8"),
        (
            ["replace", "huong-khe/srv1", "--address", "203.0.113.10", "--fingerprint", "SHA256:x"],
            "is no SHA256 finger",
        ),
        (["replace", "huong-khe/srv1", "--address", "203.0.113.10"], "no host of the hub has the function backup_hub"),
        (["drill", "restore", "huong-khe", "--spare", "nobody"], "no host called nobody"),
        (["drill", "restore", "huong-khe", "--spare", "trung-tam-hub1"], "trung-tam-hub1: has work of its own"),
    ],
    ids=["not backed up", "no address", "outside the site", "fingerprint", "no hub", "no spare", "busy spare"],
)
def test_what_is_wrong_is_told_first(province: Path, tmp_path: Path, words: list[str], says: str) -> None:
    ran = CliRunner().invoke(app, [*words, "-i", str(province)])
    assert isinstance(ran.exception, TramError), ran.output
    assert says in f"{ran.exception.message} {ran.exception}"
    assert ran.exception.exit_code == 2
    assert not (tmp_path / "secrets").exists()


@pytest.mark.slow
def test_names_follow_the_register_also_when_they_could_not_at_first(
    province: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = province / "sites/trung-tam.yml"
    site = yaml.safe_load(path.read_text(encoding="utf-8"))
    site["hosts"][0]["functions"].append("backup_hub")
    path.write_text(yaml.safe_dump(site, allow_unicode=True, sort_keys=False), encoding="utf-8")
    played: list[str] = []

    def play(_job: Any, playbook: str, _words: Any) -> dict[str, int]:
        played.append(playbook)
        if len(played) == 1:
            raise StepFailed("the hub: broken off")
        return {"changed": 1}

    for name in ("look", "rebuild", "centre_key", "_foretell", "_fence", "_remember", "_end"):
        monkeypatch.setattr(rebuild, name, lambda *_, **__: {})
    monkeypatch.setattr(rebuild, "play", play)
    words = ["replace", "huong-khe", "--address", "203.0.113.9", "-i", str(province)]
    assert isinstance(CliRunner().invoke(app, words).exception, StepFailed)
    assert "203.0.113.9" in (province / "sites/huong-khe.yml").read_text(encoding="utf-8")
    ran = CliRunner().invoke(app, words)
    assert ran.exit_code == 0, ran
    assert played == ["dns.yml", "dns.yml"]


def test_a_host_that_refuses_our_key_is_alive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refused(*_: Any) -> None:
        raise LoginRefused("a-srv1: refused")

    monkeypatch.setattr(rebuild, "come", refused)
    old = Target("a-srv1", "192.0.2.1", "tram", tmp_path / "known_hosts")
    with pytest.raises(BadInput, match=r"a-srv1 answers at 192.0.2.1: it is not dead"):
        rebuild._fence(SimpleNamespace(key=None, machine=old), old)  # type: ignore[arg-type]
