"""The looks of a host as one shell program, and its answer read back: framed, so that no banner gets between."""

from __future__ import annotations

import gzip
import re
import shlex
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

LIMIT_BYTES = 400_000
"""More than this of one look is cut off, and the look is unknown: a host must not fill the centre's memory."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
# What a terminal or a page obeys instead of showing it: control characters, and those that turn the reading direction.
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")

# POSIX sh, as dash has it. `l NAME SECONDS COMMAND` runs one look and frames it. A look has no input, so that it cannot
# swallow the program; `timeout` ends its whole group; nice because the host has its own work. No file is written:
# what a look prints is held in a variable. Byte counts because LC_ALL=C. Each frame is a gzip member of its own, so
# that those that came before a line broke are whole.
_HEAD = """\
exec 2>/dev/null </dev/null
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
renice -n 10 $$ >/dev/null
l() {
o=$(timeout -k 1 "$2" sh -c "$3"; echo "/$?")
c=${o##*/}
o=${o%/*}
[ ${#o} -le %LIMIT% ] || { c=cut; o=; }
printf '\\n@look %s %s %s %s\\n%s' "%NONCE%" "$1" "$c" ${#o} "$o" | gzip -c
}
"""
COMMAND = "exec sudo -n sh -c 'p=$(gzip -dc) && eval \"$p\"'"
"""What a host is told to run; its input is the program, `packed`. Constant, because sudo writes it to the journal."""

# Where the program is sh's own input, what is still unread of it would be lost with `exec </dev/null`: so all of it is
# one function that is read whole before it runs.
_WHOLE = "tram_looks() {{\n{body}\n}}\ntram_looks\nexit\n"


class Ended(StrEnum):
    """Why a look has no answer; the words are shown to operators as they are."""

    NOT_THERE = "the program it asks is not on this host"
    TOO_SLOW = "it did not end in time"
    TOO_LONG = "it printed too much"
    MISSING = "the host's answer broke off before it"


@dataclass(frozen=True, slots=True)
class Look:
    """One thing to look at: a command for /bin/sh that only reads, and how long it may take."""

    name: str
    command: str
    within: timedelta = timedelta(seconds=10)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} cannot name a look")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look printed, with its exit code; `ended` says why nothing can be said, empty when all is well."""

    text: str
    code: int
    ended: str = ""


def program(looks: Iterable[Look], nonce: str) -> str:
    """The whole batch; `nonce` (letters and digits) marks its frames apart from whatever else the host prints."""
    head = _HEAD.replace("%LIMIT%", str(LIMIT_BYTES)).replace("%NONCE%", nonce)
    body = "\n".join(
        f"l {look.name} {max(1, round(look.within.total_seconds()))} {shlex.quote(look.command)}" for look in looks
    )
    return _WHOLE.format(body=f"{head}{body}\nprintf '\\n@look %s end 0 0\\n' {nonce}")


def packed(words: str) -> bytes:
    """The program as it travels."""
    return gzip.compress(words.encode(), mtime=0)


def read(answer: bytes, looks: Sequence[Look], nonce: str) -> dict[str, Seen]:
    """Each look's answer. One whose frame is missing or broken off is there too, with `ended` set."""
    found: dict[str, Seen] = {}
    frame = re.compile(rb"\n@look " + nonce.encode() + rb" ([a-z0-9_]+) ([0-9]+|cut) ([0-9]+)\n")
    answer = _unpacked(answer, most=4 * len(looks) + 16)
    at = 0
    while match := frame.search(answer, at):
        at = match.end() + int(match[3])
        if at > len(answer):
            break
        found[match[1].decode()] = _seen(match[2].decode(), answer[match.end() : at])
    return {look.name: found.get(look.name, Seen("", -1, Ended.MISSING)) for look in looks}


def harmless(text: str) -> str:
    """A host's words, to be shown to people: blanks and line ends stay, all else that is obeyed is replaced."""
    return _OBEYED.sub("\ufffd", text)


def _unpacked(answer: bytes, most: int) -> bytes:
    """The answer with every gzip member in it (RFC 1952) replaced by what is inside; no more than `most` of them, and
    none that holds more than a look may print: a host must not fill the centre's memory."""
    out, at, members = bytearray(), 0, 0
    room = len(answer) + most * LIMIT_BYTES // 4
    while (start := answer.find(b"\x1f\x8b\x08", at)) >= 0 and members < most and len(out) < room:
        out += answer[at:start]
        opener, at, members = zlib.decompressobj(31), start + 3, members + 1
        try:
            out += opener.decompress(memoryview(answer)[start:], 2 * LIMIT_BYTES)
        except zlib.error:
            continue  # not one of ours
        if opener.unconsumed_tail:
            continue
        at = len(answer) - len(opener.unused_data)
    return bytes(out + answer[at:])


def _seen(code: str, raw: bytes) -> Seen:
    if code == "cut":
        return Seen("", -1, Ended.TOO_LONG)
    text = raw.decode("utf-8", "replace")
    if code in ("124", "137"):  # timeout(1): it was ended, or had to be killed
        return Seen(text, int(code), Ended.TOO_SLOW)
    return Seen(text, int(code), Ended.NOT_THERE if code == "127" else "")
