"""Logs at the hub: what was acknowledged stays, what was changed is found, what a host says stays in its own line."""

from __future__ import annotations

import datetime
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

PROGRAM = Path(__file__).parents[3] / "roles/audit_log/files/tram-log"
HOST = "srv1.huong-khe.tinh.example"
NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture(scope="module", autouse=True)
def program() -> Iterator[None]:
    """The role's program can be imported."""
    sys.path.insert(0, str(PROGRAM))
    yield
    sys.path.remove(str(PROGRAM))


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


def written(top: Path, batches: int = 5) -> Path:
    """A log of two days."""
    book = module("chain").Book(top, HOST)
    for number in range(batches):
        now = NOW + datetime.timedelta(days=number // 3)
        book.append([f"{number} one", f"{number} two"], f"s=a;i={number}", now)
    status = {"full": False, "hosts": {HOST: {"heard": 1 << 40, "n": book.head.number, "seal": book.head.seal}}}
    (top / "status.json").write_text(json.dumps(status))
    return top / HOST


def test_a_log_that_nobody_touched_holds_and_goes_on_where_it_was(tmp_path: Path) -> None:
    directory = written(tmp_path)
    found = module("chain").verify(directory)
    assert (found.lines, found.head.number, found.head.cursor) == (10, 5, "s=a;i=4")
    assert module("chain").Book(tmp_path, HOST).head == found.head


@pytest.mark.slow
@pytest.mark.parametrize("place", range(14))
def test_each_line_that_is_changed_or_taken_out_is_found(tmp_path: Path, place: int) -> None:
    directory = written(tmp_path)
    first, second = module("chain").days(directory)
    for change in ("changed", "gone"):
        for file in (first, second):
            whole = file.read_bytes()
            lines = whole.splitlines(keepends=True)
            if place >= len(lines):
                continue
            lines[place] = lines[place].replace(b"o", b"0", 1).replace(b"1", b"2", 1) if change == "changed" else b""
            file.write_bytes(b"".join(lines))
            assert checked(tmp_path) == 1, (file, place, change)
            file.write_bytes(whole)
    assert checked(tmp_path) == 0


def test_a_missing_file_a_missing_end_and_a_missing_beginning_are_found(tmp_path: Path) -> None:
    directory = written(tmp_path)
    for file in module("chain").days(directory):
        whole = file.read_bytes()
        file.unlink()
        assert checked(tmp_path) == 1
        file.write_bytes(whole)
    last = module("chain").days(directory)[-1]
    lines = last.read_bytes().splitlines(keepends=True)
    last.write_bytes(b"".join(lines[:-3]))
    assert checked(tmp_path) == 1


def checked(top: Path) -> int:
    """The exit code of the check command."""
    ran = subprocess.run([sys.executable, "-B", PROGRAM / "check.py", top], capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    return ran.returncode


def test_a_host_that_is_silent_or_was_never_heard_of_is_unknown(tmp_path: Path) -> None:
    written(tmp_path)
    expected = tmp_path / "expected"
    expected.write_text(f"{HOST}\nsrv1.so-noi-vu.tinh.example\n")
    command = [sys.executable, "-B", PROGRAM / "check.py", tmp_path, "--expect", expected]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, "srv1.so-noi-vu.tinh.example unknown: was never heard of" in ran.stdout) == (3, True)
    status = json.loads((tmp_path / "status.json").read_text())
    status["hosts"][HOST]["heard"] = 1
    (tmp_path / "status.json").write_text(json.dumps(status))
    assert checked(tmp_path) == 3


@pytest.mark.parametrize("rest", [b"half a li", b"5 one\n", b"5 one\n#seal n=6 at=x cursor= sha256=12", b"\x00" * 4096])
def test_what_was_written_without_its_seal_is_cut_off_and_the_chain_goes_on(tmp_path: Path, rest: bytes) -> None:
    directory = written(tmp_path)
    last = module("chain").days(directory)[-1]
    with last.open("ab") as file:
        file.write(rest)
    book = module("chain").Book(tmp_path, HOST)
    assert (book.repaired, book.head.number) == (len(rest), 5)
    book.append(["5 one"], "s=a;i=5", NOW + datetime.timedelta(days=1))
    assert module("chain").verify(directory).head == book.head


def test_a_file_that_was_begun_and_never_sealed_is_made_again(tmp_path: Path) -> None:
    directory = written(tmp_path)
    (directory / "9999-12-30.log").write_bytes(b"#tram-log 1 host=")
    assert module("chain").Book(tmp_path, HOST).head.number == 5
    assert module("chain").verify(directory).head.number == 5


@pytest.mark.parametrize("name", ["", "srv1", "../x.y", "a/b.c", "A.b", "a..b", "a.b\n", "-a.b"])
def test_a_name_that_is_no_hosts_opens_no_log(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no name of a host"):
        module("chain").Book(tmp_path, name)


@pytest.mark.slow
@given(st.text(max_size=300), st.text(max_size=80))
def test_whatever_a_host_sends_is_one_printable_line_that_is_no_seal(message: str, ident: str) -> None:
    line = module("record").line(HOST, [1_700_000_000_000_000, 5, 10, ident, 1, 1000, message])
    assert line.splitlines() == [line]
    assert line.isprintable() or all(letter.isprintable() or not letter.isascii() for letter in line)
    assert line[0].isdigit()


@pytest.mark.parametrize(
    "record",
    [
        None,
        [],
        [1, 2],
        ["1", 5, 10, "a", 1, 0, "m"],
        [1, 9, 10, "a", 1, 0, "m"],
        [1, 5, 99, "a", 1, 0, "m"],
        [1, 5, 10, None, 1, 0, "m"],
        [True, 5, 10, "a", 1, 0, "m"],
        [1 << 60, 5, 10, "a", 1, 0, "m"],
        [-1, 5, 10, "a", 1, 0, "m"],
    ],
)
def test_what_is_no_record_is_refused(record: object) -> None:
    with pytest.raises(module("record").BadFrame):
        module("record").line(HOST, record)


def test_an_entry_of_the_journal_keeps_time_program_and_who_it_was() -> None:
    entry = {
        "__REALTIME_TIMESTAMP": "1700000000000001",
        "PRIORITY": "5",
        "SYSLOG_FACILITY": "10",
        "SYSLOG_IDENTIFIER": "sudo",
        "_PID": "7",
        "_UID": "1000",
        "MESSAGE": [0xC3, 0xA1, 0xFF, 10],
    }
    assert module("record").from_journal(entry) == [1700000000000001, 5, 10, "sudo", 7, 1000, "á\\xff\n"]
