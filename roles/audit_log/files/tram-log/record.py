"""What travels from a host to the hub: records of the journal, and how the hub writes them down.

A frame is 4 bytes of length and a piece of one zlib stream that lasts as long as the connection, so that each batch is
compressed with the words of the ones before. Inside is JSON, one value a line: `{"cursor": …, "gap": …}`, then records.
"""

from __future__ import annotations

import datetime
import json
import re
import socket
from typing import Any

MAX_FRAME = 1 << 20
MAX_BATCH_BYTES = 1 << 20
MAX_MESSAGE = 4000
MAX_WORD = 64
SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
# fmt: off
FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)
# fmt: on
# All that could end a line, hide it or move a terminal's cursor: C0, DEL, C1, line separators, overrides of direction.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class BadFrame(Exception):
    """What came over the line is no frame, or more than one may be."""


def receive(sock: socket.socket, count: int) -> bytes:
    """Exactly that many bytes.

    Raises:
        ConnectionError: the other side is gone.
    """
    parts = []
    while count:
        part = sock.recv(min(count, 1 << 16))
        if not part:
            raise ConnectionError("the other side closed the connection")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def frame(content: bytes) -> bytes:
    """The bytes with their length before them."""
    return len(content).to_bytes(4, "big") + content


def read_frame(sock: socket.socket, limit: int = MAX_FRAME) -> bytes:
    """One frame.

    Raises:
        BadFrame: it says that it is larger than may be.
    """
    size = int.from_bytes(receive(sock, 4), "big")
    if size > limit:
        raise BadFrame(f"a frame of {size} bytes")
    return receive(sock, size)


def from_journal(entry: dict[str, Any]) -> list[Any]:
    """A journal entry as it travels: microseconds, severity, facility, identifier, pid, uid, message."""
    ident = _text(entry.get("SYSLOG_IDENTIFIER") or entry.get("_COMM") or entry.get("_TRANSPORT"))
    pid = _number(entry.get("SYSLOG_PID") or entry.get("_PID"))
    severity, facility = _number(entry.get("PRIORITY"), 6), _number(entry.get("SYSLOG_FACILITY"), 3)
    if entry.get("_TRANSPORT") == "audit":
        facility = 13
    message = _text(entry.get("MESSAGE"))
    if len(message) > MAX_MESSAGE:
        message = f"{message[:MAX_MESSAGE]}… [+{len(message) - MAX_MESSAGE}]"
    uid = _number(entry.get("_UID"))
    return [int(entry["__REALTIME_TIMESTAMP"]), severity, facility, ident[:MAX_WORD], pid, uid, message]


def _text(value: Any) -> str:
    """Text of a field: bytes that are no UTF-8 come as numbers, several fields of one name as a list."""
    if isinstance(value, list):
        if all(isinstance(item, int) for item in value):
            return bytes(value).decode("utf-8", "backslashreplace")
        return " ".join(_text(item) for item in value)
    return "" if value is None else str(value)


def _number(value: Any, default: int = 0) -> int:
    if isinstance(value, list):
        value = value[0] if value else default
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else default


def line(host: str, record: Any) -> str:
    """A record as the hub writes it: one printable line, whatever the sender put into it.

    Raises:
        BadFrame: it is no record.
    """
    if not isinstance(record, list) or len(record) != 7:
        raise BadFrame("a record with other than 7 parts")
    micros, severity, facility, ident, pid, uid, message = record
    numbers = (micros, severity, facility, pid, uid)
    if not all(type(item) is int and 0 <= item < 1 << 53 for item in numbers):
        raise BadFrame("a record whose numbers are none")
    if not isinstance(ident, str) or not isinstance(message, str) or severity > 7 or facility >= len(FACILITIES):
        raise BadFrame("a record of wrong types")
    try:
        at = datetime.datetime.fromtimestamp(micros / 1_000_000, datetime.UTC).astimezone()
    except (ValueError, OverflowError) as error:
        raise BadFrame("a record of no time") from error
    who = printable(ident[:MAX_WORD]).replace(" ", "_") or "-"
    # The uid is the kernel's word: `logger -t sshd` of an ordinary user shows as what it is.
    user = f" uid={uid}" if uid else ""
    stamp = at.isoformat(timespec="microseconds")
    return (
        f"{stamp} {host} {FACILITIES[facility]}.{SEVERITIES[severity]} {who}[{pid}]{user}: "
        f"{printable(message[: MAX_MESSAGE + 40])}"
    )


def printable(text: str) -> str:
    """The text with everything that is not to be shown written as an escape."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text.replace("\\", "\\\\"))


def dumps(value: Any) -> bytes:
    """One line of JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
