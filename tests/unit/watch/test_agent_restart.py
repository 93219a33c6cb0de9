"""What the agent and the hub's taker tell although a disk is full, power is lost, or too much is sent."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from ...role_module import load

agent = load("watch_agent_restart", "watch_site/files/agent.py")
take = load("watch_take_restart", "watch_hub/files/take.py")


def test_what_was_lost_is_told_also_after_a_loss_of_power(tmp_path: Path) -> None:
    spool = agent.Spool(tmp_path, 2 * agent.BLOCK)
    for at in (1, 2, 3):
        spool.add(at, b"up 1\n")
    again = agent.Spool(tmp_path, 2 * agent.BLOCK)
    assert again.told() == spool.told()
    again.add(4, b"up 1\n")
    assert (again.times, again.dropped) == ([3, 4], 2)


@pytest.mark.parametrize("held", [b"", b"\0" * 12, b"\xff 1", b"many 1"])
def test_a_count_that_the_disk_spoilt_begins_anew(tmp_path: Path, held: bytes) -> None:
    (tmp_path / "dropped").write_bytes(held)
    assert agent.Spool(tmp_path, agent.BLOCK).dropped == 0


def test_a_count_that_a_full_disk_did_not_take_is_written_when_it_takes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = agent.Spool(tmp_path, 10_000_000)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(spool, "_write", full)
        spool.lose(2)
    assert agent.Spool(tmp_path, 10_000_000).dropped == 0
    spool.add(1, b"up 1\n")
    assert agent.Spool(tmp_path, 10_000_000).dropped == 2


def test_a_status_that_cannot_be_written_ends_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    agent._note(tmp_path / "away/said.json", {"error": ""})
    assert "said.json says what was before" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "length", "code"),
    [("/take?a=b", 3_000_000, b"413"), ("/take?a=b", 3, b"422"), ("/take", 900_000, b"422")],
    ids=["too-long", "too-short", "nobodys"],
)
def test_who_is_refused_hears_why(path: str, length: int, code: bytes) -> None:
    server = take.Server(("127.0.0.1", 0), "127.0.0.1:9")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        with socket.create_connection(server.server_address, timeout=20) as client:
            client.sendall(f"POST {path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n".encode() + b"x" * length)
            answer = client.makefile("rb").read()
    finally:
        server.shutdown()
        server.server_close()
    assert answer.split()[1] == code
    assert b"Connection: close" in answer
