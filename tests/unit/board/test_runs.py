"""Rollouts and last runs as the ledger has them, and only those of the sites a person may see; accounts by command."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from tram.cli.main import app
from tram.cli.metrics import _rollouts
from tram.ledger import Ledger, Outcome, State
from tram.ledger.rolloutbook import NewWave
from tram_board import progress
from tram_board.asking import Sample
from tram_board.ledger import Runs
from tram_board.readings import Answers
from tram_board.words import STANDINGS
from tram_exporters.textfile import Page

from .conftest import NOW, REPO


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


def told(url: str, at: datetime) -> Answers:
    """What the hub answers after the centre's `tram metrics`."""
    page, ledger = Page("delivery"), Ledger(url)
    with page.reading("ledger"):
        _rollouts(page, ledger.rollouts, ledger)
    ledger.close()
    families = text_string_to_metric_families(page.text(now=at.timestamp()))
    samples = [(one.name, Sample(one.labels, one.value)) for family in families for one in family.samples]
    names = {
        "rollout": "tram_rollout_standing",
        "rollout_wave": "tram_rollout_wave_standing",
        "rollout_host": "tram_rollout_host_standing",
        "rollout_told": "tram_exporter_last_success_timestamp_seconds",
    }
    return {name: [sample for said, sample in samples if said == metric] for name, metric in names.items()}, {}


def test_where_there_is_no_ledger_the_hub_knows_the_same_from_the_centre(url: str) -> None:
    for codes in ({"so-noi-vu", "huong-khe"}, {"huong-khe"}, set[str]()):
        made, problem = progress.rollouts(told(url, NOW), NOW, codes)
        kept = [one | {"waves": one["waves"]} for one in Runs(url).rollouts(codes)]
        assert (made, problem) == (kept, "")


def test_a_centre_that_is_silent_is_said(url: str) -> None:
    made, problem = progress.rollouts(told(url, NOW - timedelta(hours=2)), NOW, {"huong-khe"})
    assert (len(made), problem) == (1, "the centre told this 2 h ago and nothing since")
    assert progress.rollouts(({}, {}), NOW, {"huong-khe"})[1].startswith("the centre has told nothing")
    assert progress.rollouts(({}, {"rollout": "refused"}), NOW, {"huong-khe"}) == ([], "refused")


def test_every_word_of_the_ledger_has_a_number() -> None:
    assert {str(state) for state in State} <= STANDINGS.keys()


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
