"""What the ledger promises, on both databases."""

from __future__ import annotations

import itertools
import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tram.core.events import BadEvent
from tram.ledger import Ledger, OtherProvince, Outcome, State, UnknownRun, new_run_id

from .hand import RUN, START, Hand, event, result

pytestmark = pytest.mark.slow

FAR = "huong-khe-srv1"
LATER_RUN = "20261122T010000Z-000001"


def test_a_run_is_written_down_before_anything_is_sent_and_only_once(hand: Hand) -> None:
    hand.ledger.heard(RUN, FAR, bytes_down=700)
    hand.begin(RUN)
    shown = hand.ledger.show(RUN)
    assert [host.host for host in shown.hosts] == ["huong-khe-srv1", "so-noi-vu-srv1", "trung-tam-hub1"]
    assert shown.run.counts == {State.WAITING: 3}
    assert (shown.run.started, shown.run.ended) == (START, None)
    assert hand.ledger.host(RUN, FAR).bytes_down == 700


def test_an_event_is_inserted_once_however_often_it_comes(hand: Hand) -> None:
    assert hand.ledger.record([event(1), event(2)]) == 2
    assert hand.ledger.record([event(1), event(2), event(3), event(3)]) == 1
    assert hand.ledger.record([]) == 0
    assert [e.seq for e in hand.ledger.events(RUN, FAR)] == [1, 2, 3]


def test_what_is_read_back_is_what_the_site_told(hand: Hand) -> None:
    told = event(1, task="Cài đặt máy chủ thư", status="changed", seconds=1.5, item={"tên": ["a", None, True]})
    hand.ledger.record([told])
    assert hand.ledger.events(RUN) == [told]


def test_the_same_number_told_again_with_other_words_changes_nothing(hand: Hand) -> None:
    hand.ledger.record([event(1, task="as it was")])
    assert hand.ledger.record([event(1, task="otherwise")]) == 0
    assert hand.ledger.events(RUN)[0].body == {"task": "as it was"}


def test_a_thousand_events_out_of_order_and_twice_are_a_thousand_in_order(hand: Hand) -> None:
    told = [event(seq) for seq in range(1, 1001)] * 2
    random.Random(7).shuffle(told)
    counted = sum(hand.ledger.record(told[start : start + 700]) for start in range(0, 2000, 700))
    assert counted == 1000
    assert [e.seq for e in hand.ledger.events(RUN, FAR)] == list(range(1, 1001))
    assert hand.ledger.next_seq(RUN, FAR) == 1001


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(st.integers(1, 12), max_size=20), st.integers(0, 10**9))
def test_the_next_number_to_ask_for_is_the_first_that_is_missing(hand: Hand, seqs: list[int], salt: int) -> None:
    run = f"20261121T190500Z-{salt:06x}{next(COUNTER)}"
    hand.begin(run)
    hand.ledger.record([event(seq, run=run) for seq in seqs])
    assert hand.ledger.next_seq(run, FAR) == next(n for n in itertools.count(1) if n not in seqs)


COUNTER = itertools.count()


def test_events_of_a_run_nobody_here_began_are_kept(hand: Hand) -> None:
    assert hand.ledger.record([result(5, run=LATER_RUN)]) == 1
    assert hand.ledger.show(LATER_RUN).run.kind == "found"
    assert hand.ledger.outcome(LATER_RUN, FAR) is Outcome.DONE


def test_a_site_speaks_for_itself_only(hand: Hand) -> None:
    with pytest.raises(BadEvent, match="huong-khe-srv1 sent an event of trung-tam-hub1"):
        hand.ledger.record([event(1), event(1, host="trung-tam-hub1")], source=FAR)
    assert hand.ledger.events(RUN) == []


def test_a_result_that_says_nothing_known_is_refused_whole(hand: Hand) -> None:
    with pytest.raises(BadEvent, match="neither of done, failed, reverted, refused"):
        hand.ledger.record([event(1), result(2, "perhaps")])
    assert hand.ledger.events(RUN) == []


@pytest.mark.parametrize(
    ("said", "state", "public"),
    [
        ("done", State.DONE, Outcome.DONE),
        ("failed", State.FAILED, Outcome.FAILED),
        ("reverted", State.REVERTED, Outcome.FAILED),
        ("refused", State.REFUSED, Outcome.FAILED),
    ],
)
def test_whatever_a_site_says_the_public_hears_one_of_three_words(
    hand: Hand, said: str, state: State, public: Outcome
) -> None:
    hand.ledger.record([result(1, said, reason="because")])
    host = hand.ledger.host(RUN, FAR)
    assert (host.state, host.outcome) == (state, public)
    assert host.reason == ("" if public is Outcome.DONE else "because")


def test_what_the_site_said_stands_over_the_centres_word(hand: Hand) -> None:
    assert hand.ledger.finish(RUN, FAR, Outcome.NOT_REACHED, "no answer")
    hand.ledger.record([result(9)])
    assert hand.ledger.outcome(RUN, FAR) is Outcome.DONE
    assert not hand.ledger.finish(RUN, FAR, Outcome.NOT_REACHED, "no answer")
    assert hand.ledger.finish(RUN, FAR, Outcome.DONE)
    assert (hand.ledger.host(RUN, FAR).state, hand.ledger.host(RUN, FAR).reason) == (State.DONE, "")


def test_progress_adds_bytes_and_knows_when_the_site_was_last_heard(hand: Hand) -> None:
    hand.ledger.heard(RUN, FAR, bytes_total=1000, bytes_down=100, contact=False)
    assert hand.ledger.host(RUN, FAR).last_heard is None
    hand.later(timedelta(seconds=3))
    hand.ledger.heard(RUN, FAR, bytes_down=150, bytes_up=30, task="Postfix", tasks_done=3, tasks_total=59)
    host = hand.ledger.host(RUN, FAR)
    assert (host.bytes_down, host.bytes_up, host.percent) == (250, 30, 25)
    assert (host.task, host.tasks_done, host.tasks_total, host.last_heard) == ("Postfix", 3, 59, hand.now)


def test_a_late_old_event_does_not_turn_the_picture_back(hand: Hand) -> None:
    hand.ledger.record([event(4, "state", state="verifying")])
    hand.ledger.record([event(2, "state", state="snapshot")])
    assert hand.ledger.host(RUN, FAR).site_state == "verifying"


def test_a_run_ends_with_its_last_host_and_opens_when_one_is_taken_up_again(hand: Hand) -> None:
    hand.ledger.finish(RUN, "trung-tam-hub1", Outcome.DONE)
    hand.ledger.finish(RUN, "so-noi-vu-srv1", Outcome.FAILED, "disk full")
    assert hand.ledger.show(RUN).run.ended is None
    hand.ledger.finish(RUN, FAR, Outcome.NOT_REACHED, "no answer")
    assert hand.ledger.show(RUN).run.ended == START
    hand.ledger.lease(RUN, FAR, "me", timedelta(minutes=1))
    assert hand.ledger.show(RUN).run.ended is None


def test_serial_numbers_of_a_host_only_grow(hand: Hand) -> None:
    assert [hand.ledger.assign(FAR) for _ in range(3)] == [1, 2, 3]
    assert hand.ledger.assign("trung-tam-hub1") == 1
    assert hand.ledger.assign(FAR, above=40) == 41
    assert hand.ledger.assign(FAR, above=7, run=RUN) == 42
    assert hand.ledger.host(RUN, FAR).serial == 42
    assert hand.ledger.assign("nobody-yet", above=5) == 6


def test_two_hundred_serial_numbers_asked_for_at_once_are_all_different(hand: Hand) -> None:
    with ThreadPoolExecutor(8) as pool:
        given_out = list(pool.map(lambda _: hand.ledger.assign(FAR), range(200)))
    assert sorted(given_out) == list(range(1, 201))


def test_eight_readers_of_one_stick_insert_each_event_once(hand: Hand) -> None:
    told = [event(seq) for seq in range(1, 201)] + [result(201)]
    with ThreadPoolExecutor(8) as pool:
        counted = sum(pool.map(lambda _: hand.ledger.record(told), range(8)))
    assert counted == 201
    assert hand.ledger.outcome(RUN, FAR) is Outcome.DONE


def test_a_host_not_reached_is_carried_over_until_its_age_limit(hand: Hand) -> None:
    limit = timedelta(days=14)
    hand.ledger.lease(RUN, FAR, "me", timedelta(minutes=1))
    hand.ledger.finish(RUN, FAR, Outcome.NOT_REACHED, "no answer", next_try=START + timedelta(hours=2))
    (carried,) = hand.ledger.carried_over(limit)
    assert (carried.host, carried.site, carried.playbook) == (FAR, "huong-khe", "playbooks/mail.yml")
    assert (carried.attempts, carried.reason, carried.due, carried.too_old) == (1, "no answer", False, False)
    hand.later(timedelta(hours=3))
    assert hand.ledger.carried_over(limit)[0].due
    hand.later(timedelta(days=14))
    assert hand.ledger.carried_over(limit)[0].too_old


def test_a_newer_run_of_the_same_playbook_takes_the_place_of_what_was_carried(hand: Hand) -> None:
    hand.ledger.finish(RUN, FAR, Outcome.NOT_REACHED)
    hand.later(timedelta(hours=1))
    hand.begin("20261121T200000Z-aaaaaa", playbook="playbooks/base.yml")
    assert [carried.run for carried in hand.ledger.carried_over(timedelta(days=1))] == [RUN]
    hand.begin(LATER_RUN)
    assert hand.ledger.carried_over(timedelta(days=1)) == []
    hand.ledger.finish(LATER_RUN, FAR, Outcome.NOT_REACHED)
    assert [carried.run for carried in hand.ledger.carried_over(timedelta(days=1))] == [LATER_RUN]
    assert hand.ledger.carried_over(timedelta(days=1), run=RUN) == []


def test_the_last_time_a_host_was_tried_is_known(hand: Hand) -> None:
    assert hand.ledger.last(FAR) is None
    hand.ledger.lease(RUN, FAR, "me", timedelta(minutes=1))
    hand.ledger.heard(RUN, FAR, bytes_down=21_000)
    hand.later(timedelta(hours=1))
    hand.begin(LATER_RUN)
    found = hand.ledger.last(FAR, playbook="playbooks/mail.yml")
    assert found is not None
    assert (found.run, found.bytes_down) == (RUN, 21_000)
    assert hand.ledger.last(FAR, playbook="playbooks/base.yml") is None


def test_runs_come_newest_first_and_an_unknown_one_is_said_so(hand: Hand) -> None:
    hand.later(timedelta(hours=1))
    hand.begin(LATER_RUN, playbook="playbooks/base.yml")
    assert [run.run for run in hand.ledger.runs()] == [LATER_RUN, RUN]
    assert [run.run for run in hand.ledger.runs(playbook="playbooks/mail.yml")] == [RUN]
    assert [run.run for run in hand.ledger.runs(limit=1)] == [LATER_RUN]
    with pytest.raises(UnknownRun, match="no run nothing in the ledger"):
        hand.ledger.show("nothing")
    with pytest.raises(UnknownRun, match="no host nobody in a run"):
        hand.ledger.finish(RUN, "nobody", Outcome.DONE)


def test_a_ledger_belongs_to_one_province(hand: Hand) -> None:
    hand.ledger.belong("lab")
    hand.ledger.belong("lab")
    with pytest.raises(OtherProvince, match='is of province "lab", not of "ha-tinh"'):
        hand.ledger.belong("ha-tinh")


def test_a_ledger_travels_to_another_process_as_its_address(hand: Hand) -> None:
    hand.ledger.record([event(1)])
    there: Ledger = pickle.loads(pickle.dumps(hand.ledger))
    assert there.record([event(1), event(2)]) == 1
    there.close()


def test_a_name_for_a_run_sorts_by_time() -> None:
    assert new_run_id(START).startswith("20261121T190500Z-")
    assert len(new_run_id(START)) == len(RUN)
    assert new_run_id(START) != new_run_id(START)
