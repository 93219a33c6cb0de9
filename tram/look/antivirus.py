"""What antivirus is in effect on a host, by its own word; nothing is believed that does not read as it should."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tram.look.fleet import look_at_all
from tram.look.program import Look, Seen, harmless
from tram.look.ssh import Looked
from tram.register import Host, Province

LOOK = Look("antivirus", "tram-antivirus status --json", timedelta(seconds=60))


@dataclass(frozen=True, slots=True)
class Found:
    """A file in which a signature was found; `path` has bytes that are no UTF-8 as \\xNN."""

    at: datetime
    path: str
    name: str
    action: str
    id: str


@dataclass(frozen=True, slots=True)
class Antivirus:
    """A host's antivirus. `unknown` is empty, or why nothing can be said; then everything else is None or empty.

    `active` is None when the scanner does not answer; `age` is of the installed release.
    """

    host: str
    unknown: str = ""
    engine: str | None = None
    profile: str | None = None
    profile_why: str | None = None
    installed: int | None = None
    active: int | None = None
    age: timedelta | None = None
    official: str | None = None
    error: str | None = None
    scanned: datetime | None = None
    rss_bytes: int | None = None
    on_access: str | None = None
    findings: tuple[Found, ...] = ()


def look_at_antivirus(
    province: Province, hosts: Sequence[Host], *, parallel: int = 8, tell: Callable[[Antivirus], None] | None = None
) -> list[Antivirus]:
    """The antivirus of each host, in the order given; one that cannot be asked is unknown.

    Raises: ProgramFailed when there is no ssh here.
    """
    heard = (lambda looked: tell(read(looked))) if tell else None
    return [read(looked) for looked in look_at_all(province, hosts, [LOOK], parallel=parallel, tell=heard)]


def read(looked: Looked) -> Antivirus:
    """What a host answered."""
    if looked.error:
        return Antivirus(looked.host, unknown=looked.error)
    seen = looked.seen[LOOK.name]
    if seen.ended or seen.code != 0:
        return Antivirus(looked.host, unknown=_why(seen))
    try:
        return _read(looked.host, json.loads(seen.text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Antivirus(looked.host, unknown=f"its answer does not read as a status: {error}")


def _why(seen: Seen) -> str:
    if seen.code == 127:
        return "it has no tram-antivirus: run playbooks/antivirus.yml"
    return seen.ended or f"tram-antivirus status ended with {seen.code}"


def _read(host: str, said: dict[str, Any]) -> Antivirus:
    scanned, clamd, official, age = said["scanned"], said["clamd"], said["official"], said["age_seconds"]
    return Antivirus(
        host=host,
        engine=_text(said["engine"]),
        profile=_text(said["profile"]),
        profile_why=_text(said["profile_why"]),
        installed=_number(said["installed"]),
        active=_number(said["active"]),
        age=None if age is None else timedelta(seconds=float(age)),
        official=None if official is None else json.dumps(official),
        error=_text(said["error"]),
        scanned=_time(scanned["ended"]) if scanned else None,
        rss_bytes=_number(clamd["rss_bytes"]) if clamd else None,
        on_access=_text(said["on_access"]),
        findings=tuple(
            Found(
                datetime.fromisoformat(one["at"]),
                harmless(str(one["path"])),
                harmless(str(one["name"])),
                harmless(str(one["action"])),
                harmless(str(one["id"] or "")),
            )
            for one in said["findings"]
        ),
    )


def _text(value: object) -> str | None:
    return None if value is None else harmless(str(value))


def _number(value: object) -> int | None:
    return None if value is None else int(str(value))


def _time(value: object) -> datetime | None:
    return None if value is None else datetime.fromisoformat(str(value))
