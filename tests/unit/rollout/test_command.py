"""`tram rollout` and `tram runs` on the command line: what they print and how they end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from tram.bundle import build_all
from tram.cli import rollout, rollout_words
from tram.cli.main import app
from tram.core.errors import BadInput
from tram.core.events import Event
from tram.delivery.memory import HostMemory, TreeMemory
from tram.ledger import Ledger, Outcome, State
from tram.register import load
from tram.rollout.conductor import ConductedElsewhere, Standing
from tram.rollout.forecast import ORDER_BYTES, Traffic
from tram.rollout.measure import Measure
from tram.rollout.reason import TEXTS, Reason
from tram.rollout.targets import targets

from .province import new_rollout
from .site import Sites

pytestmark = pytest.mark.slow

REPO = Path(__file__).parents[3]
HUB, PILOT, FAR = "trung-tam-hub1", "so-noi-vu-srv1", "huong-khe-srv1"
# What the plan and the bundle need of a playbook, and no role of the province's.
PLAYBOOK = """
- name: Greet
  hosts: mail
  gather_facts: false
  tasks:
    - name: Say something
      ansible.builtin.debug:
        msg: hello
"""


@pytest.fixture
def stack(tmp_path: Path) -> str:
    path = tmp_path / "playbooks" / "greet.yml"
    path.parent.mkdir()
    path.write_text(PLAYBOOK, encoding="utf-8")
    config = (REPO / "ansible.cfg").read_text(encoding="utf-8")
    (tmp_path / "ansible.cfg").write_text(config.replace("= inventories/", f"= {REPO}/inventories/"), encoding="utf-8")
    (tmp_path / "roles").mkdir()
    return str(path)


@pytest.fixture(autouse=True)
def centre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sites: Sites) -> None:
    """A ledger of the test's own, sites that are processes, a runtime that need not be built."""
    monkeypatch.setenv("TRAM_LEDGER", f"sqlite:///{tmp_path}/ledger.db")
    monkeypatch.setenv("TRAM_SECRETS", str(tmp_path / "secrets"))
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(REPO)
    monkeypatch.setattr(rollout, "_deliver", sites.deliver)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tram.rollout.measure._of_this_installation", lambda: lambda _had: 1_100_000)


def tram(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def told(*words: str) -> Any:
    return json.loads(tram(*words, "--json").stdout)


def test_plan_says_who_goes_when_why_and_at_what_cost_and_changes_nothing(stack: str) -> None:
    done = tram("rollout", "plan", stack)
    assert done.exit_code == 0, done.output
    assert done.stdout.index(HUB) < done.stdout.index(PILOT) < done.stdout.index(FAR)
    for word in ("Wave 1", "Máy chủ", "4 Mbit/s", "1.1 MB", "✓"):
        assert word in done.stdout
    plan = told("rollout", "plan", stack)
    assert [[host["host"] for host in wave["hosts"]] for wave in plan["waves"]] == [[HUB], [PILOT], [FAR]]
    far = plan["waves"][2]["hosts"][0]["forecast"]
    assert far["source"] == "bundle"
    assert 1_100_000 < far["bytes_down"] < 1_130_000
    assert 2 < far["seconds"] < 10
    assert far["fits"] is True
    assert told("runs") == []


def test_start_goes_from_hub_over_pilot_to_the_rest_and_shows_each_step(stack: str, sites: Sites) -> None:
    done = tram("rollout", "start", stack, "--soak", "0 s")
    assert done.exit_code == 0, done.output
    assert sites.started() == [HUB, PILOT, FAR]
    assert re.search(r"\d\d:\d\d:\d\d .*trung-tam-hub1: .*done", done.stdout)
    shown = told("rollout", "show", "greet")
    assert (shown["state"], [wave["state"] for wave in shown["waves"]]) == ("done", ["passed"] * 3)
    assert tram("rollout", "show", "greet").exit_code == 0


def test_a_failure_stops_it_with_one_and_a_person_may_let_it_go_on(stack: str, sites: Sites) -> None:
    sites.behave(PILOT, outcome="failed", reason="disk [full]")
    ledger = Ledger(os.environ["TRAM_LEDGER"])
    new_rollout(ledger, [[HUB], [PILOT], [FAR]], stack="greet")
    done = tram("rollout", "resume", "greet")
    assert done.exit_code == 1
    assert "so-noi-vu-srv1 failed: disk [full]" in done.stdout or "so-noi-vu-srv1 thất bại: disk [full]" in done.stdout
    assert sites.started() == [HUB, PILOT]
    again = tram("rollout", "start", stack)
    assert isinstance(again.exception, BadInput)
    assert "under way" in again.exception.message
    resumed = tram("rollout", "resume", "greet", "--approve")
    assert resumed.exit_code == 1, "one host has failed"
    assert sites.started() == [HUB, PILOT, FAR]
    assert told("rollout", "show", "greet")["approvals"][0]["accepted"] == [f"failed:{PILOT}"]
    ledger.close()


def test_a_site_not_reached_ends_with_zero_and_is_picked_up_by_a_plain_resume(stack: str, sites: Sites) -> None:
    sites.behave(FAR, away=True)
    rules = {"soak": "0 s", "min_reached": "0 %"}
    ledger = Ledger(os.environ["TRAM_LEDGER"])
    run = new_rollout(ledger, [[HUB, PILOT, FAR]], rollout.Policy.of(rules, ""), stack="greet")
    assert tram("rollout", "resume", "greet").exit_code == 0
    assert ledger.outcome(run, FAR) is Outcome.NOT_REACHED
    sites.behave(FAR)
    ledger.finish(run, FAR, Outcome.NOT_REACHED, "no answer", next_try=None)
    assert tram("rollout", "resume").exit_code == 0
    assert ledger.rollouts.get(run).state == Standing.DONE
    assert tram("rollout", "resume").stdout == ""
    assert isinstance(tram("rollout", "resume", "--approve").exception, BadInput)
    ledger.close()


def test_a_plain_resume_leaves_to_another_what_another_does(sites: Sites) -> None:
    ledger = Ledger(os.environ["TRAM_LEDGER"])
    other = new_rollout(ledger, [[HUB]], stack="base", policy=rollout.Policy(soak=timedelta(0)))
    new_rollout(ledger, [[FAR]], stack="greet", policy=rollout.Policy(soak=timedelta(0)))
    assert ledger.rollouts.take(other, "another-machine:1.2:3:4:5", timedelta(minutes=5))
    assert tram("rollout", "resume").exit_code == 0
    assert sites.started() == [FAR]
    assert isinstance(tram("rollout", "resume", "base").exception, ConductedElsewhere)
    ledger.close()


def test_pause_and_abort_of_a_rollout_nobody_conducts_are_done_at_once() -> None:
    ledger = Ledger(os.environ["TRAM_LEDGER"])
    run = new_rollout(ledger, [[HUB]], stack="greet")
    assert tram("rollout", "pause", "greet").exit_code == 0
    assert ledger.rollouts.get(run).state == "paused"
    assert tram("rollout", "abort", "greet").exit_code == 0
    assert ledger.rollouts.get(run).state == "aborted"
    assert (
        "already" in tram("rollout", "pause", "greet").stdout or "từ trước" in tram("rollout", "pause", "greet").stdout
    )
    ledger.close()


def test_a_bundle_that_cannot_be_built_is_said_by_plan_and_stops_start(stack: str) -> None:
    text = Path(stack).read_text(encoding="utf-8")
    Path(stack).write_text(text.replace("  tasks:", "  roles: [no_such_role]\n  tasks:"), encoding="utf-8")
    planned = tram("rollout", "plan", stack)
    assert planned.exit_code == 0, planned.output
    assert "no_such_role" in planned.stdout
    started = tram("rollout", "start", stack)
    assert isinstance(started.exception, BadInput)
    assert told("runs") == []


def test_runs_are_listed_and_shown_host_by_host_with_what_they_told() -> None:
    assert tram("runs").exit_code == 0
    ledger = Ledger(os.environ["TRAM_LEDGER"])
    new_rollout(ledger, [[HUB, PILOT, FAR]], stack="greet")
    ledger.close()
    tram("rollout", "resume", "greet")
    (listed,) = told("runs")
    assert (listed["kind"], listed["counts"]) == ("rollout", {"done": 3})
    run = listed["run"]
    assert run in tram("runs").stdout
    for name in ("last", run, run[:-2]):
        shown = told("runs", "show", name)
        assert [(host["host"], host["outcome"]) for host in shown["hosts"]] == [
            (h, "done") for h in sorted((HUB, PILOT, FAR))
        ]
    one = told("runs", "show", "last", "--host", FAR)
    assert [event["kind"] for event in one["events"]] == ["result"]
    assert not any(name.startswith("lease") for name in one["hosts"][0])
    page = tram("runs", "show", "last", "--host", FAR).stdout
    assert "verify" in page
    assert HUB not in page


def test_progress_is_shown_as_share_of_bytes_and_task_n_of_m() -> None:
    ledger = Ledger(os.environ["TRAM_LEDGER"])
    run = new_rollout(ledger, [[FAR]])
    ledger.lease(run, FAR, "me", timedelta(minutes=1))
    ledger.heard(run, FAR, bytes_total=20_000, bytes_down=5_000, task="Postfix", tasks_done=3, tasks_total=59)
    page = tram("runs", "show", "last").stdout
    for word in ("25 %", "3", "59", "Postfix", "5.0 kB"):
        assert word in page
    host = told("runs", "show", "last")["hosts"][0]
    assert (host["percent"], host["tasks_done"], host["tasks_total"], host["outcome"]) == (25, 3, 59, None)
    ledger.close()


def test_follow_goes_on_until_the_run_has_ended_and_tells_machines_line_by_line() -> None:
    ledger = Ledger(os.environ["TRAM_LEDGER"])
    run = new_rollout(ledger, [[FAR]])
    program = [Path(sys.executable).parent / "tram", "runs", "show", "last", "--follow", "--json"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, cwd=REPO) as following:
        assert following.stdout is not None
        killer = threading.Timer(60, following.kill)
        killer.start()
        assert json.loads(following.stdout.readline())["hosts"][0]["state"] == "waiting"
        ledger.heard(run, FAR, bytes_down=10)
        assert json.loads(following.stdout.readline())["hosts"][0]["bytes_down"] == 10
        ledger.finish(run, FAR, Outcome.FAILED, "disk full")
        assert json.loads(following.stdout.readline())["hosts"][0]["state"] == "failed"
        assert following.stdout.read() == ""
        killer.cancel()
    assert following.returncode == 1
    ledger.close()


def test_an_unknown_run_or_stack_is_bad_input() -> None:
    for words in (["runs", "show", "2026"], ["rollout", "show", "mail"], ["rollout", "plan", "mial"]):
        done = tram(*words)
        assert isinstance(done.exception, BadInput), words


@pytest.mark.parametrize("command", ["plan", "start", "resume", "pause", "abort", "show"])
def test_help_has_an_example(command: str) -> None:
    assert f"tram rollout {command} " in tram("rollout", command, "--help").stdout


def test_help_of_runs_has_examples() -> None:
    assert "tram runs show last" in tram("runs", "show", "--help").stdout
    assert "tram runs --json" in tram("runs", "--help").stdout


def test_every_code_and_state_has_its_word_in_the_operators_language() -> None:
    place = re.compile(r"\{\w+\}")
    assert rollout_words.REASONS.keys() == TEXTS.keys()
    for code, text in TEXTS.items():
        assert set(place.findall(rollout_words.REASONS[code])) <= set(place.findall(text)), code
    assert set(rollout_words.STATES) == set(State)
    assert {*Standing} <= rollout_words.STANDINGS.keys()
    assert {"waiting", "running", "soaking", "passed", "held", "stopped"} <= rollout_words.STANDINGS.keys()


def test_a_reason_is_named_by_what_it_is_about() -> None:
    assert Reason("failed", {"host": FAR, "reason": "x"}).key == f"failed:{FAR}"
    assert Reason("too_few", {"wave": 2, "reached": 1, "total": 3, "needed": 2}).key == "too_few:2"
    assert str(Reason("approval", {"wave": 3})) == "a person is to let wave 3 begin"


def test_what_a_host_holds_already_is_not_forecast_again(stack: str, tmp_path: Path) -> None:
    province = load(Path("inventories/lab"))
    found = targets(Path(stack), province)
    ledger = Ledger(os.environ["TRAM_LEDGER"])
    whole = Measure(province, Path(stack), found, ledger, runtime_bytes=lambda had: 0 if had else 1_000_000)
    contents = build_all(Path(stack), province, [host for _, host in found.hosts], secrets=province.secrets_dir)
    run = new_rollout(ledger, [[HUB, PILOT, FAR]])
    for host in (PILOT, FAR):
        ledger.lease(run, host, "me", timedelta(minutes=1))
        ledger.assign(host, run=run, tree=contents[host].tree.digest)
        ledger.heard(run, host, bytes_down=4_000, bytes_up=300)
        TreeMemory().keep(contents[host])
        HostMemory(province.code).keep(host, ["0123456789abcdef"])
    ledger.record([Event(run, PILOT, 1, "2026-11-21T19:05:00Z", "state", {"state": "accepted"})])
    again = Measure(province, Path(stack), found, ledger, runtime_bytes=lambda had: 0 if had else 1_000_000)
    first, unheard, held = whole(HUB), again(FAR), again(PILOT)
    assert first
    assert unheard
    assert 1_000_500 < first.down < 1_020_000
    assert ORDER_BYTES + 300 < unheard.down < 20_000, "it was given the bundle, and nobody knows whether it took it"
    assert held == Traffic(ORDER_BYTES, 300, "bundle")
    Path(stack).write_text(PLAYBOOK.replace("hello", "good day"))
    changed = Measure(province, Path(stack), found, ledger, runtime_bytes=lambda _had: 0)(PILOT)
    assert changed
    assert ORDER_BYTES < changed.down < unheard.down, "what changed travels"
    ledger.close()


def test_events_for_people_say_what_happened_first(stack: str) -> None:
    ledger = Ledger(os.environ["TRAM_LEDGER"])
    run = new_rollout(ledger, [[FAR]])
    body = {"task": "mail : reload", "status": "failed", "seconds": 0.1, "message": "no [such] unit"}
    ledger.record([Event(run, FAR, 1, "2026-11-21T19:05:00Z", "task", body)])
    assert "failed · mail : reload · no [such] unit" in tram("runs", "show", "last", "--host", FAR).stdout
    ledger.close()
