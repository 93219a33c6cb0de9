"""A change goes through the province in waves, on evidence: nothing is done twice, what fails stops it, who is silent
is not forgotten."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tram.lab.lab import Lab
from tram.ledger import State

from .rollout.office import FAR, HOSTS, HUB, PILOT, STACK, Office, wait

pytestmark = [pytest.mark.lab, pytest.mark.apart]


@pytest.fixture
def office(managed: Lab, tmp_path: Path) -> Iterator[Office]:
    """An office, and lines that are whole again afterwards."""
    found = Office.open(managed, tmp_path)
    yield found
    found.close()
    managed.mend("huong-khe")
    print((tmp_path / "beside.log").read_text() if (tmp_path / "beside.log").exists() else "")


@pytest.fixture
def notice(office: Office) -> str:
    """A notice that never hung anywhere."""
    text = uuid.uuid4().hex
    office.give(bang_tin_notice=text)
    return text


def exactly_once(office: Office, notice: str) -> None:
    """The work was done at each host, and nowhere twice."""
    assert {host: office.done(host).count(notice) for host in HOSTS} == dict.fromkeys(HOSTS, 1)
    carried_out_once(office)


def carried_out_once(office: Office) -> None:
    """By the word of the hosts' own journals, and by the ledger's."""
    run = office.rollout.run
    for host in HOSTS:
        journal = office.runs(host)[run]
        assert (journal["state"], journal.get("apply_attempt")) == ("done", 1), host
        told = office.ledger.events(run, host)
        assert [event.seq for event in told] == list(range(1, len(told) + 1)), host
        assert [event.kind for event in told].count("result") == 1, host
    assert {row.state for row in office.rows().values()} == {State.DONE}


def test_pilot_then_the_rest_each_after_its_gate_every_host_once(office: Office, notice: str) -> None:
    ran = office.tram("start", office.stack)
    assert ran.code == 0
    assert office.waves() == [("hub", "passed"), ("pilot", "passed"), ("rest", "passed")]
    exactly_once(office, notice)
    rows, waves = office.rows(), office.ledger.rollouts.waves(office.rollout.run)
    for earlier, later, wave in ((HUB, PILOT, waves[0]), (PILOT, FAR, waves[1])):
        assert rows[earlier].ended <= wave.settled
        assert rows[later].started - wave.settled >= timedelta(seconds=1), "it was watched first"
    for host in HOSTS:
        (result,) = office.ledger.events(office.rollout.run, host, kind="result")
        assert result.body["verify"] == [{"role": "bang_tin", "ok": True, "message": ""}]
    said = ran.stdout
    steps = [f"{HUB}: delivery begins", "wave 1: ", f"{PILOT}: delivery begins", "wave 2: ", f"{FAR}: delivery begins"]
    assert [said.index(step) for step in steps] == sorted(said.index(step) for step in steps)
    assert "then it passes when at most 0 failed, 80 % were reached and each has proven itself" in said


def test_killed_twice_in_mid_wave_and_resumed_every_host_is_done_exactly_once(office: Office, notice: str) -> None:
    office.rule(growth=["rest"])
    (office.inventory / "sites/so-noi-vu.yml").write_text(
        (office.inventory / "sites/so-noi-vu.yml").read_text().replace("pilot: true\n", "")
    )
    office.give(bang_tin_notice=notice, bang_tin_work_seconds=6)
    office.give(HUB, bang_tin_work_seconds=0)

    first = office.begin("start", office.stack)
    wait("both sites are in hand", lambda: in_hand(office) == {PILOT, FAR}, within=timedelta(minutes=3))
    office.kill(first)
    assert "Nobody conducts it" in office.tram("show", STACK.stem).stdout

    second = office.begin("resume", STACK.stem)
    wait("a site works", lambda: bool(working(office)), within=timedelta(minutes=2))
    office.kill(second)
    assert office.waves()[1][1] == "running"

    assert office.tram("resume", STACK.stem).code == 0
    assert office.waves() == [("hub", "passed"), ("pilot", "passed")]
    exactly_once(office, notice)
    assert {host: row.attempts for host, row in office.rows().items()} == {HUB: 1, PILOT: 3, FAR: 3}


def in_hand(office: Office) -> set[str]:
    """Sites that a controller delivers to now, as far as the ledger knows."""
    return {host for host, row in office.rows().items() if row.state is State.RUNNING and host != HUB}


def working(office: Office) -> set[str]:
    """Sites that have the order and carry it out, by their own word as far as it was heard."""
    return {host for host, row in office.rows().items() if row.site_state and row.outcome is None and host != HUB}


def test_what_fails_half_way_at_the_pilot_stops_there_and_no_other_site_is_touched(office: Office, notice: str) -> None:
    office.give(bang_tin_notice=notice)
    office.give(PILOT, bang_tin_fails=True)
    before = office.runs(FAR)
    ran = office.tram("start", office.stack)
    assert ran.code == 1
    assert office.waves() == [("hub", "passed"), ("pilot", "stopped"), ("rest", "waiting")]
    run = office.rollout.run
    assert (office.runs(FAR), office.rows()[FAR].state, office.rows()[FAR].attempts) == (before, State.WAITING, 0)
    assert notice not in office.done(FAR)
    assert (office.done(HUB).count(notice), office.done(PILOT).count(notice)) == (1, 1)
    assert "the board is too small" in office.reason(PILOT)
    for words in (
        f"{PILOT} failed: ",
        "the board is too small",
        f"No other host was begun. What happened: tram runs show {run} --host {PILOT}",
        f"tram rollout abort {STACK.stem}, then start {STACK.stem}",
        f"tram rollout resume {STACK.stem} --approve",
    ):
        assert words in ran.stdout
    assert office.tram("resume").code == 0, "what stopped is left to a person"
    assert office.rows()[FAR].attempts == 0


@pytest.mark.long
def test_a_site_behind_a_cut_line_is_carried_along_and_picked_up_by_what_the_timer_calls(
    office: Office, notice: str
) -> None:
    call = timers_call(office)
    office.lab.cut("huong-khe")
    ran = office.tram("start", office.stack)
    assert ran.code == 0, "nothing failed"
    assert (office.rollout.state, office.rows()[FAR].state) == ("resting", State.NOT_REACHED)
    assert f"Not reached: {FAR}. They are tried again for 14 d from their first try." in ran.stdout
    assert notice not in office.done(FAR)

    office.lab.mend("huong-khe")
    wait("it is due", lambda: office.ledger.carried_over(timedelta(days=14))[0].due, within=timedelta(seconds=20))
    assert office.tram(*call).code == 0
    assert office.rollout.state == "done"
    exactly_once(office, notice)


def timers_call(office: Office) -> list[str]:
    """What the timer's unit says is to be called, without the inventory that is this office's anyway."""
    (line,) = [text for text in office.tram("timer").stdout.splitlines() if text.startswith("ExecStart=")]
    program, *words = line.removeprefix("ExecStart=").split()
    assert program.endswith("/tram")
    assert words[-2:] == ["--inventory", f'"{office.inventory}"']
    return words[1:-2]


@pytest.fixture
def without_room(managed: Lab) -> Iterator[str]:
    """The pilot as a host that has no runner of ours, and no room for one."""
    away = "mv /usr/local/sbin/tram-site /usr/local/sbin/tram-site.away; mkdir -p /opt/tram"
    managed.sh(PILOT, ["sh", "-c", f"{away}; mount -t tmpfs -o size=1M tmpfs /opt/tram"])
    yield PILOT
    back = "umount /opt/tram; mv -f /usr/local/sbin/tram-site.away /usr/local/sbin/tram-site"
    managed.sh(PILOT, ["sh", "-c", back])


def test_a_host_without_room_for_the_runtime_is_pushed_to_and_that_is_said_before_more_is_begun(
    office: Office, notice: str, without_room: str
) -> None:
    ran = office.tram("start", office.stack)
    assert ran.code == 1
    assert office.waves() == [("hub", "passed"), ("pilot", "held"), ("rest", "waiting")]
    assert office.done(without_room).count(notice) == 1
    assert "pushed: the runtime cannot be installed: " in office.reason(without_room)
    assert f"{without_room} is done, but it took no bundle and was verified by nobody: " in ran.stdout
    assert "To accept what is missing: tram rollout resume notice --approve" in ran.stdout
    assert office.tram("resume", STACK.stem, "--approve").code == 0
    assert office.rollout.state == "done"
    assert [office.done(host).count(notice) for host in HOSTS] == [1, 1, 1]


@pytest.mark.long
def test_mail_goes_from_pilot_to_the_rest_although_its_controller_is_killed_in_mid_wave(
    converged: Lab, tmp_path: Path
) -> None:
    office = Office.open(converged, tmp_path)
    try:
        first = office.begin("start", "mail")
        wait("the pilot works", lambda: PILOT in working(office), within=timedelta(minutes=5))
        office.kill(first)
        assert office.waves() == [("hub", "passed"), ("pilot", "running"), ("rest", "waiting")]
        ran = office.tram("resume", "mail")
    finally:
        office.close()
    assert ran.code == 0
    assert office.waves() == [("hub", "passed"), ("pilot", "passed"), ("rest", "passed")]
    carried_out_once(office)
    assert {host: row.attempts for host, row in office.rows().items()} == {HUB: 1, PILOT: 2, FAR: 1}
    for host in HOSTS:
        (result,) = office.ledger.events(office.rollout.run, host, kind="result")
        assert {"role": "mail", "ok": True, "message": ""} in result.body["verify"]
