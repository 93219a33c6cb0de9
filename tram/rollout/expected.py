"""What a rebuild will take: the backup at the line's rate, everything else as the last rebuild took it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tram.core.files import write_whole
from tram.register import Link, Province
from tram.rollout.forecast import carry_seconds

# Where nothing was measured yet; a district's mail server in the lab, its packages near (test_replace.py).
GUESS_SECONDS = 150.0
GUESS_BYTES = 66_000_000
# Each question to a repository is a borg of its own: it starts, asks its way in and reads the list of archives.
BORG_SECONDS = 2.0
BORG_ROUND_TRIPS = 30


@dataclass(frozen=True, slots=True)
class Measured:
    """A rebuild that was done: `apart` is what it took apart from bringing back, `waited` what that took beyond the
    line's time for its bytes."""

    host: str
    at: str
    apart_seconds: float
    apart_bytes: int | None
    waited_seconds: float


@dataclass(frozen=True, slots=True)
class Expected:
    """A rebuild to come. `bytes` and `seconds` are of all of it, `restore_` of bringing the backup back alone; `like`:
    of which rebuild's measure it is made, or nothing for a guess."""

    restore_bytes: int
    restore_seconds: float
    bytes: int
    seconds: float
    like: str


def expect(contents: Mapping[str, Any], link: Link | None, last: Measured | None) -> Expected:
    """What bringing this archive to a bare machine behind `link` will take. `contents`: as the hub tells it."""
    size = int(contents["line_bytes"])
    waited = last.waited_seconds if last else _questions(contents) * (BORG_SECONDS + BORG_ROUND_TRIPS * _trip(link))
    restore = _carried(size, link) + waited
    more = last.apart_bytes if last and last.apart_bytes is not None else GUESS_BYTES
    apart = last.apart_seconds if last else GUESS_SECONDS + _carried(more, link)
    like = f"{last.host}, {last.at}" if last else ""
    return Expected(size, round(restore, 1), size + more, round(restore + apart, 1), like)


def measured(host: str, report: Mapping[str, Any], link: Link | None) -> Measured:
    """What a rebuild took, by its report."""
    done = report["done"]
    came = sum(int(one["bytes_on_line"]) for one in done["restore"]["said"].values())
    counted = [done[name]["said"] for name in ("before", "after") if name in done]
    crossed = counted[1] - counted[0] - came if len(counted) == 2 else -1
    apart = sum(one["seconds"] for name, one in done.items() if name != "restore")
    waited = max(0.0, done["restore"]["seconds"] - _carried(came, link))
    return Measured(host, done["restore"]["at"], round(apart, 1), crossed if crossed >= 0 else None, round(waited, 1))


def remember(province: Province, one: Measured) -> None:
    """Keep it for the next forecast."""
    file = _file(province)
    kept = _read(file) | {one.host: asdict(one)}
    write_whole(file, json.dumps(kept, indent=1, sort_keys=True))


def last_like(province: Province, host: str) -> Measured | None:
    """The last rebuild of this host; of any other, the newest; None before the first."""
    kept = [Measured(**one) for one in _read(_file(province)).values()]
    return max(kept, key=lambda one: (one.host == host, one.at), default=None)


def said(expected: Expected) -> dict[str, Any]:
    """As JSON has it."""
    return {
        "forecast_bytes": expected.restore_bytes,
        "forecast_seconds": round(expected.restore_seconds),
        "forecast_whole_bytes": expected.bytes,
        "forecast_whole_seconds": round(expected.seconds),
        "forecast_like": expected.like,
    }


def _questions(contents: Mapping[str, Any]) -> int:
    services = contents["services"].values()
    return len(services) + 2 * sum(len(paths) for paths in services)


def _carried(size: int, link: Link | None) -> float:
    return carry_seconds(size, size // 50, link) if link else 0.0


def _trip(link: Link | None) -> float:
    return link.rtt.total_seconds() if link else 0.0


def _file(province: Province) -> Path:
    return province.secrets_dir / "backup/rebuild/measured.json"


def _read(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found
