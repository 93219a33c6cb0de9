"""The same work over a real dask cluster of two worker processes, one of which dies in mid-wave."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tram.core.errors import BadInput
from tram.ledger import Ledger, State
from tram.rollout.conductor import Standing
from tram.rollout.fanout import SchedulerAway, fan_out

from ..ledger.cluster import cluster, database
from .conductor import conduct
from .province import names, new_rollout
from .site import Sites

pytestmark = pytest.mark.slow

REPO = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Dask:
    """A scheduler and its two workers."""

    address: str
    workers: tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]


@contextmanager
def process(log: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program of dask's, ended by its process id whatever happens."""
    with log.open("wb") as out:
        started = subprocess.Popen([sys.executable, "-m", *words], cwd=REPO, stdout=out, stderr=out)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Dask]:
    file = tmp_path / "scheduler.json"
    with ExitStack() as stack:
        words = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
        stack.enter_context(process(tmp_path / "scheduler.log", "distributed.cli.dask_scheduler", *words))
        until(lambda: file.exists() and file.read_text().endswith("}"), tmp_path / "scheduler.log", within=60)
        address = json.loads(file.read_text())["address"]
        words = ["--no-nanny", "--nthreads", "3", "--no-dashboard", "--local-directory", str(tmp_path), address]
        started = [
            stack.enter_context(process(tmp_path / f"worker{n}.log", "distributed.cli.dask_worker", *words))
            for n in (1, 2)
        ]
        for n in (1, 2):
            log = tmp_path / f"worker{n}.log"
            until(lambda log=log: b"Registered to" in log.read_bytes(), log, within=60)
        yield Dask(address, (started[0], started[1]))


def until(done: object, log: Path, *, within: float) -> None:
    assert callable(done)
    end = time.monotonic() + within
    while not done():
        assert time.monotonic() < end, log.read_text(errors="replace")
        time.sleep(0.05)


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """A ledger that controller and workers write together."""
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path}/ledger.db"
        if request.param == "postgresql":
            url = stack.enter_context(database(stack.enter_context(cluster()), "rollout"))
        ledger = Ledger(url)
        yield ledger
        ledger.close()


def kill_at_work(pid: int, ledger: Ledger, run: str, *, within: float) -> set[str]:
    """Kill the worker while it has hosts in its hands; which they were. It is stopped first, so that it keeps them."""
    end = time.monotonic() + within
    while True:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.2)  # what it had told the database's server may still become true
        held = {row.host for row in ledger.show(run).hosts if f":{pid}:" in (row.lease_owner or "")}
        if held:
            os.kill(pid, signal.SIGKILL)
            return held
        os.kill(pid, signal.SIGCONT)
        assert time.monotonic() < end, "the worker never had anything to do"
        time.sleep(0.1)


def test_a_worker_killed_in_mid_wave_loses_no_host_and_none_is_done_twice(
    shared: Ledger, sites: Sites, dask: Dask
) -> None:
    hosts = names(16)
    slow = Sites(sites.root, 1.0)
    run = new_rollout(shared, [hosts[:1], hosts[1:]])
    argv = [sys.executable, "-m", "tests.unit.rollout.conductor", shared.url, run, str(slow.root), "1.0", dask.address]
    with subprocess.Popen(argv, cwd=REPO, stdout=subprocess.PIPE, text=True) as controller:
        slow.wait_started(4)
        orphans = kill_at_work(dask.workers[0].pid, shared, run, within=60)
        said, _ = controller.communicate(timeout=300)
    assert said.strip() == "done"
    rows = shared.show(run).hosts
    assert {row.state for row in rows} == {State.DONE}
    assert [slow.work(host) for host in hosts] == [1] * 16
    assert len(shared.events(run)) == 16
    assert orphans <= {row.host for row in rows if row.attempts > 1}, "the other worker went on with each of them"
    assert dask.workers[1].poll() is None


def test_a_killed_controller_leaves_a_cluster_that_the_next_one_uses(sites: Sites, ledger: Ledger, dask: Dask) -> None:
    hosts = names(10)
    slow = Sites(sites.root, 0.8)
    run = new_rollout(ledger, [hosts])
    argv = [sys.executable, "-m", "tests.unit.rollout.conductor", ledger.url, run, str(slow.root), "0.8", dask.address]
    with subprocess.Popen(argv, cwd=REPO, stdout=subprocess.DEVNULL) as controller:
        slow.wait_started(3)
        controller.kill()
    assert conduct(ledger.url, run, slow, dask.address) is Standing.DONE
    assert [slow.work(host) for host in hosts] == [1] * 10


def test_no_scheduler_there_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SchedulerAway, match="no dask scheduler answers"), fan_out(address, 2, "sqlite:////x"):
            pass


def test_workers_elsewhere_cannot_use_a_ledger_that_is_a_file() -> None:
    with (
        pytest.raises(BadInput, match="cannot write a ledger that is a file"),
        fan_out("tcp://192.0.2.1:8786", 2, "sqlite:////x"),
    ):
        pass
