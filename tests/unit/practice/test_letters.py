"""A mailbox's letters one by one, with a server that is a dictionary."""

from __future__ import annotations

import imaplib
from collections.abc import Iterable
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest

from ...role_module import load

letters = load("tram_practice_letters", "documents/files/tram-mayan/tram_practice/letters.py")


class Imap:
    """Letters by UID with their keywords; `listed` are found though they are gone."""

    def __init__(self, held: dict[int, bytes], listed: tuple[int, ...] = (), fault: str = "") -> None:
        self.held, self.listed, self.fault = held, listed, fault
        self.said: list[bytes | None] = [b"1700000000"]
        self.words: dict[int, set[str]] = {uid: set() for uid in held}

    def response(self, code: str) -> tuple[str, list[bytes | None]]:
        assert code == "UIDVALIDITY"
        return code, self.said

    def uid(self, command: str, *said: str) -> tuple[str, list[Any]]:
        if command == self.fault and said[0] != "2":
            return "NO", [b"[SERVERBUG] Internal error occurred"]
        if command == "SEARCH":
            there = [uid for uid, words in self.words.items() if letters.TAKEN not in words]
            return "OK", [" ".join(map(str, (*self.listed, *there))).encode()]
        uid = int(said[0])
        if command == "FETCH":
            # What Dovecot answers for a letter that was expunged: nothing of it.
            return "OK", [(b"1 (BODY[] {9}", self.held[uid]), b")"] if uid in self.held else [None]
        word = said[2].strip("()")
        (self.words[uid].add if said[1].startswith("+") else self.words[uid].discard)(word)
        return "OK", [None]


class Memory:
    """Tries by UID, of one build of the mailbox; always due."""

    def __init__(self) -> None:
        self.tries: dict[int, int] = {}
        self.validity = 1_700_000_000

    def of(self, validity: int) -> None:
        if validity != self.validity:
            self.validity, self.tries = validity, {}

    def due(self, _uid: int) -> bool:
        return True

    def failed(self, uid: int, _why: str) -> int:
        self.tries[uid] = self.tries.get(uid, 0) + 1
        return self.tries[uid]

    def keep(self, uids: Iterable[int]) -> None:
        self.tries = {uid: tries for uid, tries in self.tries.items() if uid in set(uids)}


def one(raw: bytes) -> int:
    if raw == b"bad":
        raise ValueError("a NUL in it")
    return 1


def test_a_letter_nobody_can_read_is_counted_and_marked_and_holds_up_no_other() -> None:
    imap, memory = Imap({1: b"bad", 2: b"good"}), Memory()
    assert [letters.take(imap, "x", memory, one) for _ in range(3)] == [1, 0, 0]
    assert (memory.tries, imap.words) == ({1: 3}, {1: {letters.UNREAD}, 2: {letters.TAKEN}})


def test_a_letter_that_the_server_does_not_hand_out_is_told_of_like_one_nobody_can_read() -> None:
    imap, memory = Imap({1: b"good", 2: b"good"}, fault="FETCH"), Memory()
    assert [letters.take(imap, "x", memory, one) for _ in range(3)] == [1, 0, 0]
    assert (memory.tries, imap.words) == ({1: 3}, {1: {letters.UNREAD}, 2: {letters.TAKEN}})


def test_a_mailbox_that_cannot_be_searched_is_a_fault_of_the_mailbox() -> None:
    memory = Memory()
    memory.tries = {1: 2}
    with pytest.raises(imaplib.IMAP4.error, match="SERVERBUG"):
        letters.take(Imap({1: b"good"}, fault="SEARCH"), "x", memory, one)
    assert memory.tries == {1: 2}


def test_a_letter_that_can_be_read_after_all_bears_the_keyword_no_more() -> None:
    imap, memory = Imap({1: b"good"}), Memory()
    imap.words[1].add(letters.UNREAD)
    assert letters.take(imap, "x", memory, one) == 1
    assert imap.words[1] == {letters.TAKEN}


def test_a_letter_that_was_deleted_meanwhile_is_passed_over_and_one_that_left_is_forgotten() -> None:
    imap, memory = Imap({2: b"good"}, listed=(1,)), Memory()
    memory.tries = {7: 4}
    assert letters.take(imap, "x", memory, one) == 1
    assert memory.tries == {}


def test_in_a_mailbox_built_anew_a_number_is_another_letters() -> None:
    imap, memory = Imap({1: b"bad"}), Memory()
    letters.take(imap, "x", memory, one)
    letters.take(imap, "x", memory, one)
    rebuilt = Imap({1: b"bad"})
    rebuilt.said = [b"1700000001"]
    assert letters.take(rebuilt, "x", memory, one) == 0
    assert (memory.tries, rebuilt.words) == ({1: 1}, {1: set()})


@pytest.mark.parametrize("said", [[None], [], [b"x"]])
def test_a_server_that_does_not_say_what_its_numbers_are_of_is_read_all_the_same(said: list[bytes | None]) -> None:
    imap, memory = Imap({1: b"good"}), Memory()
    imap.said = said
    assert letters.take(imap, "x", memory, one) == 1
    assert memory.validity == 0


def test_a_letter_is_tried_ever_more_rarely_but_each_day() -> None:
    assert [letters.wait(tries) for tries in (1, 2, 3, 100)] == [
        timedelta(minutes=4),
        timedelta(minutes=8),
        timedelta(minutes=16),
        timedelta(days=1),
    ]


@pytest.mark.parametrize(
    ("charset", "written", "said"),
    [("x-nobody", "Kính gửi".encode(), "Kính gửi"), ("utf-8", b"a\0b", "a b"), ("utf-8", b"\xff!", "\ufffd!")],
)
def test_a_text_in_whatever_characters_is_a_text(charset: str, written: bytes, said: str) -> None:
    head = f"Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: 8bit\n\n".encode()
    part = message_from_bytes(head + written, EmailMessage, policy=policy.default)
    assert letters.words(part).strip() == said


def test_what_does_not_fit_on_the_pages_is_said() -> None:
    assert letters.lines("a\n\n" + "b" * 81, 9) == ["a", "", "b" * 80, "b"]
    assert letters.lines("a\nb\nc\nd", 2)[:2] == ["a", "b"]
    assert "còn 2 dòng" in letters.lines("a\nb\nc\nd", 2)[-1]
    assert letters.lines("<html><b>a</b></html>", 9)[0].strip() == "a"
