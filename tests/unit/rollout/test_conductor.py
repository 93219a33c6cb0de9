"""A rollout goes wave by wave on evidence, and stands where the ledger says when somebody takes it up again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tram.core.events import Event
from tram.ledger import Ledger, Outcome, State, new_owner
from tram.ledger.rolloutbook import RolloutUnderWay
from tram.rollout.conductor import ConductedElsewhere, RolloutOver, Standing, approve, ask
from tram.rollout.policy import LinkPolicy, Window

from .conductor import conduct
from .province import QUICK, names, new_rollout
from .site import GOOD, STATS, Sites

pytestmark = pytest.mark.slow

REPO = Path(__file__).parents[3]


def states(ledger: Ledger, run: str) -> dict[str, State]:
    return {row.host: row.state for row in ledger.show(run).hosts}


def wave_states(ledger: Ledger, run: str) -> list[str]:
    return [wave.state for wave in ledger.rollouts.waves(run)]


def objections(ledger: Ledger, run: str) -> list[str]:
    return [reason["code"] for wave in ledger.rollouts.waves(run) for reason in wave.objections]


def test_wave_after_wave_every_host_once(ledger: Ledger, sites: Sites) -> None:
    hosts = names(7)
    run = new_rollout(ledger, [hosts[:1], hosts[1:3], hosts[3:]])
    assert conduct(ledger.url, run, sites) is Standing.DONE
    assert set(states(ledger, run).values()) == {State.DONE}
    assert [sites.work(host) for host in hosts] == [1] * 7
    assert sites.started()[0] == hosts[0]
    assert sorted(sites.started()[1:3]) == hosts[1:3]
    assert wave_states(ledger, run) == ["passed"] * 3
    assert ledger.rollouts.get(run).state == "done"
    assert ledger.show(run).run.ended is not None


def test_what_failed_stops_the_wave_and_all_after_it(ledger: Ledger, sites: Sites) -> None:
    hosts = names(6)
    sites.behave(hosts[1], outcome="reverted", reason="no contact after it was applied")
    run = new_rollout(ledger, [hosts[:3], hosts[3:]])
    assert conduct(ledger.url, run, sites) is Standing.STOPPED
    assert wave_states(ledger, run) == ["stopped", "waiting"]
    assert [sites.work(host) for host in hosts[3:]] == [0, 0, 0]
    assert ledger.rollouts.waves(run)[0].objections == (
        {"code": "failed", "host": hosts[1], "reason": "no contact after it was applied"},
    )
    assert conduct(ledger.url, run, sites) is Standing.STOPPED, "taking it up again changes nothing by itself"


def test_within_a_wave_nobody_is_begun_any_more_once_one_failed(ledger: Ledger, sites: Sites) -> None:
    hosts = names(9)
    sites.behave(hosts[0], outcome="failed", reason="disk full")
    run = new_rollout(ledger, [hosts], replace(QUICK, parallel=1))
    assert conduct(ledger.url, run, sites) is Standing.STOPPED
    assert sites.started() == hosts[:1]


def test_a_person_may_let_a_stopped_wave_go_on_and_the_next_failure_stops_again(ledger: Ledger, sites: Sites) -> None:
    hosts = names(4)
    sites.behave(hosts[0], outcome="failed", reason="disk full")
    sites.behave(hosts[2], outcome="failed", reason="disk full too")
    run = new_rollout(ledger, [hosts[:2], hosts[2:]], replace(QUICK, min_reached=0.0))
    assert conduct(ledger.url, run, sites) is Standing.STOPPED
    assert [reason.key for reason in approve(ledger, run, "trực vận hành")] == [f"failed:{hosts[0]}"]
    assert conduct(ledger.url, run, sites) is Standing.STOPPED
    assert wave_states(ledger, run) == ["passed", "stopped"]
    assert [(a.who, a.wave) for a in ledger.rollouts.approved(run)] == [("trực vận hành", 1)]
    approve(ledger, run, "trực vận hành")
    assert conduct(ledger.url, run, sites) is Standing.DONE
    assert [sites.work(host) for host in hosts] == [1] * 4


def test_a_delivery_that_breaks_is_a_failure_with_its_reason(ledger: Ledger, sites: Sites) -> None:
    sites.behave("xa-01-srv1", broken=True)
    run = new_rollout(ledger, [names(1)])
    assert conduct(ledger.url, run, sites) is Standing.STOPPED
    assert ledger.host(run, "xa-01-srv1").reason == "delivery broke: ValueError: the bundle cannot be built"


def test_hosts_not_reached_do_not_stop_a_wave_and_are_picked_up_when_they_answer(ledger: Ledger, sites: Sites) -> None:
    hosts = names(10)
    sites.behave(hosts[0], away=True)
    run = new_rollout(
        ledger,
        [hosts[:5], hosts[5:]],
        replace(QUICK, retry_first=timedelta(minutes=5), retry_most=timedelta(minutes=5)),
    )
    assert conduct(ledger.url, run, sites) is Standing.RESTING
    assert wave_states(ledger, run) == ["passed", "passed"]
    assert states(ledger, run)[hosts[0]] is State.NOT_REACHED
    (carried,) = ledger.carried_over(timedelta(days=1))
    assert carried.host == hosts[0]
    assert not carried.due
    assert conduct(ledger.url, run, sites) is Standing.RESTING, "not before its time"
    assert sites.started().count(hosts[0]) == 1
    sites.behave(hosts[0])
    ledger.finish(run, hosts[0], Outcome.NOT_REACHED, "no answer", next_try=None)  # its time has come
    assert conduct(ledger.url, run, sites) is Standing.DONE
    assert [sites.work(host) for host in hosts] == [1] * 10


def test_who_stays_picks_it_up_by_himself(ledger: Ledger, sites: Sites) -> None:
    hosts = names(5)
    sites.behave(hosts[4], away=True)
    run = new_rollout(ledger, [hosts])

    def mend_after_the_second_try() -> None:
        while sites.started().count(hosts[4]) < 2:
            time.sleep(0.05)
        sites.behave(hosts[4])

    mending = threading.Thread(target=mend_after_the_second_try)
    mending.start()
    assert conduct(ledger.url, run, sites, stay=True) is Standing.DONE
    assert ledger.host(run, hosts[4]).attempts >= 2
    assert sites.work(hosts[4]) == 1
    mending.join()


def test_past_the_age_limit_a_host_not_reached_is_not_tried_again(ledger: Ledger, sites: Sites) -> None:
    hosts = names(5)
    sites.behave(hosts[0], away=True)
    run = new_rollout(ledger, [hosts], replace(QUICK, age_limit=timedelta(seconds=1.5)))
    assert conduct(ledger.url, run, sites, stay=True) is Standing.DONE
    assert states(ledger, run)[hosts[0]] is State.NOT_REACHED


def test_too_few_reached_holds_the_wave(ledger: Ledger, sites: Sites) -> None:
    hosts = names(6)
    for host in hosts[:2]:
        sites.behave(host, away=True)
    run = new_rollout(
        ledger,
        [hosts[:5], hosts[5:]],
        replace(QUICK, retry_first=timedelta(minutes=5), retry_most=timedelta(minutes=5)),
    )
    assert conduct(ledger.url, run, sites) is Standing.HELD
    assert ledger.rollouts.waves(run)[0].objections == (
        {"code": "too_few", "wave": 1, "reached": 3, "total": 5, "needed": 4},
    )
    assert sites.work(hosts[5]) == 0
    approve(ledger, run, "trực vận hành")
    assert conduct(ledger.url, run, sites) is Standing.RESTING
    assert sites.work(hosts[5]) == 1


def test_after_the_last_wave_nothing_waits_for_those_not_reached(ledger: Ledger, sites: Sites) -> None:
    hosts = names(3)
    sites.behave(hosts[2], away=True)
    slowly = replace(QUICK, retry_first=timedelta(minutes=5), retry_most=timedelta(minutes=5))
    run = new_rollout(ledger, [hosts[:2], hosts[2:]], slowly)
    assert conduct(ledger.url, run, sites) is Standing.RESTING
    assert wave_states(ledger, run) == ["passed", "passed"]
    assert objections(ledger, run) == []


def test_who_was_called_in_vain_is_left_to_a_later_resume_however_soon_it_is_due(ledger: Ledger, sites: Sites) -> None:
    hosts = names(6)
    for host in hosts:
        sites.behave(host, away=True)
    at_once = replace(QUICK, retry_first=timedelta(0), retry_most=timedelta(0), min_reached=0.0, parallel=2)
    run = new_rollout(ledger, [hosts], at_once)
    assert conduct(ledger.url, run, sites) is Standing.RESTING
    assert max(row.attempts for row in ledger.show(run).hosts) <= 2


def test_a_host_that_was_pushed_to_is_evidence_for_a_person_only(ledger: Ledger, sites: Sites) -> None:
    hosts = names(2)
    sites.behave(hosts[0], silent=True, reason="pushed: no room for the runtime")
    run = new_rollout(ledger, [hosts[:1], hosts[1:]])
    assert conduct(ledger.url, run, sites) is Standing.HELD
    assert ledger.rollouts.waves(run)[0].objections == (
        {"code": "pushed", "host": hosts[0], "reason": "pushed: no room for the runtime"},
    )
    approve(ledger, run, "trực vận hành")
    assert conduct(ledger.url, run, sites) is Standing.DONE


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ({"silent": True}, "no_evidence"),
        ({"verify": []}, "nothing_verified"),
        ({"verify": [{"role": "mail", "ok": False, "message": "no answer at port 25"}]}, "verify_failed"),
    ],
)
def test_without_evidence_a_wave_is_held(ledger: Ledger, sites: Sites, behaviour: dict[str, object], code: str) -> None:
    hosts = names(2)
    sites.behave(hosts[0], **behaviour)
    run = new_rollout(ledger, [hosts[:1], hosts[1:]])
    assert conduct(ledger.url, run, sites) is Standing.HELD
    assert objections(ledger, run) == [code]
    assert sites.work(hosts[1]) == 0


def test_evidence_that_comes_later_opens_the_gate_by_itself(ledger: Ledger, sites: Sites) -> None:
    hosts = names(2)
    sites.behave(hosts[0], silent=True)
    run = new_rollout(ledger, [hosts[:1], hosts[1:]])
    assert conduct(ledger.url, run, sites) is Standing.HELD
    ledger.record([Event(run, hosts[0], 1, "2026-11-21T19:05:00Z", "result", GOOD)])  # from the stick
    assert conduct(ledger.url, run, sites) is Standing.DONE


@pytest.mark.parametrize(("rescued", "standing"), [(0, Standing.HELD), (1, Standing.DONE)])
def test_failed_tasks_of_a_host_that_says_done_are_asked_after_unless_rescued(
    ledger: Ledger, sites: Sites, rescued: int, standing: Standing
) -> None:
    run = new_rollout(ledger, [names(1)])
    sites.behave("xa-01-srv1", stats={**STATS, "rescued": rescued})
    body = {"task": "mail : reload", "status": "failed", "seconds": 0.1, "message": "no such unit"}
    ledger.record([Event(run, "xa-01-srv1", 2, "2026-11-21T19:05:00Z", "task", body)])
    assert conduct(ledger.url, run, sites) is standing


def test_a_wave_that_needs_a_persons_word_waits_for_it(ledger: Ledger, sites: Sites) -> None:
    hosts = names(2)
    run = new_rollout(ledger, [hosts[:1], hosts[1:]], replace(QUICK, approve=(2,)))
    assert conduct(ledger.url, run, sites) is Standing.HELD
    assert objections(ledger, run) == ["approval"]
    assert [sites.work(host) for host in hosts] == [1, 0]
    assert conduct(ledger.url, run, sites) is Standing.HELD
    assert [reason.key for reason in approve(ledger, run, "trực vận hành")] == ["approval:2"]
    assert conduct(ledger.url, run, sites) is Standing.DONE


def test_a_wave_stands_for_its_soak_time_before_the_next_begins(ledger: Ledger, sites: Sites) -> None:
    hosts = names(2)
    run = new_rollout(ledger, [hosts[:1], hosts[1:]], replace(QUICK, soak=timedelta(seconds=1.5)))
    assert conduct(ledger.url, run, sites) is Standing.DONE
    first, second = ledger.rollouts.waves(run)
    assert first.settled
    assert second.started
    assert second.started - first.settled >= timedelta(seconds=1.4)


def test_outside_its_lines_hours_a_host_waits_and_the_rollout_says_until_when(ledger: Ledger, sites: Sites) -> None:
    hour = time.gmtime(time.time() + 7 * 3600).tm_hour
    closed = Window(f"{(hour + 3) % 24:02}:00", f"{(hour + 5) % 24:02}:00")
    run = new_rollout(ledger, [names(2)], replace(QUICK, links={"adsl": LinkPolicy(hours=closed)}))
    assert conduct(ledger.url, run, sites) is Standing.RESTING
    assert sites.started() == []
    assert wave_states(ledger, run) == ["running"]


def test_paused_it_ends_what_is_under_way_and_begins_nothing(ledger: Ledger, sites: Sites) -> None:
    hosts = names(12)
    run = new_rollout(ledger, [hosts], replace(QUICK, parallel=2))
    found: list[Standing] = []
    slow = Sites(sites.root, 1.2)
    conducting = threading.Thread(target=lambda: found.append(conduct(ledger.url, run, slow)))
    conducting.start()
    sites.wait_started(3)
    assert not ask(ledger, run, Standing.PAUSED)
    conducting.join(timeout=60)
    assert found == [Standing.PAUSED]
    begun = set(sites.started())
    assert 3 <= len(begun) < 12
    assert {host for host, state in states(ledger, run).items() if state is State.DONE} == begun
    assert conduct(ledger.url, run, sites) is Standing.DONE
    assert [sites.work(host) for host in hosts] == [1] * 12


def test_aborted_it_is_over(ledger: Ledger, sites: Sites) -> None:
    run = new_rollout(ledger, [names(3)])
    with pytest.raises(RolloutUnderWay):
        new_rollout(ledger, [names(3)])
    assert ask(ledger, run, Standing.ABORTED)
    with pytest.raises(RolloutOver, match="is aborted"):
        conduct(ledger.url, run, sites)
    assert sites.started() == []
    new_rollout(ledger, [names(3)])


def test_one_conducts_at_a_time(ledger: Ledger, sites: Sites) -> None:
    run = new_rollout(ledger, [names(1)])
    assert ledger.rollouts.take(run, "another-machine:1.2:3:4:5", timedelta(minutes=1))
    with pytest.raises(ConductedElsewhere, match="is conducted by another-machine"):
        conduct(ledger.url, run, sites)
    ledger.rollouts.let_go(run, "another-machine:1.2:3:4:5")
    assert ledger.rollouts.take(run, new_owner(), timedelta(minutes=1))


@pytest.mark.parametrize("begun", [1, 4, 7])
def test_killed_in_mid_wave_and_taken_up_again_every_host_is_done_exactly_once(
    ledger: Ledger, tmp_path: Path, sites: Sites, begun: int
) -> None:
    hosts = names(12)
    slow = Sites(sites.root, 1.2)
    run = new_rollout(ledger, [hosts[:2], hosts[2:]])
    argv = [sys.executable, "-m", "tests.unit.rollout.conductor", ledger.url, run, str(slow.root), str(slow.seconds)]
    controller = subprocess.Popen(argv, cwd=REPO, stdout=subprocess.DEVNULL)
    slow.wait_started(begun)
    os.kill(controller.pid, signal.SIGKILL)
    controller.wait()
    left = [host for host, state in states(ledger, run).items() if state is not State.DONE]
    assert left
    assert ledger.rollouts.get(run).state == "running"
    assert conduct(ledger.url, run, slow) is Standing.DONE
    assert set(states(ledger, run).values()) == {State.DONE}
    assert [slow.work(host) for host in hosts] == [1] * 12
    assert len(ledger.events(run)) == 12


def test_interrupted_at_the_keyboard_it_ends_what_is_under_way_and_stands_paused(ledger: Ledger, sites: Sites) -> None:
    hosts = names(12)
    slow = Sites(sites.root, 1.2)
    run = new_rollout(ledger, [hosts])
    argv = [sys.executable, "-m", "tests.unit.rollout.conductor", ledger.url, run, str(slow.root), str(slow.seconds)]
    controller = subprocess.Popen(argv, cwd=REPO, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    slow.wait_started(3)
    controller.send_signal(signal.SIGINT)
    controller.wait(timeout=60)
    begun = set(slow.started())
    assert {host for host, state in states(ledger, run).items() if state is State.DONE} == begun
    assert len(begun) < 12
    assert ledger.rollouts.get(run).state == "paused"
    assert ledger.rollouts.get(run).controller is None
    assert conduct(ledger.url, run, slow) is Standing.DONE
    assert [slow.work(host) for host in hosts] == [1] * 12
