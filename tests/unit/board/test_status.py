"""`tram status`: the same truth, and an exit code for scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tram.cli import status as command
from tram.cli.main import app
from tram.core.errors import BadInput
from tram.register import Province
from tram_board.judging import INTERVALS
from tram_board.settings import read_settings

from .conftest import NOW, REPO, Hub

LAB = str(REPO / "inventories/lab")
SRV = "huong-khe-srv1"


@pytest.fixture
def run(hub: Hub, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    class Clock(type(NOW)):  # type: ignore[misc]
        @classmethod
        def now(cls, tz: object = None) -> object:
            return NOW

    monkeypatch.setattr(command, "Source", lambda _url, **_words: hub.source())
    monkeypatch.setattr(command, "datetime", Clock)
    monkeypatch.setenv("LANG", "vi_VN.UTF-8")
    monkeypatch.setenv("LC_ALL", "")
    monkeypatch.setenv("LC_MESSAGES", "")
    return lambda *words: CliRunner().invoke(app, ["status", "-i", LAB, *words])


def test_all_in_order_is_0_and_one_screen(run, province: Province) -> None:  # type: ignore[no-untyped-def]
    done = run()
    assert done.exit_code == 0, done.output
    assert province.name in done.output
    assert len(done.output.splitlines()) < 30
    assert "không đánh giá: Văn bản, Sao lưu" in done.output


@pytest.mark.parametrize(
    ("reading", "value", "code"), [("risk", None, 3), ("risk", 0.15, 4), ("risk", 0.6, 1), ("link_loss", 0.5, 1)]
)
def test_the_exit_code_tells(run, hub: Hub, *, reading: str, value: float | None, code: int) -> None:  # type: ignore[no-untyped-def]
    hub.set(reading, SRV, value)
    assert run().exit_code == code
    assert run("--site", "huong-khe").exit_code == code


def test_a_site_is_shown_with_its_evidence(run, hub: Hub) -> None:  # type: ignore[no-untyped-def]
    hub.set("disk_free", SRV, 0.01)
    said = run("--site", "huong-khe").output
    assert "một ổ đĩa chỉ còn trống 1 %" in said
    assert "node_filesystem_avail_bytes" in said


def test_json_says_what_the_board_says(run, hub: Hub) -> None:  # type: ignore[no-untyped-def]
    hub.silence(SRV)
    said = json.loads(run("--json").output)
    assert said["sites"] == {"bad": 0, "attention": 0, "unknown": 1, "ok": 2}
    assert [task["site"] for task in said["tasks"]] == ["huong-khe"]


def test_a_hub_that_is_down_is_3_and_said(run, hub: Hub) -> None:  # type: ignore[no-untyped-def]
    hub.down = True
    done = run()
    assert done.exit_code == 3
    assert "không trả lời" in done.output


def test_a_site_that_is_none_is_bad_input(run) -> None:  # type: ignore[no-untyped-def]
    done = run("--site", "huong-ke")
    assert done.exit_code != 0
    assert 'no site "huong-ke"' in str(done.exception)


def test_exporters_of_the_board_have_intervals() -> None:
    assert all(interval.total_seconds() >= 60 for interval in INTERVALS.values())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "register: is missing"),
        ('register = "x"\nfolder = "y"\nport = 0', "port: must be a whole number from 1 to 65535"),
        ('register = "x"\nfolder = "y"\nverbs = ["reech"]', "unknown: reech"),
        ('register = "x"\nfolder = "y"\ncolour = "red"', "colour: there is no such key"),
        ("register = ", "is no TOML"),
    ],
)
def test_settings_that_will_not_do_are_told_by_key(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "board.toml"
    file.write_text(text)
    with pytest.raises(Exception, match=said):
        read_settings(file)


@pytest.mark.parametrize("words", [["status"], ["hardware", "report", "--hub", "https://watch.tinh.example:8444"]])
def test_a_certificate_without_its_key_is_told(words: list[str]) -> None:
    ran = CliRunner().invoke(app, [*words, "--certificate", "me.crt"])
    assert isinstance(ran.exception, BadInput)
    assert "--certificate and --key go together" in ran.exception.message
