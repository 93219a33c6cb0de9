"""Nothing is clean that the scanner did not call clean."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tram_mayan import clamd


def scanner(path: Path, answer: bytes, *, read: bool = True) -> Iterator[None]:
    """One connection to something that speaks like clamd."""
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        door.listen()

        def serve() -> None:
            connection, _ = door.accept()
            with connection:
                got = b""
                while read and not got.endswith(b"\0\0\0\0"):
                    got += connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(5)


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (b"stream: Tram.Test.EICAR FOUND\0", clamd.Infected, "Tram.Test.EICAR"),
        (b"INSTREAM size limit exceeded. ERROR\0", clamd.NoAnswer, "size limit exceeded"),
        (b"", clamd.NoAnswer, "closed"),
        (b"stream: OK but not quite\0", clamd.NoAnswer, "not quite"),
    ],
)
def test_what_is_not_called_clean_is_not(tmp_path: Path, answer: bytes, error: type[Exception], said: str) -> None:
    for _ in scanner(tmp_path / "s", answer):
        with pytest.raises(error, match=said):
            clamd.scan([b"x" * 10], str(tmp_path / "s"), 5)


def test_what_is_called_clean_passes(tmp_path: Path) -> None:
    for _ in scanner(tmp_path / "s", b"stream: OK\0"):
        clamd.scan([b"x", b"", b"y"], str(tmp_path / "s"), 5)


def test_a_scanner_that_is_not_there_or_says_nothing_knows_nothing(tmp_path: Path) -> None:
    with pytest.raises(clamd.NoAnswer):
        clamd.scan([b"x"], str(tmp_path / "nobody"), 1)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "s"))
        door.listen()
        with pytest.raises(clamd.NoAnswer, match="timed out"):
            clamd.scan([b"x"], str(tmp_path / "s"), 0.2)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ("Tram.Test.EICAR", "mã độc Tram.Test.EICAR"),
        ("Heuristics.Encrypted.PDF", "Hãy bỏ mật khẩu rồi gửi lại"),
        ("Heuristics.Encrypted.Zip", "Hãy bỏ mật khẩu rồi gửi lại"),
        ("Heuristics.Limits.Exceeded.MaxFileSize", "chia thành nhiều tệp"),
    ],
)
def test_who_sent_it_is_told_what_to_do(found: str, told: str) -> None:
    said = clamd.refusal("công văn.pdf", found)
    assert "“công văn.pdf”" in said
    assert told in said
    assert " · " in said
