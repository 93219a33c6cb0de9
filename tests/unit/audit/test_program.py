"""The batch of looks, run by a real shell: framed, bounded, and read back whatever is around it."""

from __future__ import annotations

import gzip
import subprocess
import tracemalloc
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from tram.look import Look, Seen
from tram.look.program import COMMAND, LIMIT_BYTES, Ended, packed, program, read

NONCE = "n0nce"


def shell(looks: Sequence[Look], *, before: str = "", place: Path | None = None) -> dict[str, Seen]:
    """What sh makes of it, given the program on its input as ssh gives it."""
    words = before + program(looks, NONCE)
    done = subprocess.run(["sh"], input=words.encode(), capture_output=True, timeout=60, check=False, cwd=place)
    return read(done.stdout, looks, NONCE)


def test_each_look_gives_its_words_and_its_exit_code() -> None:
    seen = shell(
        [Look("one", "echo một; exit 3"), Look("two", "printf 'a\\n\\n@look n0nce two 0 1\\nx'"), Look("no", ":")]
    )
    assert seen == {"one": Seen("một\n", 3), "two": Seen("a\n\n@look n0nce two 0 1\nx", 0), "no": Seen("", 0)}


def test_a_banner_before_between_and_a_look_that_reads_its_input_do_no_harm() -> None:
    noisy = "echo Chào mừng; echo '@look else one 0 3'; printf abc\n"
    seen = shell([Look("one", "cat; echo a"), Look("two", "echo b")], before=noisy)
    assert [one.text for one in seen.values()] == ["a\n", "b\n"]


@pytest.mark.slow
def test_a_look_that_hangs_is_ended_and_the_next_ones_are_done() -> None:
    second = timedelta(seconds=1)
    seen = shell(
        [
            Look("slow", "echo first; sleep 60", second),
            Look("deaf", "trap '' TERM; sleep 60", second),
            Look("two", "echo b"),
        ]
    )
    assert [one.ended for one in seen.values()] == [Ended.TOO_SLOW, Ended.TOO_SLOW, ""]
    assert seen["two"].text == "b\n"


def test_a_program_that_is_missing_is_told_from_one_that_fails() -> None:
    seen = shell([Look("gone", "no-such-program-of-ours"), Look("bad", "false")])
    assert [(one.code, one.ended) for one in seen.values()] == [(127, Ended.NOT_THERE), (1, "")]


def test_a_look_that_prints_without_end_is_cut_off() -> None:
    seen = shell([Look("much", f"head -c {LIMIT_BYTES + 1} /dev/zero | tr '\\0' x"), Look("two", "echo b")])
    assert (seen["much"].text, seen["much"].ended) == ("", Ended.TOO_LONG)
    assert seen["two"].text == "b\n"


def test_an_answer_that_breaks_off_keeps_what_came() -> None:
    looks = [Look("one", ":"), Look("two", ":")]
    answer = b"\n@look n0nce one 0 2\nok\n@look n0nce two 0 9\nhal"
    assert read(answer, looks, NONCE) == {"one": Seen("ok", 0), "two": Seen("", -1, Ended.MISSING)}


def test_nothing_is_written_where_it_runs(tmp_path: Path) -> None:
    shell([Look("one", "echo a"), Look("two", "pwd")], place=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_frames_that_came_whole_count_though_the_line_broke_in_the_next_and_garbage_stands_between() -> None:
    looks = [Look("one", ":"), Look("two", ":")]
    whole, torn = (gzip.compress(f"\n@look n0nce {name} 0 3\nok\n".encode()) for name in ("one", "two"))
    answer = b"Ch\x1f\x8b\x08o!" + whole + b"\x1f\x8b\x08banner" + torn[:-12]
    assert read(answer, looks, NONCE)["one"] == Seen("ok\n", 0)
    assert read(whole, looks, NONCE)["two"].ended == Ended.MISSING


def test_an_answer_that_unpacks_without_end_does_not_fill_the_memory() -> None:
    bomb = gzip.compress(bytes(200 * LIMIT_BYTES))
    tracemalloc.start()
    seen = read(bomb * 50, [Look("one", ":")], NONCE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen["one"].ended == Ended.MISSING
    assert peak < 100 * LIMIT_BYTES


def test_what_is_sent_is_packed_and_what_the_host_is_told_is_always_the_same() -> None:
    words = program([Look("one", "echo a")], NONCE)
    inner = COMMAND.removeprefix("exec sudo -n ")
    ran = subprocess.run(["sh", "-c", inner], input=packed(words), capture_output=True, timeout=60, check=False)
    assert read(ran.stdout, [Look("one", "")], NONCE) == {"one": Seen("a\n", 0)}
