"""Hosts that do not answer, do not let us in, or cannot do it: named each, exit 1, and the password is nowhere."""

from __future__ import annotations

import json
import socket
import threading
from datetime import timedelta
from typing import Any

import pytest

pytestmark = pytest.mark.slow

HOST = "huong-khe-srv1"


def entry(desk: Any, host: Any) -> list[str]:
    desk.wire(host.port)
    return [HOST, "--accept-new", "--password-file", desk.file("first-password", host.password + "\n")]


def test_a_host_that_does_not_answer(simulate: Any, desk: Any) -> None:
    host = simulate()
    words = entry(desk, host)
    host.close()
    seen = desk.bootstrap(*words)
    assert seen.code == 1
    assert f"{HOST}: no answer at 203.0.113.10 port 22: nothing that speaks ssh answers there" in seen.out
    assert "không liên lạc được · not reached" in seen.out


def test_a_port_where_something_else_listens(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            line, _ = listener.accept()
            line.sendall(b"220 mail.huong-khe.tinh.example ESMTP\r\n" * 200)
            line.close()

        threading.Thread(target=greet, daemon=True).start()
        desk.wire(listener.getsockname()[1])
        seen = desk.bootstrap(HOST, "--accept-new")
    assert seen.code == 1
    assert f"{HOST}: no answer at 203.0.113.10 port 22: nothing that speaks ssh answers there" in seen.out


def test_a_wrong_password(simulate: Any, desk: Any) -> None:
    host = simulate()
    words = entry(desk, host)
    host.password = "changed since"
    seen = desk.bootstrap(*words)
    assert seen.code == 1
    assert f"{HOST}: root is not let in with the password nor 1 key(s)" in seen.out
    assert "give root's password with --password-file or --ask-password" in seen.out
    assert host.commands == []


def test_a_line_that_breaks_in_the_middle(simulate: Any, desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tram.act.session.PING_EVERY", timedelta(seconds=1))
    host = simulate()
    host.hangs_up_on = "sh -s"
    words = entry(desk, host)
    seen = desk.bootstrap(*words)
    assert seen.code == 1
    assert f"{HOST}: the connection broke in the middle of the work" in seen.out
    assert "run this again when the line is back" in seen.out
    host.hangs_up_on = ""
    again = desk.bootstrap(*words)
    assert again.code == 0, again.out


def test_a_host_that_falls_silent_in_the_middle(simulate: Any, desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tram.act.session.SILENCE", timedelta(seconds=2))
    monkeypatch.setattr("tram.act.session.PING_EVERY", timedelta(seconds=1))
    host = simulate()
    host.falls_silent_on = "sh -s"
    seen = desk.bootstrap(*entry(desk, host))
    assert seen.code == 1
    assert f"{HOST}: the connection broke in the middle of the work" in seen.out


def test_a_host_where_a_step_cannot_be_done(simulate: Any, desk: Any) -> None:
    host = simulate()
    host.script_error = "apt cannot install sudo: E: Unable to locate package sudo"
    seen = desk.bootstrap(*entry(desk, host))
    assert seen.code == 1
    assert f"{HOST}: apt cannot install sudo: E: Unable to locate package sudo" in seen.out


def test_the_others_go_on_and_every_one_is_named(simulate: Any, desk: Any) -> None:
    host = simulate()
    words = entry(desk, host)[1:]
    config = desk.state / "ssh_config"
    config.write_text("Host 203.0.113.10\n  ProxyCommand false\n" + config.read_text())
    seen = desk.bootstrap("--all", "--json", *words)
    assert seen.code == 1
    ended = {row["host"]: (row["outcome"], row["problem"] and row["problem"]["kind"]) for row in json.loads(seen.out)}
    assert ended == {
        "trung-tam-hub1": ("done", None),
        "so-noi-vu-srv1": ("done", None),
        HOST: ("not reached", "NotReached"),
    }


def test_the_password_is_in_no_output_and_no_command(
    simulate: Any, desk: Any, caplog: pytest.LogCaptureFixture
) -> None:
    host = simulate()
    host.password = "Mật-khẩu-9f3e"
    caplog.set_level(0)
    good = desk.bootstrap(*entry(desk, host))
    host.operator = None
    words = entry(desk, host)
    host.password = "changed since"
    bad = desk.bootstrap(*words)
    assert (good.code, bad.code) == (0, 1)
    said = [good.out, good.err, bad.out, bad.err, caplog.text, *host.commands]
    assert not [text for text in said if "9f3e" in text]
