"""A stick: closed for one host, carried out once, told once, whatever is copied onto it again."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest

from tram.core.errors import BadInput
from tram.delivery import stick as sticks
from tram.delivery.memory import HostMemory
from tram.delivery.parcel import Parcel, find_host
from tram.ledger import Job, Ledger, Outcome

from .bench import HOST, REPO, RUNTIME, Bench
from .test_install import make

pytestmark = pytest.mark.slow


@pytest.fixture
def usb(bench: Bench, tmp_path: Path) -> Path:
    """An empty stick; the host has an ssh key of its own, pinned at the centre."""
    key = tmp_path / "ssh_host_ed25519_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)
    folder = tmp_path / "province"
    folder.mkdir()
    (folder / "known_hosts").write_text(f"{HOST},203.0.113.10 {key.with_suffix('.pub').read_text()}")
    bench.province = replace(bench.province, lab=False, folder=folder)
    bench.configure(start="none")
    stick = tmp_path / "usb"
    stick.mkdir()
    return stick


def pack(bench: Bench, usb: Path, job: Job, **changes: object) -> None:
    given = bench.content(**changes)  # type: ignore[arg-type]
    parcel = Parcel(
        job, bench.province, bench.ledger, confirm=None, valid=sticks.VALID, content=given, runtime_id=RUNTIME
    )
    assert sticks.put(usb, job, bench.province, bench.ledger, parcel) > 500


def at_the_host(bench: Bench, usb: Path, name: str = "answer-1") -> None:
    """What tram-courier does there, with the same program, but the runner's root of this test."""
    place = sticks.folder(usb, bench.province, HOST)
    identity = pyrage.ssh.Identity.from_buffer((bench.base / "ssh_host_ed25519_key").read_bytes())
    for number in ("1-", "2-"):
        opened = []
        for sealed in sorted(place.glob(f"{number}*.age")):
            opened.append(bench.base / sealed.stem)
            opened[-1].write_bytes(pyrage.decrypt(sealed.read_bytes(), [identity]))
        answer = place / f"{name}-{number}.frames"
        words = ["--root", str(bench.root), "accept", "--answer", str(answer), *map(str, opened)]
        subprocess.run([*bench.argv[:3], *words], cwd=REPO, check=False, capture_output=True)
        subprocess.run([*bench.argv[:3], "--root", str(bench.root), "drain"], cwd=REPO, check=True)


def test_a_round_trip_is_done_once_and_told_once(bench: Bench, usb: Path) -> None:
    job = bench.job()
    pack(bench, usb, job, ballast=10_000)
    at_the_host(bench, usb)
    at_the_host(bench, usb, "answer-2")
    at_the_host(bench, usb, "answer-3")
    assert bench.witness.read_text() == "x"
    (news,) = sticks.take(usb, bench.province, bench.ledger)
    assert news.events == len(bench.numbers(job))
    assert (news.refused, news.damaged) == ([], [])
    assert bench.ledger.outcome(job.run, HOST) is Outcome.DONE
    (again,) = sticks.take(usb, bench.province, bench.ledger)
    assert again.events == 0


def test_the_stick_shows_nothing_of_what_is_on_it(bench: Bench, usb: Path) -> None:
    pack(bench, usb, bench.job())
    everything = b"".join(path.read_bytes() for path in usb.rglob("*") if path.is_file())
    assert b"playbook" not in everything
    assert b"witness" not in everything


def test_a_stick_after_a_newer_order_by_line_is_turned_away_and_that_is_no_failure(bench: Bench, usb: Path) -> None:
    job = bench.job()
    pack(bench, usb, job)
    bench.configure(start="spawn")
    assert bench.deliver(bench.job(), bench.content()).ended.outcome is Outcome.DONE
    bench.idle()
    at_the_host(bench, usb)
    assert bench.witness.read_text() == "x"
    (news,) = sticks.take(usb, bench.province, bench.ledger)
    assert news.refused == []
    assert bench.ledger.outcome(job.run, HOST) is not Outcome.FAILED


def test_a_ledger_made_anew_learns_from_the_stick_how_far_the_host_has_counted(bench: Bench, usb: Path) -> None:
    bench.configure(start="spawn")
    for _ in range(3):
        bench.deliver(bench.job(), bench.content())
    bench.idle()
    bench.configure(start="unit")  # at_the_host drains by itself
    bench.ledger = Ledger(f"sqlite:///{bench.base / 'another.db'}")
    job = bench.job()
    pack(bench, usb, job)
    bench.ledger.finish(job.run, HOST, Outcome.NOT_REACHED, "on a stick")
    at_the_host(bench, usb)
    sticks.take(usb, bench.province, bench.ledger)
    assert bench.ledger.host(job.run, HOST).reason.startswith("refused (replayed): serial 1 is not above 3")
    pack(bench, usb, job)
    at_the_host(bench, usb)
    sticks.take(usb, bench.province, bench.ledger)
    assert bench.ledger.outcome(job.run, HOST) is Outcome.DONE


def test_a_run_that_was_carried_and_then_sent_by_line_is_done_once(bench: Bench, usb: Path) -> None:
    job = bench.job()
    pack(bench, usb, job)
    at_the_host(bench, usb)
    found = bench.deliver(job, bench.content())
    assert found.ended.outcome is Outcome.DONE
    assert bench.witness.read_text() == "x"


def test_an_answer_that_is_torn_gives_what_is_whole_of_it_and_is_told(bench: Bench, usb: Path) -> None:
    job = bench.job()
    pack(bench, usb, job)
    at_the_host(bench, usb)
    at_the_host(bench, usb, "answer-2")
    for path in usb.rglob("answer-2-*.frames"):
        path.write_bytes(path.read_bytes()[:-7])
    (news,) = sticks.take(usb, bench.province, bench.ledger)
    assert len(news.damaged) == 2


def test_another_hosts_answer_is_not_believed(bench: Bench, usb: Path) -> None:
    pack(bench, usb, bench.job())
    at_the_host(bench, usb)
    place = sticks.folder(usb, bench.province, HOST)
    place.rename(place.with_name("so-noi-vu-srv1"))
    (news,) = sticks.take(usb, bench.province, bench.ledger)
    assert news.events == 0
    assert len(news.damaged) == 2


def test_an_order_refused_at_the_host_is_a_failed_run_with_the_reason(bench: Bench, usb: Path) -> None:
    job = bench.job()
    pack(bench, usb, job)
    (bench.base / "runtimes" / RUNTIME).rename(bench.base / "runtimes/fedcba9876543210")
    at_the_host(bench, usb)
    (news,) = sticks.take(usb, bench.province, bench.ledger)
    assert news.refused[0][1].startswith("refused (runtime): runtime 0123456789abcdef is not installed here")
    assert bench.ledger.outcome(job.run, HOST) is Outcome.FAILED


def test_a_host_that_is_not_pinned_gets_no_stick(bench: Bench, usb: Path) -> None:
    (bench.province.folder / "known_hosts").write_text("")
    with pytest.raises(BadInput, match="no ed25519 key of huong-khe-srv1 is pinned"):
        pack(bench, usb, bench.job())
    assert list(usb.iterdir()) == []


def test_a_runtime_the_host_lacks_rides_along_signed_and_is_taken_off_when_it_is_there(
    bench: Bench, usb: Path, tmp_path: Path
) -> None:
    base = {"yaml/__init__.py": b""}
    given = make(tmp_path, base, {"launch.py": b"pass\n", "tram/__init__.py": b""})
    site, host = find_host(bench.province, HOST)
    assert sticks.put_runtime(usb, bench.province, site, host, given) > given.bytes
    place = sticks.folder(usb, bench.province, HOST)
    carried, signature = place / f"0-runtime-{given.id}.install", place / f"0-runtime-{given.id}.sig"
    assert set(sticks.orders(usb, bench.province, host)) == {carried, signature}

    argv = ["ssh-keygen", "-Y", "verify", "-f", bench.root / "allowed_signers", "-I", "centre@lab", "-n", "tram-order"]
    line, rest = carried.read_bytes().split(b"\n", 1)
    for said, accepted in ((line + b"\n", True), (line.replace(b"srv1", b"srv2") + b"\n", False)):
        ran = subprocess.run([*argv, "-s", signature], input=said, capture_output=True, check=False)
        assert (ran.returncode == 0) is accepted

    program = [sys.executable, "-I", usb / "tram/lab/install.py", "--root", tmp_path / "machine", "--host", HOST]
    damaged = line + b"\n" + rest[:-1] + b"?"
    for content, code in ((damaged, 1), (carried.read_bytes(), 0)):
        assert subprocess.run(program, input=content, capture_output=True, check=False).returncode == code
        assert (tmp_path / "machine/opt/tram/runtime" / given.id / "index.json").exists() is (code == 0)

    HostMemory("lab").keep(HOST, [given.id])
    sticks.tidy(usb, bench.province, bench.ledger)
    assert sticks.orders(usb, bench.province, host) == []


def test_what_runtimes_a_host_has_is_learnt_from_its_answers(bench: Bench, usb: Path) -> None:
    pack(bench, usb, bench.job())
    at_the_host(bench, usb)
    sticks.take(usb, bench.province, bench.ledger)
    assert HostMemory("lab").runtimes(HOST) == (RUNTIME,)
