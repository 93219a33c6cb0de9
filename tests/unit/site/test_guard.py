"""A push under guard: kept when nothing is at stake or the centre came back over a new connection, else taken back."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from tram.site import clock, guard, kernel_values, pushing
from tram.site.contact import Contact
from tram.site.guard import Bounds, Guard
from tram.site.place import Config, Place
from tram.site.refusal import Refusal

REPO = Path(__file__).parents[3]
OLD = Contact(0.0, None)
BOUNDS = Bounds(confirm=1, idle=1, longest=60)


def fresh() -> Contact:
    """A connection that was opened just now."""
    return Contact(clock.uptime() + 1, None)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guard:
    """A guard of a host whose /etc is a directory here, on which nobody works over ssh."""
    monkeypatch.setattr(pushing, "sessions", lambda **_: [])
    monkeypatch.setattr("tram.site.confirming.PROBE_EVERY_SECONDS", (0.1, 0.1))
    etc = tmp_path / "system/etc/ssh"
    etc.mkdir(parents=True)
    (etc / "sshd_config").write_text("Port 22\n")
    place = Place(tmp_path / "guard")
    place.snapshots.mkdir(parents=True)
    return Guard(place, Config("", "", "srv1", system=tmp_path / "system"))


def sshd(mine: Guard, text: str) -> None:
    (mine.config.system / "etc/ssh/sshd_config").write_text(text)


def watched(mine: Guard, within: float = 20) -> str:
    """What the guard comes to."""
    watching = threading.Thread(target=Guard(mine.place, mine.config).watch, daemon=True)
    watching.start()
    watching.join(within)
    assert not watching.is_alive(), mine.journal()
    return mine.state


def test_a_run_that_changes_nothing_that_cuts_off_needs_no_confirmation(mine: Guard) -> None:
    mine.arm("centre:1", OLD, BOUNDS)
    (mine.config.system / "etc/motd").write_text("xin chào\n")
    assert mine.end() == {}
    assert (mine.state, mine.reverted()) == ("kept", None)
    assert watched(mine) == "kept"


def test_a_change_stays_only_by_a_connection_that_is_newer_than_it(mine: Guard) -> None:
    mine.arm("centre:1", OLD, Bounds(confirm=60))
    sshd(mine, "Port 2222\n")
    assert mine.end() == {"sshd": ["etc/ssh/sshd_config"]}
    with pytest.raises(Refusal, match="before the change") as refused:
        mine.confirm(OLD)
    assert refused.value.reason == "not-fresh"
    mine.confirm(fresh())
    assert watched(mine) == "kept"
    assert (mine.config.system / "etc/ssh/sshd_config").read_text() == "Port 2222\n"


def test_without_the_centre_the_host_goes_back_and_keeps_a_report(mine: Guard) -> None:
    mine.arm("centre:1", OLD, BOUNDS)
    sshd(mine, "Port 2222\n")
    mine.end()
    assert watched(mine) == "reverted"
    assert (mine.config.system / "etc/ssh/sshd_config").read_text() == "Port 22\n"
    report = mine.reverted()
    assert report is not None
    assert report["reason"] == (
        "the centre did not come back in 1 s after a change of sshd (etc/ssh/sshd_config), "
        "and there is no other sign of it"
    )
    assert report["told"][-1] == "brought back 1 paths: etc/ssh/sshd_config"
    mine.noted()
    assert mine.reverted() is None


@pytest.mark.slow
def test_a_run_that_never_says_it_ended_is_judged_by_what_it_did(mine: Guard) -> None:
    mine.arm("centre:1", OLD, BOUNDS)
    sshd(mine, "Port 2222\n")
    assert watched(mine) == "reverted"
    report = mine.reverted()
    assert report is not None
    assert report["told"][0] == "the run did not say that it ended, and nothing ran over ssh for 1 s"


@pytest.mark.slow
def test_a_silent_run_that_has_changed_nothing_yet_stays_under_guard(mine: Guard) -> None:
    mine.arm("centre:1", OLD, BOUNDS)
    watching = threading.Thread(target=Guard(mine.place, mine.config).watch, daemon=True)
    watching.start()
    until(lambda: mine.journal().get("silent", False))
    assert mine.state == "armed"
    assert mine.idle(), "another run may take its place"
    sshd(mine, "Port 2222\n")
    assert not mine.idle()
    watching.join(20)
    assert mine.state == "reverted"


@pytest.mark.slow
def test_a_silent_run_that_goes_on_keeps_its_place(mine: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    mine.arm("centre:1", OLD, Bounds(confirm=3, idle=1, longest=60))
    watching = threading.Thread(target=Guard(mine.place, mine.config).watch, daemon=True)
    watching.start()
    until(mine.idle)
    monkeypatch.setattr(pushing, "sessions", lambda **_: [1.0])
    until(lambda: not mine.idle())
    assert mine.end() == {}
    watching.join(20)
    assert mine.state == "kept"


@pytest.mark.slow
def test_a_silent_run_that_goes_on_is_not_taken_back(mine: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    mine.arm("centre:1", OLD, Bounds(confirm=3, idle=1, longest=60))
    sshd(mine, "Port 2222\n")
    watching = threading.Thread(target=Guard(mine.place, mine.config).watch, daemon=True)
    watching.start()
    until(lambda: mine.state == "confirming")
    monkeypatch.setattr(pushing, "sessions", lambda **_: [1.0])
    until(lambda: mine.state == "armed")
    assert mine.end() != {}
    mine.confirm(fresh())
    watching.join(20)
    assert mine.state == "kept"


def test_a_new_run_is_armed_although_somebody_still_writes_of_the_one_before(
    mine: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a power cut: the unit that watched comes up while the next run takes over."""
    mine.arm("centre:1", OLD, BOUNDS)
    mine.end()

    def taken(*given: object) -> None:
        (mine.place.root / "now").mkdir(exist_ok=True)
        (mine.place.root / "now/events.jsonl").write_text("{}\n")
        usual(*given)  # type: ignore[arg-type]

    usual = guard.take_snapshot
    monkeypatch.setattr(guard, "take_snapshot", taken)
    mine.arm("centre:2", OLD, BOUNDS)
    assert (mine.state, mine.journal()["run"]) == ("armed", "centre:2")
    assert not (mine.place.root / "now/events.jsonl").exists()


@pytest.mark.slow
def test_a_run_that_does_not_end_is_ended(mine: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing, "sessions", lambda **_: [1.0])
    mine.arm("centre:1", OLD, Bounds(confirm=1, idle=1, longest=2))
    sshd(mine, "Port 2222\n")
    assert watched(mine) == "reverted"


def test_only_a_connection_opened_for_it_takes_over_from_a_dead_run(mine: Guard) -> None:
    mine.arm("centre:1", OLD, BOUNDS)
    sshd(mine, "Port 2222\n")
    with pytest.raises(Refusal, match="taken over"):
        mine.take_over(fresh(), None)
    asked = {"boot": clock.boot(), "uptime": clock.uptime()}
    with pytest.raises(Refusal, match="taken over"):
        mine.take_over(OLD, asked)
    mine.take_over(fresh(), asked)
    assert mine.state == "kept"


def until(what: Callable[[], bool], within: float = 20) -> None:
    end = time.monotonic() + within
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def lookup() -> ModuleType:
    """The lookup of role guard, as Ansible loads it."""
    spec = spec_from_file_location("guard_lookup", REPO / "roles/guard/lookup_plugins/guard.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_program_is_the_same_bytes_each_time_and_runs_alone(tmp_path: Path) -> None:
    found = lookup()
    content = found.archive(REPO)
    assert content == found.archive(REPO)
    file = tmp_path / "guard.pyz"
    file.write_bytes(content)
    argv = [sys.executable, "-I", str(file), "--root", str(tmp_path / "state"), "status"]
    ran = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert json.loads(ran.stdout)["state"] == "none", ran.stderr
    print(f"the program: {len(content)} bytes, {len(found.sources(REPO))} modules")


def test_the_name_of_a_run_is_that_of_the_process_and_tells_whether_it_is_gone() -> None:
    found = lookup()
    run = found.run_name()
    assert not found.gone(run)
    pid = run.split(":")[-2]
    assert found.gone(run.replace(f":{pid}:", ":999999999:"))
    assert not found.gone(f"other-{run}"), "of another machine nothing is known"
    assert found.gone(run.replace(run.split(":")[1], "00000000")), "before this machine was started anew"


def test_names_in_files_of_sysctl_are_read_as_sysctl_d_says(tmp_path: Path) -> None:
    file = tmp_path / "60-x.conf"
    file.write_text("# kernel.no = 1\nkernel.kptr_restrict = 2\n-net/ipv4/ip_forward=0\n")
    assert kernel_values.named_in([file, tmp_path / "none"]) == {"kernel/kptr_restrict", "net/ipv4/ip_forward"}


def test_values_of_cards_that_went_are_no_change() -> None:
    before = {"net/ipv4/ip_forward": "0", "net/ipv4/conf/gone/rp_filter": "1", "vm/swappiness": "60"}
    after = {"net/ipv4/ip_forward": "1", "vm/swappiness": "10"}
    assert kernel_values.network_values(before, after) == ["net.ipv4.ip_forward"]
