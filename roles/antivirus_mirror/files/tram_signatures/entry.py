"""One thing the province knows: a hash, a byte pattern, a YARA rule, or a file that is no virus."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .words import Refused

KINDS = ("sha256", "md5", "ndb", "yara", "allow")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
RULE = re.compile(r"^\s*(?:(?:private|global)\s+)*rule\s+([A-Za-z_][A-Za-z0-9_]{0,127})", re.MULTILINE)
PATTERN = re.compile(r"[0-9A-Fa-f?*{}()|!\[\]-]+")
YARA_MAX_BYTES = 256_000
FIXED_BYTES = 8
"""A pattern with fewer bytes that must be there finds half the disk."""
EMPTY = {hashlib.sha256(b"").hexdigest(), hashlib.md5(b"").hexdigest()}  # noqa: S324  (what ClamAV calls it by)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the sources."""

    name: str
    kind: str
    value: str
    """The hash, the line of an .ndb without its name, or the rule's text."""
    size: int | None = None
    note: str = ""
    when: str = ""
    who: str = ""
    sweep: bool = False

    def line(self) -> str:
        """As it stands in the sources."""
        shown = {key: value for key, value in asdict(self).items() if value not in (None, "", False)}
        return json.dumps(shown, ensure_ascii=False)

    @property
    def finds(self) -> tuple[str, str, int | None]:
        """What it says, whoever said it."""
        return self.kind, self.value, self.size


def checked(entry: Entry) -> Entry:
    """The entry as it is kept.

    Raises: Refused, when ClamAV would not understand it or half the disk would be found by it.
    """
    name = entry.name.removeprefix("Tram.")
    if not NAME.fullmatch(name) or name.startswith("Canary.") or name == "Test.EICAR":
        raise Refused(
            f"tên {entry.name!r} không dùng được: chữ không dấu, số, . _ -, tối đa 80; không Canary.*, Test.EICAR",
            f"name {entry.name!r} cannot be used: letters, digits, . _ -, at most 80; not Canary.*, Test.EICAR",
        )
    if len(entry.note) > 200 or any(ord(letter) < 32 for letter in entry.note):
        raise Refused("ghi chú phải là một dòng, tối đa 200 chữ", "the note must be one line of at most 200 letters")
    value = _VALUES[entry.kind](entry.value, entry.size)
    return Entry(name, entry.kind, value, entry.size, entry.note, entry.when, entry.who, entry.sweep)


def _sha256(value: str, size: int | None) -> str:
    return _hash(value, size, 64, "SHA-256")


def _md5(value: str, size: int | None) -> str:
    if size is None:
        raise Refused("MD5 cần kèm kích thước tệp (--size)", "an MD5 needs the file's size (--size)")
    return _hash(value, size, 32, "MD5")


def _hash(value: str, size: int | None, digits: int, what: str) -> str:
    if not re.fullmatch(rf"[0-9A-Fa-f]{{{digits}}}", value):
        raise Refused(
            f"{value[:80]!r} không phải {what}: cần đúng {digits} chữ số hệ 16",
            f"{value[:80]!r} is no {what}: {digits} hexadecimal digits are needed",
        )
    if value.lower() in EMPTY or size == 0:
        raise Refused("tệp rỗng không thể là vi-rút", "the empty file is no virus")
    if size is not None and not 0 < size < 2**32:
        raise Refused(f"kích thước {size} không hợp lệ", f"{size} is no size of a file ClamAV scans")
    return value.lower()


def _ndb(value: str, _size: int | None) -> str:
    fields = value.strip().split(":")
    if len(fields) not in (3, 4, 5) or any(ord(letter) < 33 or ord(letter) > 126 for letter in value.strip()):
        raise Refused(
            "dòng .ndb phải là Tên:Loại:Vị trí:Mẫu hệ 16 (thêm tối đa hai mức), không có dấu cách",
            "a line of .ndb is Name:Target:Offset:Hex (and up to two levels), without blanks",
        )
    target, offset, pattern = fields[:3]
    if not re.fullmatch(r"[0-9]|1[0-4]", target):
        raise Refused(f"loại tệp {target!r} không có (0 đến 14)", f"there is no target {target!r} (0 to 14)")
    if not PATTERN.fullmatch(pattern) or not offset:
        raise Refused(f"mẫu {pattern[:60]!r} không phải hệ 16", f"{pattern[:60]!r} is no pattern in hexadecimal")
    fixed = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\([^)]*\)|[?*].?|.\?", "", pattern)
    if len(fixed) < 2 * FIXED_BYTES:
        raise Refused(
            f"mẫu chỉ có {len(fixed) // 2} byte cố định, cần ít nhất {FIXED_BYTES}: sẽ báo nhầm khắp nơi",
            f"the pattern fixes {len(fixed) // 2} bytes, {FIXED_BYTES} are needed: it would find half the disk",
        )
    return ":".join(fields)


def _yara(value: str, _size: int | None) -> str:
    if len(value.encode()) > YARA_MAX_BYTES:
        raise Refused(f"luật YARA quá {YARA_MAX_BYTES} byte", f"the YARA rules are over {YARA_MAX_BYTES} bytes")
    if not RULE.search(value):
        raise Refused("không có luật YARA nào (rule TÊN {…})", "there is no YARA rule in it (rule NAME {…})")
    if found := re.search(r"^\s*(import|include)\b", value, re.MULTILINE):
        raise Refused(
            f"ClamAV không hiểu {found[1]!r} trong luật YARA", f"ClamAV does not know {found[1]!r} in YARA rules"
        )
    return value if value.endswith("\n") else value + "\n"


_VALUES = {"sha256": _sha256, "md5": _md5, "ndb": _ndb, "yara": _yara, "allow": _sha256}


def parsed(text: str, where: Path) -> list[Entry]:
    """Read the sources.

    Raises: Refused, with the line: people edit this file, too.
    """
    entries: list[Entry] = []
    names: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            given: dict[str, Any] = json.loads(line)
            if given.get("kind") not in KINDS:
                raise Refused(f"không có loại {given.get('kind')!r}", f"there is no kind {given.get('kind')!r}")
            entry = checked(Entry(**given))
            if entry.name in names:
                raise Refused(f"tên {entry.name} có hai lần", f"name {entry.name} is there twice")
        except (ValueError, TypeError, AttributeError, Refused) as error:
            raise Refused(f"{where}, dòng {number}: {error}", f"line {number} cannot be used") from error
        names.add(entry.name)
        entries.append(entry)
    return entries


def written(entries: Iterable[Entry]) -> str:
    """The sources as text: the same entries are the same text."""
    return "".join(entry.line() + "\n" for entry in entries)
