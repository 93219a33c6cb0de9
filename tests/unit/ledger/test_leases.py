"""Two controllers never work on one host of a run at once, and nothing that is final is done again."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tram.ledger import Outcome, State, UnknownRun, is_gone, new_owner
from tram.ledger.ledger import Ledger

from .hand import RUN, START, TTL, Hand, event, result

pytestmark = pytest.mark.slow

FAR = "huong-khe-srv1"

TAKER = """
import sys
from datetime import timedelta
from tram.ledger import Ledger, new_owner
owner = new_owner()
lease = Ledger(sys.argv[1]).lease(sys.argv[2], sys.argv[3], owner, timedelta(days=1))
print(owner if lease else "", flush=True)
if sys.argv[4] == "wait":
    sys.stdin.read()
"""


def taker(url: str, then: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", TAKER, url, RUN, FAR, then]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_of_eight_who_reach_for_a_host_at_once_one_has_it(hand: Hand) -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda n: hand.ledger.lease(RUN, FAR, f"controller {n}", TTL), range(8)))
    assert sum(lease is not None for lease in taken) == 1
    host = hand.ledger.host(RUN, FAR)
    assert (host.state, host.attempts, host.started) == (State.RUNNING, 1, START)


def test_processes_that_reach_for_a_host_at_once_do_not_share_it(hand: Hand) -> None:
    takers = [taker(hand.url, "wait") for _ in range(4)]
    owners = [process.stdout.readline().strip() for process in takers if process.stdout]
    for process in takers:
        process.communicate()
    assert sum(bool(owner) for owner in owners) == 1


def test_an_owner_taken_from_life_loses_the_host_at_once(hand: Hand) -> None:
    with taker(hand.url, "wait") as process:
        assert process.stdout is not None
        owner = process.stdout.readline().strip()
        assert not is_gone(owner)
        assert hand.ledger.lease(RUN, FAR, new_owner(), TTL) is None
        process.kill()
        process.wait()
        assert is_gone(owner)
    taken = hand.ledger.lease(RUN, FAR, new_owner(), TTL)
    assert taken is not None
    assert taken.attempt == 2


@pytest.mark.parametrize("owner", ["another-machine:1234.5:1:1:aa", "not even an owner", "a:b:c:d:e", "", "oneself"])
def test_an_owner_of_whom_nothing_is_known_counts_as_living(owner: str) -> None:
    assert not is_gone(owner)


def test_a_lease_that_ran_out_is_anybodys(hand: Hand) -> None:
    assert hand.ledger.lease(RUN, FAR, "far away", TTL)
    hand.later(TTL - timedelta(seconds=1))
    assert hand.ledger.lease(RUN, FAR, "me", TTL) is None
    hand.later(timedelta(seconds=1))
    assert hand.ledger.lease(RUN, FAR, "me", TTL)


def test_a_lease_is_kept_by_renewing_it(hand: Hand) -> None:
    lease = hand.ledger.lease(RUN, FAR, "far away", TTL)
    assert lease
    hand.later(TTL * 0.9)
    assert hand.ledger.renew(lease, TTL)
    hand.later(TTL * 0.9)
    assert hand.ledger.lease(RUN, FAR, "me", TTL) is None


def test_who_lost_his_lease_is_not_heard_any_more(hand: Hand) -> None:
    lost = hand.ledger.lease(RUN, FAR, "slow", TTL)
    assert lost
    hand.later(TTL)
    mine = hand.ledger.lease(RUN, FAR, "me", TTL)
    assert mine
    assert not hand.ledger.renew(lost, TTL)
    assert not hand.ledger.finish(RUN, FAR, Outcome.FAILED, "too late", lease=lost)
    hand.ledger.release(lost)
    assert hand.ledger.host(RUN, FAR).lease_owner == "me"
    assert hand.ledger.finish(RUN, FAR, Outcome.DONE, lease=mine)
    assert hand.ledger.host(RUN, FAR).lease_owner is None


def test_a_final_host_is_given_to_nobody(hand: Hand) -> None:
    hand.ledger.record([result(1, "reverted", reason="no contact after it was applied")])
    assert hand.ledger.lease(RUN, FAR, "me", TTL) is None


def test_a_host_not_reached_may_be_taken_again(hand: Hand) -> None:
    hand.ledger.finish(RUN, FAR, Outcome.NOT_REACHED, "no answer")
    lease = hand.ledger.lease(RUN, FAR, "me", TTL)
    assert lease
    host = hand.ledger.host(RUN, FAR)
    assert (host.state, host.reason, host.next_try, host.outcome) == (State.RUNNING, "", None, None)


def test_a_host_given_back_waits_and_one_that_ended_meanwhile_does_not(hand: Hand) -> None:
    lease = hand.ledger.lease(RUN, FAR, "me", TTL)
    assert lease
    hand.ledger.release(lease)
    assert hand.ledger.host(RUN, FAR).state is State.WAITING
    lease = hand.ledger.lease(RUN, FAR, "me", TTL)
    assert lease
    hand.ledger.record([event(1), result(2)])
    hand.ledger.release(lease)
    assert hand.ledger.host(RUN, FAR).state is State.DONE


def test_a_host_of_no_run_cannot_be_taken(hand: Hand) -> None:
    with pytest.raises(UnknownRun):
        hand.ledger.lease("no-run", FAR, "me", TTL)


def test_by_the_real_clock_too_a_lease_ends(url: str) -> None:
    ledger = Ledger(url)
    ledger.begin(RUN, province="lab", playbook="p", hosts=[(FAR, "huong-khe")])
    assert ledger.lease(RUN, FAR, "one", timedelta(0))
    assert ledger.lease(RUN, FAR, "two", TTL)
    assert ledger.lease(RUN, FAR, "three", TTL) is None
    ledger.close()
