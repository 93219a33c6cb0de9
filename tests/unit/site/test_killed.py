"""kill -9 and power cuts: wherever they come, the next start goes on, and nothing is applied twice needlessly."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tram.core.order import Order
from tram.site.command import main

from .host import Site, kill, kill_executors, script

pytestmark = pytest.mark.slow


def send(site: Site) -> Order:
    """A run that applies, verifies and leaves an x for each time it was applied."""
    return site.send(
        {
            "playbook.yml": script(
                {"name": "write", "write": str(site.system / "etc/motd"), "text": "xin chào"},
                {"name": "count", "append": str(site.base / "applied"), "sleep": 0.05},
            ),
            "verify.yml": script({"name": "mail : Look"}),
        }
    )


def assert_done(site: Site, order: Order) -> None:
    """The end state is the one of a run that nothing disturbed."""
    assert site.result(order)["outcome"] == "done"
    assert site.journal(order)["state"] == "done"
    assert (site.system / "etc/motd").read_text() == "xin chào"
    told = site.events(order)
    assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
    assert [event["kind"] for event in told].count("result") == 1
    assert told[-1]["kind"] == "result"
    assert list((site.root / "queue").iterdir()) == []
    assert not list(site.root.rglob("*.new"))


def drain_killed_at(site: Site, number: int) -> bool:
    """`drain` in a process that is killed (-9) just before its n-th touch of the disk; whether it came to that.

    A touch is a rename or an fsync: between two of them nothing that matters is decided.
    """
    child = os.fork()
    if child == 0:
        count = itertools.count(1)

        def counted(touch: Callable[..., Any]) -> Callable[..., Any]:
            def touched(*args: Any, **kwargs: Any) -> Any:
                if next(count) == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return touch(*args, **kwargs)

            return touched

        os.replace, os.fsync = counted(os.replace), counted(os.fsync)
        code = 70
        try:
            code = main(["--root", str(site.root), "drain"])
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status == -signal.SIGKILL


@pytest.mark.parametrize("first", range(1, 9))
def test_killed_at_every_touch_of_the_disk_a_run_is_applied_once(site: Site, first: int) -> None:
    """The runner dies at touch n, its successor at touch n + 8, and so on until one gets through, from eight offsets:
    so it dies at every touch of a whole run. The executor lives on: it must be taken over, never started twice."""
    order = send(site)
    number = first
    while drain_killed_at(site, number):
        number += 8
        assert number < 400
    site.drain()
    assert_done(site, order)
    assert (site.base / "applied").read_text() == "x"
    tasks = [event["task"] for event in site.events(order) if event["kind"] == "task"]
    assert tasks == ["write", "count"]


@pytest.mark.parametrize("seed", range(6))
def test_power_cut_at_random_moments_ends_in_the_right_state(site: Site, seed: int) -> None:
    chance = random.Random(seed)
    order = send(site)
    for _ in range(3):
        process = site.start("drain")
        time.sleep(chance.uniform(0.1, 0.9))
        kill(process)
        kill_executors(site)
    site.drain()
    assert_done(site, order)
    starts = [event for event in site.events(order) if event.get("state") == "applying"]
    assert 1 <= len((site.base / "applied").read_text()) <= len(starts) <= 4


def test_a_run_whose_executor_was_through_is_not_applied_again(site: Site) -> None:
    order = send(site)
    process = site.start("drain")
    lines = site.root / "runs" / order.run / "apply.1.jsonl"
    site.wait(lambda: lines.exists() and b'"stats"' in lines.read_bytes())
    kill(process)
    kill_executors(site)
    site.drain()
    assert_done(site, order)
    assert (site.base / "applied").read_text() == "x"


def test_a_power_cut_in_the_middle_of_the_executor_applies_again_and_says_so(site: Site) -> None:
    motd = site.system / "etc/motd"
    order = site.send({"playbook.yml": script({"name": "write", "write": str(motd), "text": "x"}, {"sleep": 2})})
    process = site.start("drain")
    site.wait(motd.exists)
    kill(process)
    kill_executors(site)
    assert site.journal(order)["state"] == "applying"
    site.drain()
    assert site.result(order)["outcome"] == "done"
    assert site.result(order)["stats"]["changed"] == 0
    notes = [event["message"] for event in site.events(order) if event["kind"] == "note"]
    assert notes == ["cut off in the middle; applied again, what is done already is found so"]


def test_the_runner_killed_alone_finds_its_executor_again(site: Site) -> None:
    order = site.send(
        {
            "playbook.yml": script(
                {"name": "a", "append": str(site.base / "applied")}, {"name": "b", "until": str(site.base / "go")}
            )
        }
    )
    process = site.start("drain")
    site.wait((site.base / "applied").exists)
    kill(process)
    (site.base / "go").touch()
    site.drain()
    assert site.result(order)["outcome"] == "done"
    assert (site.base / "applied").read_text() == "x"
    assert [event["task"] for event in site.events(order) if event["kind"] == "task"] == ["a"]


def test_an_executor_that_is_killed_alone_is_started_again(site: Site) -> None:
    trace = site.base / "applied"
    order = site.send({"playbook.yml": script({"append": str(trace)}, {"sleep": 2})})
    process = site.start("drain")
    site.wait(trace.exists)
    kill_executors(site)
    assert process.wait(timeout=60) == 0
    assert site.result(order)["outcome"] == "done"
    assert trace.read_text() == "xx"


def test_accepted_means_carried_out_though_the_mark_in_the_queue_was_never_made(site: Site) -> None:
    order = send(site)
    for mark in (site.root / "queue").iterdir():
        mark.unlink()
    assert site.exchange()[0]["runs"][0]["state"] == "accepted"
    assert [path.name for path in (site.root / "queue").iterdir()] == ["1.json"]
    site.drain()
    assert_done(site, order)


def test_a_file_of_the_tree_that_a_power_cut_tore_is_mended_before_it_is_used(site: Site) -> None:
    order = send(site)
    assert drain_killed_at(site, 15)
    run = site.root / "runs" / order.run
    assert (run / "tree").is_dir()
    (run / "tree/playbook.yml").write_bytes(b"")
    journal = run / "state.json"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    journal.write_text(journal.read_text().replace(boot, "another boot"))
    site.drain()
    assert_done(site, order)
