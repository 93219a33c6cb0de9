"""A change that could cut the site off stays only if the centre comes back; else the host is as it was."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tram.core.frames import encode
from tram.core.order import Order
from tram.site import confirming, line, restore, runs, wayback
from tram.site.confirming import Waiting
from tram.site.guarded import CUTS_OFF
from tram.site.line import CUT_HERE, DOWN, UNKNOWN, UP, Line
from tram.site.place import Config, Place

from .host import Site, kill, script

pytestmark = pytest.mark.slow


def lock_out(site: Site, **changes: object) -> Order:
    """A run that writes an sshd configuration, replaces one file by another, removes one and adds a directory."""
    etc = site.system / "etc"
    return site.send(
        {
            "playbook.yml": script(
                {"write": str(etc / "ssh/sshd_config"), "text": "Port 2222\n"},
                {"write": str(etc / "ssh/sshd_config.d/10-x.conf"), "text": "AllowUsers nobody\n"},
                {"remove": str(etc / "hostname")},
            )
        },
        **changes,
    )


def assert_as_before(site: Site) -> None:
    etc = site.system / "etc"
    assert (etc / "ssh/sshd_config").read_text() == "Port 22\n"
    assert (etc / "hostname").read_text() == "srv1\n"
    assert not (etc / "ssh/sshd_config.d").exists()


@contextmanager
def listening() -> Iterator[list[object]]:
    """A hub that answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield ["127.0.0.1", server.getsockname()[1]]


@contextmanager
def silent() -> Iterator[list[object]]:
    """A hub behind a line that is down: nothing answers, because its queue of one connection is taken."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            yield ["127.0.0.1", port]


def test_without_the_centre_the_host_is_as_it_was(site: Site) -> None:
    config = site.system / "etc/ssh/sshd_config"
    config.chmod(0o640)
    order = lock_out(site, confirm_seconds=2)
    with listening() as hub:
        site.configure(probes=[hub])
        site.drain()
    assert_as_before(site)
    assert stat.S_IMODE(config.stat().st_mode) == 0o640
    result = site.result(order)
    assert result["outcome"] == "reverted"
    assert result["reason"].startswith(
        "the centre did not come back in 2 s after a change of sshd (etc/ssh/sshd_config"
    )
    assert result["reason"].endswith("though the line was up")
    assert "confirming" in site.states(order)
    notes = [event["message"] for event in site.events(order) if event["kind"] == "note"]
    assert notes[0].startswith("bringing back the previous state, because the centre did not come back")
    assert notes[1].startswith("brought back 4 paths: etc/hostname, etc/ssh/sshd_config")


def test_a_connection_opened_after_the_change_keeps_it(site: Site) -> None:
    order = lock_out(site, confirm_seconds=60)
    process = site.start("drain")
    site.wait(lambda: site.journal(order)["state"] == "confirming")
    time.sleep(0.05)
    answer = site.exchange(encode({"t": "confirm", "run": order.run}))[1]
    assert answer == {"t": "confirmed", "run": order.run}
    assert process.wait(timeout=60) == 0
    assert site.result(order)["outcome"] == "done"
    assert (site.system / "etc/ssh/sshd_config").read_text() == "Port 2222\n"


def test_a_connection_from_before_the_change_is_no_proof(site: Site) -> None:
    order = lock_out(site, confirm_seconds=60)
    old = site.start("exchange")
    assert old.stdin is not None
    assert old.stdout is not None
    process = site.start("drain")
    site.wait(lambda: site.journal(order)["state"] == "confirming")
    out, _ = old.communicate(encode({"t": "confirm", "run": order.run}), timeout=60)
    answer = site.frames(out)[1]
    assert (answer["t"], answer["reason"]) == ("refused", "not-fresh")
    assert site.journal(order)["state"] == "confirming"
    site.exchange(encode({"t": "confirm", "run": order.run}))
    assert process.wait(timeout=60) == 0


def test_a_change_that_cannot_cut_off_needs_no_confirmation(site: Site) -> None:
    motd = site.system / "etc/motd"
    order = site.send({"playbook.yml": script({"write": str(motd), "text": "x"})}, confirm_seconds=600)
    site.drain()
    assert site.result(order)["outcome"] == "done"
    assert "confirming" not in site.states(order)


def test_an_order_that_asks_for_no_confirmation_gets_none(site: Site) -> None:
    order = lock_out(site, confirm_seconds=None)
    site.drain()
    assert site.result(order)["outcome"] == "done"


def test_a_failed_change_that_cut_the_site_off_is_reverted_too(site: Site) -> None:
    config = site.system / "etc/ssh/sshd_config"
    steps = script({"write": str(config), "text": "Port 2222\n"}, {"name": "Next", "fail": "half way"})
    order = site.send({"playbook.yml": steps}, confirm_seconds=1)
    site.drain()
    assert_as_before(site)
    assert site.result(order)["outcome"] == "reverted"
    assert site.result(order)["reason"].endswith("before that: Next: half way")


def test_an_outage_is_not_taken_for_a_lock_out(site: Site) -> None:
    """The line was up before the change and is down since: only time in which it is up counts."""
    order = lock_out(site, confirm_seconds=3)
    with listening() as hub:
        site.configure(probes=[hub])
        process = site.start("drain")
        site.wait(lambda: site.journal(order)["state"] == "applying")
        kill(process)
    with silent() as hub:
        site.configure(probes=[hub])
        process = site.start("drain")
        site.wait(lambda: (site.journal(order).get("waits") or {}).get("down", 0) > 4)
        assert site.journal(order)["line_before"] == "up"
        assert site.journal(order)["waits"]["line"] == "down"
        assert site.journal(order)["waits"]["up"] == 0
        assert site.journal(order)["state"] == "confirming"
        assert site.exchange(encode({"t": "confirm", "run": order.run}))[1]["t"] == "confirmed"
        assert process.wait(timeout=60) == 0
    assert site.result(order)["outcome"] == "done"


def test_a_line_that_never_comes_back_reverts_only_what_may_have_cut_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the bound: back if the line answered before the change; as it is if it was down already."""
    monkeypatch.setattr(confirming, "DOWN_AT_LEAST_SECONDS", 2.0)
    monkeypatch.setattr(confirming, "DOWN_FACTOR", 1)
    monkeypatch.setattr(line, "PROBE_TIMEOUT_SECONDS", 0.2)
    place = Place(site.root)
    with silent() as hub:
        site.configure(probes=[hub])
        for before, verdict in ((UP, True), (DOWN, False)):
            order = lock_out(site, confirm_seconds=1)
            run = runs.Run(site.root / "runs" / order.run)
            run.note(line_before=before)
            if before == DOWN:
                site.send({"playbook.yml": script()})  # a newer order, which only a stick can have brought
            found = Waiting(place, place.config(), run, {"sshd": ["etc/ssh/sshd_config"]}, 1).wait()
            assert found.revert is verdict
            run.note(state="done")


def test_a_power_cut_while_waiting_goes_on_waiting(site: Site) -> None:
    order = lock_out(site, confirm_seconds=5)
    process = site.start("drain")
    site.wait(lambda: (site.journal(order).get("waits") or {}).get("up", 0) > 1)
    kill(process)
    before = site.journal(order)["waits"]["up"]
    site.drain()
    assert site.result(order)["outcome"] == "reverted"
    assert before > 1
    assert site.states(order).count("confirming") == 1
    assert_as_before(site)


def dies_at(monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    """The process that brings back is killed just before its nth step: a path put back, one removed, the last look."""
    steps = itertools.count(1)

    def dying(real: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object) -> object:
            if next(steps) == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments)

        return step

    for module, name in ((restore, "_put_back"), (restore, "_remove"), (wayback, "difference")):
        monkeypatch.setattr(module, name, dying(getattr(module, name)))


@pytest.mark.parametrize("nth", range(1, 6))
def test_a_power_cut_while_bringing_back_ends_in_the_same_place(
    site: Site, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    order = lock_out(site, confirm_seconds=1)
    with monkeypatch.context() as cut:
        dies_at(cut, nth)
        assert site.child("drain")[0] == -signal.SIGKILL
    assert site.journal(order)["reverting"]
    assert not site.has_result(order)
    site.drain()
    assert site.result(order)["outcome"] == "reverted"
    assert_as_before(site)


def test_the_second_run_after_a_revert_starts_from_the_old_state(site: Site) -> None:
    lock_out(site, confirm_seconds=1)
    site.drain()
    again = lock_out(site, confirm_seconds=1)
    site.drain()
    assert site.result(again)["stats"]["changed"] == 3
    assert_as_before(site)


def line_to(site: Site, *probes: tuple[str, int]) -> str:
    found = Line(Place(site.root), Config("lab", "huong-khe", "huong-khe-srv1", probes=probes))
    try:
        return found.look()
    finally:
        found.close()


def test_a_line_is_up_when_anything_answers_even_with_no(site: Site) -> None:
    with listening() as (_, port):
        assert line_to(site, ("127.0.0.1", int(str(port)))) == UP
    assert line_to(site, ("127.0.0.1", int(str(port)))) == UP  # refused: somebody is there


def test_a_line_without_a_sign_is_down_or_cut_here_and_nobody_to_ask_is_unknown(site: Site) -> None:
    assert line_to(site, ("192.0.2.77", 9)) in (DOWN, CUT_HERE)
    assert line_to(site) == UNKNOWN


@pytest.mark.skipif(os.getuid() != 0, reason="owners can only be changed by root")
def test_owners_links_and_deep_directories_come_back(site: Site) -> None:
    etc = site.system / "etc"
    (etc / "ssh/keys").mkdir(mode=0o700)
    (etc / "ssh/keys/host").write_text("key")
    os.chown(etc / "ssh/keys/host", 12, 34)
    (etc / "localtime").symlink_to("/usr/share/zoneinfo/Asia/Ho_Chi_Minh")
    order = site.send(
        {
            "playbook.yml": script(
                {"remove": str(etc / "ssh/keys/host")},
                {"remove": str(etc / "localtime")},
                {"write": str(etc / "localtime"), "text": "a file now"},
            )
        },
        confirm_seconds=1,
    )
    site.drain()
    assert site.result(order)["outcome"] == "reverted"
    info = (etc / "ssh/keys/host").stat()
    assert (info.st_uid, info.st_gid) == (12, 34)
    assert str((etc / "localtime").readlink()) == "/usr/share/zoneinfo/Asia/Ho_Chi_Minh"


def test_accounts_of_packages_that_stay_survive_and_people_do_not(site: Site) -> None:
    etc = site.system / "etc"
    old = "root:x:0:0:root:/root:/bin/bash\ntram:x:1001:1001::/home/tram:/bin/bash\n"
    (etc / "passwd").write_text(old)
    new = old.replace("tram:/bin/bash", "tram:/usr/sbin/nologin").replace(
        "tram:x:1001:1001::/home/tram:/bin/bash\n", ""
    )
    postfix = "postfix:x:105:113::/var/spool/postfix:/usr/sbin/nologin\n"
    other = "backdoor:x:0:0::/root:/bin/bash\nsomebody:x:1002:1002::/home/somebody:/bin/bash\n"
    order = site.send(
        {"playbook.yml": script({"write": str(etc / "passwd"), "text": new + postfix + other})}, confirm_seconds=1
    )
    site.drain()
    assert site.result(order)["outcome"] == "reverted"
    assert (etc / "passwd").read_text() == old + postfix


def test_every_pattern_is_below_what_a_snapshot_holds() -> None:
    for patterns in CUTS_OFF.values():
        assert all(pattern.startswith(("etc/", "root/.ssh/", "home/*/.ssh/")) for pattern in patterns)
