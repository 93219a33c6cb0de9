"""Orders are carried out, one after the other, and told about."""

from __future__ import annotations

import pytest

from tram.core.frames import encode

from .host import NOW, Site, kill, pack_of, script

pytestmark = pytest.mark.slow


def test_a_run_goes_through_its_states_and_tells_what_changed(site: Site) -> None:
    target = site.system / "etc/motd"
    order = site.send(
        {
            "playbook.yml": script({"name": "mail : Say hello", "write": str(target), "text": "xin chào"}, {}),
            "verify.yml": script({"name": "mail : Look"}),
            "roles/mail/tasks/verify.yml": b"[]",
        }
    )
    site.drain()
    assert target.read_text() == "xin chào"
    assert site.states(order) == ["accepted", "verified", "snapshot", "applying", "verifying"]
    told = site.events(order)
    assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
    assert [(event["task"], event["status"]) for event in told if event["kind"] == "task"] == [
        ("mail : Say hello", "changed")
    ]
    result = told[-1]
    assert (result["kind"], result["outcome"], result["reason"]) == ("result", "done", "")
    assert (result["stats"]["ok"], result["stats"]["changed"]) == (2, 1)
    assert result["verify"] == [{"role": "mail", "ok": True, "message": ""}]
    assert site.journal(order)["state"] == "done"
    assert list((site.root / "queue").iterdir()) == []
    assert not (site.root / "runs" / order.run / "tree").exists()


def test_a_failed_task_fails_the_run_and_says_which(site: Site) -> None:
    order = site.send({"playbook.yml": script({"name": "mail : Break", "fail": "no such package"})})
    site.drain()
    assert site.result(order)["outcome"] == "failed"
    assert site.result(order)["reason"] == "mail : Break: no such package"


def test_a_service_that_does_not_prove_itself_fails_the_run(site: Site) -> None:
    order = site.send(
        {
            "playbook.yml": script(),
            "verify.yml": script({"name": "dns : Ask"}, {"name": "mail : Send", "fail": "connection refused"}),
            "roles/mail/tasks/verify.yml": b"[]",
            "roles/dns/tasks/verify.yml": b"[]",
        }
    )
    site.drain()
    result = site.result(order)
    assert result["outcome"] == "failed"
    assert result["reason"] == ("applied, but the service does not prove itself: mail : Send: connection refused")
    assert result["verify"] == [
        {"role": "dns", "ok": True, "message": ""},
        {"role": "mail", "ok": False, "message": "mail : Send: connection refused"},
    ]


def test_a_failed_run_is_undone_where_the_tree_says_so(site: Site) -> None:
    motd = site.system / "etc/motd"
    steps = script({"write": str(motd), "text": "half"}, {"name": "Break", "fail": "half way"})
    order = site.send({"playbook.yml": steps, "tram.json": b'{"on_failure":"restore"}'})
    site.drain()
    assert (site.result(order)["outcome"], site.result(order)["restored"]) == ("failed", True)
    assert not motd.exists()


def test_a_dry_run_changes_nothing(site: Site) -> None:
    target = site.system / "etc/motd"
    order = site.send({"playbook.yml": script({"write": str(target), "text": "x"})}, check=True, confirm_seconds=30)
    site.drain()
    assert not target.exists()
    assert (site.result(order)["outcome"], site.result(order)["stats"]["changed"]) == ("done", 1)


def test_an_order_that_comes_meanwhile_waits_its_turn(site: Site) -> None:
    trace = site.base / "trace"
    go = site.base / "go"
    first = site.send({"playbook.yml": script({"until": str(go)}, {"append": str(trace)})})
    process = site.start("drain")
    site.wait(lambda: site.journal(first)["state"] == "applying")
    second = site.send({"playbook.yml": script({"append": str(trace)}, {})})
    other = site.start("drain")  # as systemd would start it for the second one's mark
    assert other.wait(timeout=60) == 0
    assert site.journal(second)["state"] == "accepted"
    go.touch()
    assert process.wait(timeout=60) == 0
    assert [site.result(order)["outcome"] for order in (first, second)] == ["done", "done"]
    assert trace.read_text() == "xx"


def test_an_order_that_expired_while_it_waited_is_refused(site: Site) -> None:
    order = site.send({"playbook.yml": script()})
    # The machine is off for three days; the centre told its time before.
    clock = site.root / "clock.json"
    clock.write_text(clock.read_text().replace("2026-11-21T19:05:10Z", "2026-11-24T19:05:10Z"))
    site.drain()
    assert site.result(order)["outcome"] == "refused"
    assert site.result(order)["reason"].startswith("expired: the order waited here until 2026-11-24T")
    assert site.refusals()[-1]["reason"] == "expired"


def test_reports_are_told_until_they_are_acknowledged_and_then_retired(site: Site) -> None:
    orders = [site.send({"playbook.yml": script(), "n": str(number).encode()}) for number in range(7)]
    site.drain()
    state, *answers = site.exchange(encode({"t": "events"}))
    assert [run["run"] for run in state["runs"]] == [order.run for order in orders]
    assert [answer["events"][-1]["kind"] for answer in answers] == ["result"] * 7
    acks = [encode({"t": "ack", "run": a["run"], "seq": a["events"][-1]["seq"]}) for a in answers]
    site.exchange(*acks[:6])
    state, *answers = site.exchange(encode({"t": "events"}))
    assert [run["run"] for run in state["runs"]] == [orders[6].run]
    assert len(answers) == 1
    site.exchange(acks[6])
    assert len(list((site.root / "runs").iterdir())) == 5
    assert site.exchange()[0]["serial"] == 7
    assert len(list((site.root / "trees").iterdir())) == 5


def test_events_are_told_from_a_number(site: Site) -> None:
    order = site.send({"playbook.yml": script()})
    site.drain()
    answer = site.exchange(encode({"t": "events", "run": order.run, "from": 3}))[1]
    assert [event["seq"] for event in answer["events"]] == [3, 4, 5]
    assert answer["more"] is False


def test_an_acknowledgement_of_what_was_never_told_is_an_error(site: Site) -> None:
    order = site.send({"playbook.yml": script()})
    assert site.exchange(encode({"t": "ack", "run": order.run, "seq": 99}))[1]["message"] == "event 99 was never told"


def test_a_watcher_sees_events_and_progress_and_the_result(site: Site) -> None:
    steps = [{"name": f"step {n}", "write": str(site.base / f"f{n}"), "text": "x", "sleep": 1.5} for n in range(4)]
    order = site.send({"playbook.yml": script(*steps)})
    drain = site.start("drain")
    answers = site.exchange_until_result(encode({"t": "watch", "run": order.run, "from": 2}))
    assert drain.wait(timeout=10) == 0
    seen = [event for answer in answers if answer["t"] == "events" for event in answer["events"]]
    assert [event["seq"] for event in seen] == list(range(2, len(seen) + 2))
    assert seen[-1]["kind"] == "result"
    progress = [answer for answer in answers if answer["t"] == "progress"]
    assert progress
    assert progress[0]["of"] == 4


def test_what_roles_made_for_the_centre_can_be_fetched_and_nothing_else(site: Site) -> None:
    secrets = site.root / "runs" / "20261121T190500Z-000001" / "tree/secrets"
    order = site.send(
        {
            "playbook.yml": script(
                {"write": str(secrets / "pki/csr/srv1.csr"), "text": "request"},
                {"write": str(secrets / "pki/srv1.key"), "text": "never"},
                {"write": str(secrets / "dkim/x.txt"), "text": "v=DKIM1"},
            ),
            "secrets/dkim/old.txt": b"sent by the centre",
        }
    )
    site.drain()
    answers = site.exchange(encode({"t": "files", "run": order.run}))[1:]
    assert [(answer["t"], answer.get("path"), answer.get("bytes")) for answer in answers if answer["t"] != "data"] == [
        ("file", "dkim/x.txt", 7),
        ("file", "pki/csr/srv1.csr", 7),
        ("files", None, None),
    ]


def test_a_stick_brings_orders_and_takes_reports_back(site: Site) -> None:
    site.configure(start="spawn")
    order = site.order({"playbook.yml": script()})
    stick, answer = site.base / "order.frames", site.base / "answer.frames"
    # The local clock of the machine this runs on is not 2026; a stick's "now" is not believed either.
    order = site.order({"playbook.yml": script()}, **far_future())
    stick.write_bytes(site.frame(order, pack_of({"playbook.yml": script()}), now="1999-01-01T00:00:00Z"))
    assert site.child("accept", str(stick), "--answer", str(answer), "--wait", "60")[0] == 0
    kinds = [frame["t"] for frame in site.frames(answer.read_bytes())]
    assert kinds == ["state", "accepted", "events"]
    assert site.frames(answer.read_bytes())[-1]["events"][-1]["outcome"] == "done"


def test_an_expired_stick_is_refused_and_says_what_the_clock_says(site: Site) -> None:
    site.send({"playbook.yml": script()})  # the centre was on the line once and told its time
    order = site.order({"playbook.yml": script()}, expires=NOW.replace(second=5))
    stick = site.base / "order.frames"
    stick.write_bytes(site.frame(order, pack_of({"playbook.yml": script()})))
    code, output = site.child("accept", str(stick))
    assert code == 2
    refused = site.frames(output)[1]
    assert refused["reason"] == "expired"
    assert "this host's time is 2026-11-21T19:05:1" in refused["message"]
    assert "(its clock says " in refused["message"]


def test_status_says_what_stands(site: Site) -> None:
    order = site.send({"playbook.yml": script({"name": "x", "fail": "broken"})})
    site.drain()
    said = site.child("status")[1].decode()
    assert "lab/huong-khe/huong-khe-srv1: serial 1" in said
    assert f"{order.run}  playbooks/mail.yml  failed: x: broken" in said


def test_a_run_on_which_the_runner_itself_fails_does_not_block_the_next(site: Site) -> None:
    first = site.send({"playbook.yml": script()})
    site.configure(executor=["/nonexistent"])
    for _ in range(3):
        site.drain(check=False)
    assert site.result(first)["outcome"] == "failed"
    assert site.result(first)["reason"].startswith("the runner itself failed 3 times: FileNotFoundError")


def test_a_killed_watcher_leaves_the_run_alone(site: Site) -> None:
    go = site.base / "go"
    order = site.send({"playbook.yml": script({"until": str(go)})})
    drain, watcher = site.start("drain"), site.start("exchange")
    assert watcher.stdin is not None
    watcher.stdin.write(encode({"t": "watch", "run": order.run}))
    watcher.stdin.flush()
    kill(watcher)
    go.touch()
    assert drain.wait(timeout=60) == 0
    assert site.result(order)["outcome"] == "done"


def far_future() -> dict[str, object]:
    return {"expires": NOW.replace(year=2199)}
