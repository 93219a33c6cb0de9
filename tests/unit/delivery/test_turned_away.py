"""What a host refuses, and what is not even sent: each with its reason, and nothing changed."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from tram.delivery.line import PipeCarrier
from tram.delivery.policy import Hours
from tram.ledger import Outcome

from .bench import IMPATIENT, Bench

pytestmark = pytest.mark.slow


def test_an_order_with_a_foreign_signature_is_refused(bench: Bench) -> None:
    signers = bench.root / "allowed_signers"
    key = signers.read_text().split()[-1]
    signers.write_text(signers.read_text().replace(key, key[:-6] + "AAAAAA"))
    found = bench.deliver(bench.job(), bench.content())
    assert found.ended.outcome is Outcome.FAILED
    assert found.ended.reason.startswith("refused (signature): the order is not signed by centre@lab")
    assert not bench.witness.exists()


def test_another_host_at_that_address_is_sent_nothing(bench: Bench) -> None:
    bench.configure(host="so-noi-vu-srv1", site="so-noi-vu")
    found = bench.deliver(bench.job(), bench.content())
    assert found.ended.outcome is Outcome.FAILED
    assert "who answers there is lab/so-noi-vu/so-noi-vu-srv1" in found.ended.reason
    assert found.sent == 0


def test_a_host_without_the_runtime_says_which_it_has(bench: Bench) -> None:
    found = bench.deliver(bench.job(), bench.content(), runtime="fedcba9876543210")
    assert found.ended.outcome is Outcome.FAILED
    assert "has runtime 0123456789abcdef, not fedcba9876543210" in found.ended.reason
    assert "tram deliver --install" in found.ended.reason


def test_a_runner_that_cannot_work_says_why(bench: Bench) -> None:
    (bench.root / "config.json").write_text("{}")
    found = bench.deliver(bench.job(), bench.content())
    assert found.ended.outcome is not Outcome.DONE
    assert "config.json" in found.ended.reason


def test_something_else_that_answers_is_not_taken_for_a_host(bench: Bench) -> None:
    carrier = PipeCarrier([sys.executable, "-c", "print('SSH-2.0 hello, I am a router')"])
    found = bench.deliver(bench.job(), bench.content(), carrier)
    assert found.ended.outcome is Outcome.NOT_REACHED
    assert "announces a message of" in found.ended.reason


def test_outside_the_lines_hours_nothing_is_sent_and_it_is_said_when(bench: Bench) -> None:
    here = datetime.now(UTC).astimezone(Hours(time(0), time(0)).zone)
    since = (here + timedelta(hours=2)).time().replace(second=0, microsecond=0)
    until = (here + timedelta(hours=3)).time().replace(second=0, microsecond=0)
    policy = replace(IMPATIENT, hours=Hours(since, until))
    found = bench.deliver(bench.job(), bench.content(), policy=policy)
    assert found.ended.outcome is Outcome.NOT_REACHED
    assert found.contacts == 0
    assert found.ended.next_try is not None
    assert timedelta(minutes=118) < found.ended.next_try - datetime.now(UTC) <= timedelta(hours=2)
    assert bench.deliver(bench.job(), bench.content(), policy=policy, now_anyway=True).ended.outcome is Outcome.DONE


def test_more_than_the_lines_cap_is_held_before_the_first_byte_of_it(bench: Bench) -> None:
    policy = replace(IMPATIENT, cap_bytes=50_000)
    found = bench.deliver(bench.job(), bench.content(ballast=60_000), policy=policy)
    assert found.ended.outcome is Outcome.NOT_REACHED
    assert "the line of huong-khe allows 50000 a run (carry it on a stick: tram courier pack" in found.ended.reason
    assert found.sent == 0
    assert bench.deliver(bench.job(), bench.content(ballast=40_000), policy=policy).ended.outcome is Outcome.DONE
