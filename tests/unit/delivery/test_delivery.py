"""One run to one host, against the real runner: whatever breaks, everything is done and told once."""

from __future__ import annotations

import random
import sys
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from tram.bundle import File
from tram.delivery.line import PipeCarrier
from tram.ledger import Ledger, Outcome

from .bench import HOST, IMPATIENT, Bench, Cut

pytestmark = pytest.mark.slow


def test_a_run_is_carried_out_and_told(bench: Bench) -> None:
    job = bench.job()
    found = bench.deliver(job, bench.content())
    assert (found.ended.outcome, found.ended.reason, found.contacts) == (Outcome.DONE, "", 1)
    assert bench.witness.read_text() == "x"
    assert bench.numbers(job) == list(range(1, len(bench.numbers(job)) + 1))
    assert bench.ledger.events(job.run, HOST)[-1].kind == "result"


def test_an_unchanged_host_is_sent_the_order_alone(bench: Bench) -> None:
    given = bench.content(ballast=100_000)
    first = bench.deliver(bench.job(), given)
    second = bench.deliver(bench.job(), given)
    assert first.sent > 100_000
    assert second.sent < 1500
    assert bench.witness.read_text() == "xx"


def test_only_what_changed_travels(bench: Bench) -> None:
    ballast = File(random.Random(1).randbytes(100_000))
    bench.deliver(bench.job(), bench.content(also={"ballast": ballast}))
    found = bench.deliver(bench.job(), bench.content({"sleep": 0}, also={"ballast": ballast}))
    assert found.ended.outcome is Outcome.DONE
    assert found.sent < 2000


def test_a_failing_task_is_failed_with_its_message(bench: Bench) -> None:
    found = bench.deliver(bench.job(), bench.content({"fail": "no room for mail", "name": "mail : Queue"}))
    assert found.ended.outcome is Outcome.FAILED
    assert "no room for mail" in found.ended.reason


def cuts_of_a_whole_conversation(bench: Bench) -> list[Cut]:
    """Every border between two messages of the centre's, bytes beside it, and random bytes of both directions."""
    job = bench.job()
    assert bench.deliver(job, bench.content(ballast=30_000)).ended.outcome is Outcome.DONE
    line = bench.opened[-1]
    chance = random.Random(20261121)
    borders = sorted({at + beside for at in (0, *line.borders) for beside in (0, 1)})  # type: ignore[attr-defined]
    cuts = [Cut(sent=at, hard=chance.random() < 0.5) for at in borders if at <= line.sent]
    cuts += [Cut(sent=chance.randrange(line.sent), hard=chance.random() < 0.5) for _ in range(6)]
    cuts += [Cut(received=chance.randrange(line.received), hard=chance.random() < 0.5) for _ in range(10)]
    return cuts


def test_wherever_the_line_is_cut_the_run_is_done_once_and_told_once(bench: Bench) -> None:
    cuts = cuts_of_a_whole_conversation(bench)
    assert len(cuts) > 20
    for count, cut in enumerate(cuts, 2):
        job, opened = bench.job(), len(bench.opened)
        found = bench.deliver(job, bench.content(ballast=30_000), bench.carrier(cut))
        assert (cut, found.ended.outcome, found.ended.reason) == (cut, Outcome.DONE, "")
        assert (cut, bench.witness.read_text()) == (cut, "x" * count)
        assert bench.numbers(job) == list(range(1, len(bench.numbers(job)) + 1)), cut
        assert len(bench.opened) > opened + 1 or cut.sent is None or cut.sent >= bench.opened[-1].sent, cut


def test_an_upload_goes_on_where_it_stopped(bench: Bench) -> None:
    given = bench.content(ballast=400_000)
    cuts = [Cut(sent=at) for at in (150_000, 120_000, 90_000)]
    found = bench.deliver(bench.job(), given, bench.carrier(*cuts))
    assert found.ended.outcome is Outcome.DONE
    assert found.contacts == 4
    # Three more orders, and what was in the pipe when it broke.
    assert 400_000 < found.sent < 400_000 + 3 * (65_536 + 2000) + 4000


def test_a_controller_that_forgot_everything_sends_nothing_twice(bench: Bench) -> None:
    job = bench.job()
    bench.deliver(job, bench.content(ballast=20_000), wait=False)
    bench.wait(bench.witness.exists)
    bench.ledger = Ledger(f"sqlite:///{bench.base / 'another.db'}")
    again = bench.job(job.run)
    found = bench.deliver(again, bench.content(ballast=20_000))
    assert found.ended.outcome is Outcome.DONE
    assert found.sent < 1000
    assert bench.witness.read_text() == "x"
    assert bench.numbers(again)[0] == 1


def test_two_controllers_at_once_do_it_once(bench: Bench) -> None:
    job, given = bench.job(), bench.content({"sleep": 1})
    results: list[Outcome] = []

    def one() -> None:
        results.append(bench.deliver(job, given).ended.outcome)

    both = [threading.Thread(target=one) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert results == [Outcome.DONE, Outcome.DONE]
    assert bench.witness.read_text() == "x"
    assert bench.numbers(job) == list(range(1, len(bench.numbers(job)) + 1))


def test_an_earlier_run_that_was_not_heard_is_heard_at_the_next_contact(bench: Bench) -> None:
    first = bench.job()
    unheard = bench.deliver(first, bench.content(), wait=False)
    assert unheard.unheard
    assert unheard.ended.outcome is Outcome.NOT_REACHED
    result = bench.root / "runs" / first.run / "result.json"
    bench.wait(result.exists)
    bench.idle()
    bench.deliver(bench.job(), bench.content())
    assert bench.ledger.outcome(first.run, HOST) is Outcome.DONE


def test_a_host_that_lost_what_it_had_is_sent_everything(bench: Bench) -> None:
    given = bench.content(ballast=20_000)
    bench.deliver(bench.job(), given)
    bench.idle()
    for path in (bench.root / "objects").glob("*/*"):
        path.unlink()
    found = bench.deliver(bench.job(), given)
    assert found.ended.outcome is Outcome.DONE
    assert found.sent > 20_000


def test_a_host_that_never_answers_is_not_reached(bench: Bench) -> None:
    found = bench.deliver(bench.job(), bench.content(), PipeCarrier([sys.executable, "-c", ""]))
    assert found.ended.outcome is Outcome.NOT_REACHED
    assert not found.unheard
    assert found.ended.reason.startswith("nothing went forward for")
    assert not bench.witness.exists()


def test_a_host_that_accepted_and_fell_silent_is_unheard_and_sent_nothing_again(bench: Bench) -> None:
    job, given = bench.job(), bench.content({"sleep": 2})
    silent = [Cut(sent=0)] * 500
    policy = replace(IMPATIENT, stall=timedelta(milliseconds=300), reach=timedelta(milliseconds=300))
    found = bench.deliver(job, given, bench.carrier(Cut(received=1200), *silent), policy=policy)
    assert (found.ended.outcome, found.unheard) == (Outcome.NOT_REACHED, True)
    assert "result was not heard yet" in found.ended.reason
    later = bench.deliver(job, given)
    assert later.ended.outcome is Outcome.DONE
    assert later.sent < 600
    assert bench.witness.read_text() == "x"


def test_a_change_that_could_cut_the_host_off_is_confirmed_by_a_new_connection(bench: Bench) -> None:
    sshd = {"write": str(bench.system / "etc/ssh/sshd_config"), "text": "Port 2222\n"}
    job = bench.job()
    found = bench.deliver(job, bench.content(sshd))
    assert (found.ended.outcome, found.ended.reason, found.contacts) == (Outcome.DONE, "", 2)
    assert "confirming" in [event.body.get("state") for event in bench.ledger.events(job.run, HOST)]


@pytest.mark.parametrize("where", [300, 700, 1500])
def test_a_line_cut_while_the_host_waits_for_confirmation_does_not_undo_the_change(bench: Bench, where: int) -> None:
    sshd = {"write": str(bench.system / "etc/ssh/sshd_config"), "text": "Port 2222\n"}
    found = bench.deliver(bench.job(), bench.content(sshd), bench.carrier(Cut(received=where), Cut(sent=10)))
    assert found.ended.outcome is Outcome.DONE
    assert (bench.system / "etc/ssh/sshd_config").read_text() == "Port 2222\n"
