"""The quick way to a host: what it refuses before a byte is sent (that is OpenSSH's to judge), and what it says of a
host that is not there. That it works is shown by tests/stories/test_audit.py: every host of a lab is asked so."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import paramiko
import pytest

from tram.core.run import run
from tram.look import eager, ssh
from tram.look.eager import NotThisWay, Way, ask


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "id"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path])
    return path


def way(key: Path, place: Path, known: str, port: int = 1) -> Way:
    (place / "known_hosts").write_text(known.replace("KEY", public(key)), encoding="utf-8")
    return Way("127.0.0.1", port, "tram", key, place / "known_hosts")


def public(key: Path) -> str:
    return " ".join(key.with_suffix(".pub").read_text(encoding="utf-8").split()[:2])


@pytest.mark.parametrize(
    "known",
    [
        "",
        "192.0.2.1 KEY\n",
        "@cert-authority * KEY\n",
        "[127.0.0.1]:1 ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAQQ==\n",
        "[127.0.0.1]:1 KEY\n@revoked * KEY\n",
        "[127.0.0.1]:22 KEY\n",
        "[127.0.0.1]:1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5\n",
    ],
)
def test_without_an_ed25519_key_pinned_for_it_it_is_left_to_openssh(key: Path, tmp_path: Path, known: str) -> None:
    with pytest.raises(NotThisWay):
        ask(way(key, tmp_path, known), "true", b"", connect=2, whole=5)


@pytest.mark.parametrize("hashed", [False, True])
def test_where_nothing_listens_that_is_said(key: Path, tmp_path: Path, hashed: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    name = f"[127.0.0.1]:{port}"
    known = f"{paramiko.HostKeys.hash_host(name) if hashed else name} KEY\n"
    with pytest.raises(ConnectionRefusedError):
        ask(way(key, tmp_path, known, port), "true", b"", connect=2, whole=5)


def test_what_answers_and_speaks_no_ssh_is_left_to_openssh(key: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(NotThisWay):
            ask(way(key, tmp_path, f"[127.0.0.1]:{port} KEY\n", port), "true", b"", connect=0.5, whole=5)


class Talking:
    """A transport whose host has let us in and says what `part` gives, for ever."""

    offers: dict[str, str] = {}  # noqa: RUF012 (never changed)

    def __init__(self, part: Callable[[], bytes]) -> None:
        self.channel, self.recv = self, lambda _size: part()

    def admitted(self, _until: float) -> bool:
        return True

    def settimeout(self, _seconds: float) -> None:
        pass

    def recv_stderr_ready(self) -> bool:
        return False

    exit_status_ready = recv_stderr_ready


def listened(part: Callable[[], bytes], within: float) -> eager.Answered:
    return eager._listen(cast("Any", Talking(part)), time.monotonic() + within)


def test_a_host_that_goes_on_word_by_word_is_not_listened_to_for_ever() -> None:
    def part() -> bytes:
        time.sleep(0.01)
        return b"."

    assert listened(part, within=0.3).late


def test_a_host_that_says_far_too_much_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eager, "MOST", 10**6)
    said = listened(lambda: bytes(65536), within=30)
    assert (len(said.out) < 2 * 10**6, said.late, said.words.strip()) == (True, False, "it says far too much")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "out", "late", "words"),
    [
        ("cat; echo end >&2; exit 3", b"given" * 10**5, False, "end\n"),
        ("exec yes", None, False, "\nit says far too much"),
        ("exec yes >&2", b"", False, None),
        ("cat >/dev/null; echo some; exec sleep 60", b"some\n", True, ""),
        ("exec <&-; echo none", b"none\n", False, ""),
    ],
    ids=["all", "too much", "too many words", "late", "takes no input"],
)
def test_openssh_is_listened_to_as_long_and_as_much(
    monkeypatch: pytest.MonkeyPatch, script: str, out: bytes | None, late: bool, words: str | None
) -> None:
    monkeypatch.setattr(eager, "MOST", 10**6)
    pipe = subprocess.PIPE
    with subprocess.Popen(["sh", "-c", script], stdin=pipe, stdout=pipe, stderr=pipe) as process:
        said = ssh._converse(process, b"given" * 10**5, 2.0)
    assert len(said[0]) + len(said[1]) < 2 * 10**6
    assert (out is None or said[0] == out, words is None or said[1].decode() == words, said[2]) == (True, True, late)
