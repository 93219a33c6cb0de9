"""The order of a take-over, over a real ssh connection to a simulated host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import paramiko
import pytest

from tram.act.bootstrap import Entry, bootstrap, bootstrap_host
from tram.act.connect import FirstContact
from tram.act.key import CentreKey
from tram.act.outcome import Outcome
from tram.act.pins import Pins
from tram.act.target import Target

Simulate = Callable[..., Any]
Aim = Callable[..., Target]

NEW = FirstContact(accept_new=True)


def test_a_bare_host_becomes_managed_with_roots_password(simulate: Simulate, aim: Aim, centre_key: CentreKey) -> None:
    host = simulate()
    result = bootstrap_host(aim(host.port), Entry(password=host.password, agent=False, first=NEW), centre_key)
    assert result.problem is None
    assert (result.outcome, result.changes) == (Outcome.DONE, ("identity", "account", "sudo", "key"))
    assert result.fingerprint == host.keys[0].fingerprint
    assert host.logins == ["root", "tram"], "the end is proved by coming back as the operator"
    assert host.commands[-1].startswith("sudo -n true")
    assert Pins(aim(host.port).pins).of(aim(host.port)) == [host.keys[0]] * 2, "pinned by name and by address"


def test_the_second_run_needs_no_password_and_has_nothing_to_do(
    simulate: Simulate, aim: Aim, centre_key: CentreKey
) -> None:
    host = simulate()
    bootstrap_host(aim(host.port), Entry(password=host.password, agent=False, first=NEW), centre_key)
    pinned, logins = aim(host.port).pins.read_text(), len(host.logins)
    again = bootstrap_host(aim(host.port), Entry(agent=False), centre_key)
    assert (again.outcome, again.changes, again.problem) == (Outcome.DONE, (), None)
    assert host.logins[logins:] == ["tram"], "root is not needed any more"
    assert aim(host.port).pins.read_text() == pinned


def test_a_dry_run_says_what_would_change_and_changes_nothing(
    simulate: Simulate, aim: Aim, centre_key: CentreKey
) -> None:
    host = simulate()
    result = bootstrap_host(
        aim(host.port), Entry(password=host.password, agent=False, first=NEW, dry_run=True), centre_key
    )
    assert result.changes == ("identity", "account", "sudo", "key")
    assert host.operator is None
    assert not aim(host.port).pins.exists()


def test_the_fingerprint_of_any_of_the_hosts_keys_vouches_for_it(
    simulate: Simulate, aim: Aim, centre_key: CentreKey
) -> None:
    host = simulate()
    rsa = paramiko.RSAKey.generate(2048)
    both = simulate(host.keys[0], rsa)
    first = FirstContact(fingerprint=rsa.fingerprint)
    result = bootstrap_host(aim(both.port), Entry(password=both.password, agent=False, first=first), centre_key)
    assert (result.problem, result.fingerprint) == (None, rsa.fingerprint)
    assert {key.get_name() for key in Pins(aim(both.port).pins).of(aim(both.port))} == {"ssh-rsa"}


def test_an_operator_without_sudo_is_healed_as_root(simulate: Simulate, aim: Aim, centre_key: CentreKey) -> None:
    host = simulate()
    host.operator = ("tram", centre_key.key.get_base64())
    host.operator_sudo = False
    result = bootstrap_host(aim(host.port), Entry(password=host.password, agent=False, first=NEW), centre_key)
    assert host.logins[:2] == ["tram", "root"]
    assert result.outcome is Outcome.FAILED, "the simulated host stays without sudo, and the proof sees it"
    assert "sudo: a password is required" in str(result.problem)


def test_a_host_behind_a_proxy_command_is_reached_through_it(
    simulate: Simulate, aim: Aim, centre_key: CentreKey
) -> None:
    host = simulate()
    target = aim(port=22, proxy=f"nc 127.0.0.1 {host.port}")
    result = bootstrap_host(target, Entry(password=host.password, agent=False, first=NEW), centre_key)
    assert (result.outcome, result.problem) == (Outcome.DONE, None)


@pytest.mark.parametrize(("broken", "outcome"), [(1, Outcome.DONE), (2, Outcome.NOT_REACHED)])
def test_a_greeting_that_breaks_is_tried_a_second_time(
    simulate: Simulate, aim: Aim, centre_key: CentreKey, broken: int, outcome: Outcome
) -> None:
    host = simulate()
    host.broken_greetings = broken
    result = bootstrap_host(aim(host.port), Entry(password=host.password, agent=False, first=NEW), centre_key)
    assert result.outcome is outcome


@pytest.mark.parametrize("parallel", [1, 4])
def test_one_hosts_trouble_does_not_stop_the_others(
    simulate: Simulate, aim: Aim, centre_key: CentreKey, parallel: int
) -> None:
    good, dead, wrong = simulate(), simulate(), simulate()
    dead.close()
    wrong.password = "another"
    everyone = [aim(host.port, name) for name, host in {"a-srv1": good, "b-srv1": dead, "c-srv1": wrong}.items()]
    ended: list[str] = []
    results = bootstrap(
        everyone,
        Entry(password=good.password, agent=False, first=NEW),
        centre_key,
        parallel=parallel,
        ended=lambda result: ended.append(result.name),
    )
    assert [(result.name, result.outcome) for result in results] == [
        ("a-srv1", Outcome.DONE),
        ("b-srv1", Outcome.NOT_REACHED),
        ("c-srv1", Outcome.FAILED),
    ]
    assert sorted(ended) == ["a-srv1", "b-srv1", "c-srv1"]
