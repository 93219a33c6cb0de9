"""One way to write a document as bytes, so that a signature or a digest of it means the same everywhere.

UTF-8 JSON, keys sorted, no blanks, letters as they are, no NaN, no final newline. Times: RFC 3339, UTC, whole seconds.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NoReturn

from tram.core.errors import BadInput

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}")


class BadDocument(BadInput):
    """A document that crossed a border and is not what it must be; nothing of it was used.

    `reason` is one word for machines: `malformed`, `format` (a version unknown here), `too-large` or `path`.
    """

    def __init__(self, message: str, *, reason: str = "malformed", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


def dumps(obj: object) -> bytes:
    """The canonical bytes of plain data (mappings with text keys, lists, text, numbers, booleans, null).

    Raises: BadDocument for what JSON cannot say: NaN, keys that are no text, half a surrogate pair, a cycle.
    """
    try:
        _check_keys(obj)
        text = json.dumps(obj, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
        return text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BadDocument(f"cannot be written as canonical JSON: {error}") from error


def loads(data: bytes, *, what: str, limit: int) -> object:
    """Plain data from canonical bytes, and from nothing else: the same data written otherwise is refused.

    `what` begins every error; `limit` is the most bytes that are looked at.

    Raises: BadDocument.
    """
    if len(data) > limit:
        raise BadDocument(f"{what}: {len(data)} bytes, at most {limit} are read", reason="too-large")
    try:
        found = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
        again = dumps(found)
    except (ValueError, RecursionError, BadDocument) as error:
        raise BadDocument(f"{what}: is not canonical JSON: {error}") from error
    if again != data:
        raise BadDocument(f"{what}: is not canonical JSON: written in another way than its content demands")
    return found


def digest(data: bytes) -> str:
    """SHA-256 of the bytes as 64 small hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def is_digest(text: object) -> bool:
    """Whether this is a digest as `digest` writes it."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def fields(found: object, names: frozenset[str], *, what: str) -> Mapping[str, object]:
    """The object with exactly these keys.

    Raises: BadDocument naming every missing and every unknown key.
    """
    if not isinstance(found, dict):
        raise BadDocument(f"{what}: is {kind(found)}, not an object")
    problems = [f'"{name}" is missing' for name in sorted(names - found.keys())]
    problems += [f'"{name}" is not known' for name in sorted(found.keys() - names)]
    if problems:
        raise BadDocument(f"{what}: {'; '.join(problems)}")
    return found


def check_format(found: object, known: int, *, what: str) -> None:
    """Look at the key "format" before anything else, because the rest of an unknown one means nothing here.

    Raises: BadDocument (reason `format`).
    """
    given = found.get("format") if isinstance(found, dict) else None
    if type(given) is int and given == known:
        return
    if type(given) is int:
        raise BadDocument(
            f"{what}: format {given} is not known here, only format {known}",
            reason="format",
            hint="bring this side's runtime up to date first",
        )
    raise BadDocument(f'{what}: has no "format" that is a whole number', reason="format")


def kind(value: object) -> str:
    """What a value is, in JSON's words, for errors."""
    words = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a whole number"}
    return "null" if value is None else words.get(type(value), "a number")


def format_time(at: datetime) -> str:
    """A moment to the second, in UTC: 2026-11-21T19:05:00Z. `at` must know its zone."""
    return at.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def parse_time(text: object, *, what: str) -> datetime:
    """The moment that `format_time` wrote.

    Raises: BadDocument.
    """
    try:
        if isinstance(text, str) and _TIME.fullmatch(text):
            return datetime.fromisoformat(text[:-1]).replace(tzinfo=UTC)
    except ValueError:
        pass
    shown = json.dumps(text, ensure_ascii=False) if isinstance(text, str) else kind(text)
    raise BadDocument(f"{what}: {shown} is not a time such as 2026-11-21T19:05:00Z")


def _check_keys(obj: object) -> None:
    """json would turn the key 1 into "1" without a word."""
    if isinstance(obj, Mapping):
        for key, value in obj.items():
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is not text")
            _check_keys(value)
    elif isinstance(obj, list | tuple):
        for value in obj:
            _check_keys(value)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number")
