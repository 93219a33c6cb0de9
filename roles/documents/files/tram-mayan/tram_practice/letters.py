"""A mailbox's letters one by one: what is taken, and what is left and told of. Knows IMAP; neither Mayan nor Django."""

from __future__ import annotations

import imaplib
import logging
import re
import textwrap
from collections.abc import Callable, Iterable
from datetime import timedelta
from email.message import EmailMessage
from typing import Protocol

logger = logging.getLogger("tram_practice.letters")
TAKEN = "TramDaVaoSo"
"""A keyword on a letter that is a document now; the letter itself stays, for people."""
UNREAD = "TramKhongDoc"
"""A keyword on a letter that could not be made one in a few tries: a person has to look."""
SHOWN = 3
"""Tries until it bears the keyword."""
FIRST, LONGEST = timedelta(minutes=2), timedelta(days=1)


class Withheld(Exception):
    """The server has a letter and does not hand it out."""


class Memory(Protocol):
    """What is remembered of a mailbox's letters that could not be taken."""

    def of(self, validity: int) -> None:
        """What the mailbox's UIDs are of (UIDVALIDITY): those of a mailbox built anew are of other letters."""

    def due(self, uid: int) -> bool:
        """Whether it is to be tried now."""

    def failed(self, uid: int, why: str) -> int:
        """Remember a try; how many there were."""

    def keep(self, uids: Iterable[int]) -> None:
        """Forget all but these: who took or deleted the others."""


def wait(tries: int) -> timedelta:
    """How long after so many tries until the next: a fault of an hour is over by itself, one of a letter never is."""
    return min(FIRST * (1 << min(tries, 12)), LONGEST)


def validity(imap: imaplib.IMAP4) -> int:
    """The chosen mailbox's UIDVALIDITY; 0: the server says none. Source: RFC 3501, 2.3.1.1."""
    _, said = imap.response("UIDVALIDITY")
    word = said[0] if said else None
    return int(word) if isinstance(word, bytes) and word.isdigit() else 0


def body(imap: imaplib.IMAP4, uid: int) -> bytes | None:
    """A letter as it is; None: deleted meanwhile, and the server's answer has no such part.

    Raises Withheld.
    """
    code, parts = imap.uid("FETCH", str(uid), "(BODY.PEEK[])")
    if code != "OK":
        raise Withheld(f"máy chủ thư không đưa ra · the mail server says {code}: {parts}")
    for part in parts or []:
        if isinstance(part, tuple):
            found: bytes = part[1]
            return found
    return None


def take(imap: imaplib.IMAP4, user: str, memory: Memory, one: Callable[[bytes], int]) -> int:
    """Hand each letter that is not taken to `one`; the sum of what it answers. One that raises holds up none behind it.

    Raises what the connection does.
    """
    code, found = imap.uid("SEARCH", f"UNKEYWORD {TAKEN}")
    if code != "OK":
        raise imaplib.IMAP4.error(f"SEARCH: {code} {found}")
    uids = [int(word) for word in (found[0] or b"").split()]
    memory.of(validity(imap))
    memory.keep(uids)
    count = 0
    for uid in filter(memory.due, uids):
        try:
            raw = body(imap, uid)
        except Withheld as error:
            put_off(imap, user, memory, uid, error)
            continue
        if raw is None:
            continue
        try:
            count += one(raw)
        except Exception as error:  # whatever a letter is made of: it stays where it is, and is told of
            put_off(imap, user, memory, uid, error)
            continue
        imap.uid("STORE", str(uid), "-FLAGS.SILENT", f"({UNREAD})")
        imap.uid("STORE", str(uid), "+FLAGS.SILENT", f"({TAKEN})")
    return count


def put_off(imap: imaplib.IMAP4, user: str, memory: Memory, uid: int, error: Exception) -> None:
    """Tell of a letter that could not be taken; after a few tries it is marked for people, too."""
    tries = memory.failed(uid, f"{type(error).__name__}: {error}"[:500])
    logger.error("%s: thư %s chưa thành văn bản, lần %s · letter not taken", user, uid, tries, exc_info=error)
    if tries >= SHOWN:
        imap.uid("STORE", str(uid), "+FLAGS.SILENT", f"({UNREAD})")


def words(part: EmailMessage) -> str:
    """The text of a part; of a character set that Python does not know, what of it is UTF-8."""
    try:
        found = str(part.get_content())
    except (LookupError, UnicodeError):
        raw = part.get_payload(decode=True)
        found = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
    return found.replace("\0", " ")


def lines(text: str, most: int) -> list[str]:
    """A letter's text in lines of a page; what is beyond `most` is said, and stays in the mailbox."""
    plain = re.sub(r"<[^<>]*>", " ", text) if "<html" in text.lower() else text
    found = [part for line in plain.splitlines() for part in (textwrap.wrap(line, 80) or [""])]
    if len(found) > most:
        said = f"… còn {len(found) - most} dòng, đọc trong hộp thư · {len(found) - most} more lines, in the mailbox"
        found[most:] = ["", said]
    return found
