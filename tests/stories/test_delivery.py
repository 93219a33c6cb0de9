"""A change reaches a site though its line or its power fails, or somebody is in between: done, or truthfully told."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tram.core.order import Order
from tram.delivery.host import Way
from tram.ledger import Ended, Outcome

from .delivery.between import Letter, hand_over, signed_by, stranger, write
from .delivery.centre import FAR, FAR_SITE, MARKS, NEAR, NEAR_SITE, PROJECT, Centre, open_centre, wait
from .delivery.journey import Journey, Whole, meanwhile, measure, points

pytestmark = [pytest.mark.lab, pytest.mark.apart]

SEED, POINTS = 20261122, 10
CUT = timedelta(seconds=2)
PLAY = "so-cong-van.yml"
PROXY = "http://192.0.2.1:3142"
SAID = ["journalctl", "-q", "--no-pager", "-n", "30", "SYSLOG_IDENTIFIER=tram-site", "+", "UNIT=tram-site.service"]


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    """One lab for all of these: what they do to its hosts is taken back, or is no harm to the others."""
    with open_centre(tmp_path_factory.mktemp("centre")) as found:
        yield found


@pytest.fixture(autouse=True)
def attached(centre: Centre) -> Iterator[None]:
    """For whoever reads of a failure: the lines, and what the runners said last."""
    yield
    for host, site in ((FAR, FAR_SITE), (NEAR, NEAR_SITE)):
        print(centre.lab.link(site))
        print(centre.lab.sh(host, SAID).stdout)


@pytest.fixture(scope="module")
def whole(centre: Centre) -> Whole:
    """A run that nothing disturbs, after a first one that brought the role."""
    centre.edition("first", text(0))
    assert centre.command(PLAY, FAR)["state"] == "done"
    found = measure(centre, centre.begin(PLAY, FAR), centre.edition("undisturbed", text(1)))
    print(f"\nundisturbed: {found}")
    return found


def text(seed: int) -> str:
    """A text that no compression makes much smaller, so that it takes its time on the line; each time another."""
    return random.Random(SEED + seed).randbytes(60_000).hex()


def harmed(journey: Journey, at: tuple[Whole, float], harm: Callable[[], str], way: Way) -> Ended:
    """Deliver, and do harm when the run is so far; printed."""
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        delivering = pool.submit(journey.centre.deliver, journey.job, way)
        stood = meanwhile(journey, *at, harm, delivering)
    print(f"{at[1]:.2f}: {stood}: {delivering.result()} after {time.monotonic() - began:.1f} s")
    return delivering.result()


def test_a_line_cut_anywhere_in_a_run_ends_it_done_and_nothing_is_done_twice(centre: Centre, whole: Whole) -> None:
    for number, share in enumerate(points(SEED, POINTS)):
        edition, lost = centre.edition(f"line-{number}", text(number)), number % 2 == 1

        def cut(lost: bool = lost) -> str:
            centre.lab.cut(FAR_SITE)
            if lost:
                centre.drop_sessions()
            time.sleep(CUT.total_seconds())
            centre.lab.mend(FAR_SITE)
            return "cut, its connections lost" if lost else "cut"

        job = centre.begin(PLAY, FAR)
        assert harmed(Journey(centre, job, edition), (whole, share), cut, Way()) == Ended(Outcome.DONE)
        assert centre.marks(FAR, edition) == dict.fromkeys(MARKS, 1)
        told = [event.body for event in centre.events(job)]
        tasks = [(body["task"], body.get("item")) for body in told if "task" in body]
        assert len(tasks) == len(set(tasks))
        assert [body.get("attempt") for body in told if body.get("state") == "applying"] == [None]
        assert edition in centre.served(FAR)


@pytest.fixture
def slow(centre: Centre) -> Iterator[None]:
    """The nearer site behind a line as slow as the other's, so that a moment can be hit in which a pack travels."""
    line, near = (centre.lab.link(site).line for site in (FAR_SITE, NEAR_SITE))
    assert line is not None
    assert near is not None
    centre.lab.set_link(NEAR_SITE, down_bps=line.down_bps, up_bps=line.up_bps)
    yield
    centre.lab.set_link(NEAR_SITE, down_bps=near.down_bps, up_bps=near.up_bps)


def test_power_cut_anywhere_in_a_run_ends_it_done_and_the_service_healthy(
    centre: Centre, whole: Whole, slow: None
) -> None:
    # What is silent for 2 s is asked whether it lives, not for 20: a host that was without power answers at once.
    policy = replace(centre.policy(NEAR), alive_every=timedelta(seconds=2))

    def cut() -> str:
        centre.lab.power_cut(NEAR)
        centre.lab.power_on(NEAR)
        return "power cut"

    for number, share in enumerate(points(SEED + 1, POINTS)):
        edition, job = centre.edition(f"power-{number}", text(number)), centre.begin(PLAY, NEAR)
        assert harmed(Journey(centre, job, edition), (whole, share), cut, Way(policy=policy)) == Ended(Outcome.DONE)
        told = [event.body for event in centre.events(job)]
        attempts = sum(body.get("state") == "applying" for body in told)
        marks = centre.marks(NEAR, edition)
        assert set(marks) == set(MARKS)
        assert max(marks.values()) <= attempts <= 2
        assert told[-1]["verify"] == [{"role": "so_cong_van", "ok": True, "message": ""}]
        assert edition in centre.served(NEAR)
        assert centre.healthy(NEAR) == "running"


def test_a_role_that_locks_the_centre_out_is_taken_back_and_reported_so(centre: Centre) -> None:
    before, job = centre.etc(NEAR), centre.begin("lock-out.yml", NEAR)
    # The host waits for the centre's word for ten seconds here, not five minutes, and is asked often.
    policy = replace(centre.policy(NEAR), confirm=timedelta(seconds=10), longest_pause=timedelta(seconds=4))
    assert centre.deliver(job, Way(policy=policy)).outcome is Outcome.FAILED
    shown = centre.shown(job.run, NEAR, code=1)
    assert shown["state"] == "reverted"
    touched = "sshd (etc/ssh/sshd_config.d/20-khoa-ngoai.conf)"
    assert shown["reason"] == (
        f"the centre did not come back in 10 s after a change of {touched}, though the line was up"
    )
    assert centre.etc(NEAR) == before
    edition = centre.edition("after-the-lock-out")
    assert centre.command(PLAY, NEAR)["state"] == "done"
    assert edition in centre.served(NEAR)


def test_a_role_that_fails_half_way_is_failed_and_what_it_did_is_kept_unless_declared_otherwise(centre: Centre) -> None:
    before, kept, undone = (centre.edition(name) for name in ("before", "kept", "undone"))
    centre.edition(before)
    assert centre.command(PLAY, NEAR)["state"] == "done"
    centre.edition(kept)
    found = centre.command("half-way.yml", NEAR, code=1)
    assert found["state"] == "failed"
    assert found["reason"].startswith("so_cong_van : Look for the next page: ")
    assert kept in centre.served(NEAR)
    assert before in centre.sh(NEAR, "cat /etc/so-cong-van/edition")
    assert centre.command(PLAY, NEAR)["state"] == "done"

    etc = centre.etc(NEAR)
    centre.edition(undone)
    found = centre.command("half-way-restored.yml", NEAR, code=1)
    assert found["state"] == "failed"
    assert centre.ledger.events(found["run"], NEAR, kind="result")[0].body["restored"] is True
    assert centre.etc(NEAR) == etc
    assert kept in centre.served(NEAR)
    assert set(centre.marks(NEAR, undone)) == set(MARKS[:5])


def test_an_order_that_is_tampered_with_replayed_or_too_old_is_refused_and_logged(
    centre: Centre, tmp_path: Path
) -> None:
    centre.edition("in-between")
    other = stranger(centre.province.secrets_dir, tmp_path / "stranger")
    late = write(centre, PLAY, NEAR, valid=timedelta(seconds=1))
    letter = write(centre, PLAY, NEAR)
    flipped = bytes([*letter.pack[:-200], letter.pack[-200] ^ 1, *letter.pack[-199:]])
    theirs = replace(letter.order, serial=letter.order.serial + 1)
    wait(lambda: datetime.now(UTC) > late.order.expires, within=timedelta(seconds=5))
    before, since = centre.etc(NEAR), centre.sh(NEAR, "date +%s").strip()

    def refusal(given: Letter, order: Order | None = None) -> str:
        answer = hand_over(centre, NEAR, given, order=order)
        assert (answer["t"], answer["run"]) == ("refused", given.order.run)
        return str(answer["reason"])

    assert refusal(letter, replace(letter.order, playbook="playbooks/mail.yml")) == "signature"
    assert refusal(replace(letter, order=theirs, signature=signed_by(theirs, other))) == "signature"
    assert refusal(write(centre, PLAY, FAR)) == "host"
    assert refusal(replace(letter, pack=flipped)) == "damaged"
    assert refusal(late) == "expired"
    assert centre.etc(NEAR) == before
    assert centre.marks(NEAR, "in-between") == {}

    assert hand_over(centre, NEAR, letter)["t"] == "accepted"
    wait(lambda: len(centre.marks(NEAR, "in-between")) == len(MARKS), within=timedelta(minutes=2))
    wait(lambda: centre.sh(NEAR, "ls /var/lib/tram/site/queue") == "", within=timedelta(minutes=1))
    etc = centre.etc(NEAR)
    assert refusal(letter) == "replayed"
    assert centre.etc(NEAR) == etc
    assert centre.marks(NEAR, "in-between") == dict.fromkeys(MARKS, 1)

    found = centre.command(PLAY, NEAR, code=1, TRAM_SECRETS=str(other))
    assert found["reason"].startswith("refused (signature): the order is not signed by centre@lab")
    assert centre.shown(found["run"], NEAR, code=1)["state"] == "failed"
    logged = centre.sh(NEAR, f"journalctl -q -o cat -t tram-site --since @{since}")
    for reason in ("signature", "host", "damaged", "expired", "replayed"):
        assert f": {reason}: " in logged
    assert centre.command(PLAY, NEAR)["state"] == "done"
    # What the host was given behind the ledger's back is heard of at the next contact.
    assert centre.ledger.outcome(letter.order.run, NEAR) is Outcome.DONE


def test_a_stick_carries_a_run_and_its_report_while_the_line_is_cut(centre: Centre, tmp_path: Path) -> None:
    apt = f"apt-get -q -y -o Acquire::http::Proxy={PROXY}"
    centre.sh(NEAR, f"command -v age || ({apt} update && {apt} --no-install-recommends install age) >/dev/null 2>&1")
    edition, stick = centre.edition("by-stick", text(0)), tmp_path / "usb"
    stick.mkdir()
    (packed,) = json.loads(
        centre.tram("courier", "pack", NEAR, "--playbook", str(PROJECT / PLAY), "--to", str(stick), "--json")
    )
    centre.drop_sessions()
    centre.lab.cut(NEAR_SITE)
    try:
        centre.plug_in(stick, NEAR)
        centre.sh(NEAR, "tram-courier load /media/usb 300")
        assert edition in centre.served(NEAR)
        assert "replayed" in centre.sh(NEAR, "tram-courier load /media/usb 300", code=2)
        centre.pull_out(NEAR, stick)
        assert centre.ledger.outcome(packed["run"], NEAR) is Outcome.NOT_REACHED
        (news,) = json.loads(centre.tram("courier", "unpack", str(stick), "--json"))
    finally:
        centre.lab.mend(NEAR_SITE)
    assert centre.ledger.outcome(packed["run"], NEAR) is Outcome.DONE
    told = centre.ledger.events(packed["run"], NEAR)
    assert news["events"] >= len(told)
    centre.pull_out(NEAR, stick)
    (again,) = json.loads(centre.tram("courier", "unpack", str(stick), "--json"))
    assert again["events"] == 0
    assert centre.ledger.events(packed["run"], NEAR) == told
    assert centre.marks(NEAR, edition) == dict.fromkeys(MARKS, 1)

    centre.tram("deliver", "--resume", packed["run"], code=2)
    centre.tram("courier", "pack", NEAR, "--to", str(stick), code=2)
    found = centre.command(PLAY, NEAR)
    assert found["state"] == "done"
    assert found["sent"] < packed["bytes"] / 4
