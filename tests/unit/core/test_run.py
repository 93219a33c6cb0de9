"""The one door to outside programs: no shell, no waiting for ever, and an error that names what failed."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tram.core.errors import ProgramFailed
from tram.core.run import run


def test_what_a_program_printed_and_how_it_ended_comes_back(tmp_path: Path) -> None:
    program = "import os,sys; print(sys.stdin.read(), os.getcwd(), os.environ['WORD']); print('no', file=sys.stderr)"
    ran = run([sys.executable, "-c", program], stdin="yes", cwd=tmp_path, env={"WORD": "xin chào"})
    assert (ran.code, ran.stdout, ran.stderr) == (0, f"yes {tmp_path} xin chào\n", "no\n")


def test_no_shell_reads_the_words() -> None:
    assert run(["printf", "%s|", "$HOME", "a b", "; exit 3", "*"]).stdout == "$HOME|a b|; exit 3|*|"


def test_without_input_a_program_reads_an_empty_one() -> None:
    assert run(["cat"], timeout=timedelta(seconds=20)).stdout == ""


def test_bytes_that_are_no_text_are_replaced_not_fatal() -> None:
    assert run(["printf", r"a\377b"]).stdout == "a\ufffdb"


def test_a_failure_is_said_with_the_command_its_code_and_its_last_words() -> None:
    with pytest.raises(ProgramFailed) as failed:
        run(["sh", "-c", "echo first >&2; echo 'a b' >&2; exit 7"])
    assert failed.value.message == """sh -c 'echo first >&2; echo '"'"'a b'"'"' >&2; exit 7': exit 7: a b"""
    assert failed.value.exit_code == 1


def test_a_failure_that_is_asked_about_is_an_answer() -> None:
    assert run(["sh", "-c", "exit 7"], check=False).code == 7
    assert run(["sh", "-c", "kill -9 $$"], check=False).code == -9


def test_a_program_that_is_missing_is_said_to_be() -> None:
    with pytest.raises(ProgramFailed, match="no-such-program: no such program") as failed:
        run(["no-such-program"])
    assert failed.value.hint


def test_a_program_that_does_not_end_is_ended() -> None:
    with pytest.raises(ProgramFailed, match="not finished after 0 s"):
        run(["sleep", "600"], timeout=timedelta(milliseconds=200))
