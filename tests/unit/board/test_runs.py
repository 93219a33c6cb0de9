"""Rollouts and last runs as the ledger has them, and only those of the sites a person may see; accounts by command."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tram.cli.main import app
from tram.ledger import Ledger, Outcome
from tram.ledger.rolloutbook import NewWave
from tram_board.ledger import Runs

from .conftest import REPO


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = Ledger(url)
    waves = [
        NewWave("pilot", timedelta(0), False, [("so-noi-vu-srv1", "so-noi-vu", [], {})]),
        NewWave("rest", timedelta(0), False, [("huong-khe-srv1", "huong-khe", [], {})]),
    ]
    words = {"province": "lab", "stack": "mail", "playbook": "mail.yml", "inventory": "lab"}
    ledger.rollouts.create("r1", **words, policy={}, planned=waves)
    ledger.rollouts.set_state("r1", "running")
    assert ledger.lease("r1", "so-noi-vu-srv1", "me", timedelta(minutes=1))
    ledger.finish("r1", "so-noi-vu-srv1", Outcome.FAILED, "no disk")
    ledger.close()
    return url


def test_a_rollout_is_shown_wave_by_wave(url: str) -> None:
    (one,) = Runs(url).rollouts({"so-noi-vu", "huong-khe"})
    assert (one["stack"], one["state"], one["over"]) == ("mail", "running", False)
    assert [(wave["name"], wave["counts"]) for wave in one["waves"]] == [
        ("pilot", {"failed": 1}),
        ("rest", {"waiting": 1}),
    ]


def test_a_viewer_sees_waves_of_his_sites_only(url: str) -> None:
    (one,) = Runs(url).rollouts({"huong-khe"})
    assert [wave["left"] for wave in one["waves"]] == [["huong-khe-srv1"]]


def test_the_last_run_of_a_site_says_how_it_ended(url: str) -> None:
    (last,) = Runs(url).last("so-noi-vu")
    assert (last["host"], last["state"], last["reason"]) == ("so-noi-vu-srv1", "failed", "no disk")
    assert Runs(url).last("huong-khe") == []


@pytest.mark.parametrize("where", [None, "sqlite:////nowhere/ledger.db", "nonsense://x"])
def test_without_a_ledger_it_is_said_and_none_is_made(where: str | None) -> None:
    runs = Runs(where)
    assert runs.problem
    assert runs.rollouts({"huong-khe"}) == runs.last("huong-khe") == []


@pytest.mark.parametrize(
    ("words", "password", "said"),
    [
        (["truc", "--role", "operator"], "correct horse battery", ""),
        (["vanthu", "--role", "viewer", "--site", "huong-khe"], "correct horse battery", ""),
        (["vanthu", "--role", "viewer"], "correct horse battery", "a viewer needs a site"),
        (["vanthu", "--role", "viewer", "--site", "huong-ke"], "correct horse battery", "a viewer needs a site"),
        (["truc", "--role", "king"], "correct horse battery", "the role is operator"),
        (["truc", "--role", "operator", "--site", "huong-khe"], "correct horse battery", "the role is operator"),
        (["Truc Ban", "--role", "operator"], "correct horse battery", "is no name"),
        (["truc", "--role", "operator"], "short", "5 characters"),
    ],
)
def test_an_account_by_command(tmp_path: Path, *, words: list[str], password: str, said: str) -> None:
    settings = tmp_path / "board.toml"
    settings.write_text(f'register = "{REPO}/inventories/lab"\nfolder = "{tmp_path}/keys"\n')
    done = CliRunner().invoke(app, ["board", "person", *words, "--settings", str(settings)], input=password + "\n")
    assert (done.exit_code == 0) == (said == "")
    assert said in str(done.exception)
    kept = tmp_path / "keys/people.json"
    assert kept.exists() == (said == "")
    if not said:
        assert words[0] in json.loads(kept.read_text())["people"]
        assert password not in kept.read_text() + done.output
