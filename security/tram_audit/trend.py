"""How hosts stood over the audits that were kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tram_audit.audit import kept
from tram_audit.judging import Status

POINTS = 12
"""Audits of a host that are shown when nobody says how many."""
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Point:
    """A host in one audit: how many controls stood how; `seen` is false when it did not answer, or not to the end."""

    at: datetime
    counts: Mapping[Status, int]
    seen: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """A control that fails on a host, and since which of the kept audits it does so without a break."""

    host: str
    control: str
    since: datetime
    audits: int


@dataclass(frozen=True, slots=True)
class Trend:
    """The last audits of each host, oldest first; what fails there now, the longest first."""

    points: Mapping[str, tuple[Point, ...]]
    standing: tuple[Standing, ...]


def trend(place: Path, hosts: Iterable[str], last: int = POINTS) -> Trend:
    """Read what is kept in `place`; a host of which nothing is kept has no points."""
    points: dict[str, list[Point]] = {host: [] for host in hosts}
    failing: dict[tuple[str, str], list[datetime]] = {}
    for data in kept(place):
        at = datetime.fromisoformat(data["at"])
        for host in data["hosts"]:
            name = host["host"]
            if name not in points:
                continue
            counts = {Status(status): count for status, count in host["counts"].items()}
            points[name].append(Point(at, counts, not host["error"]))
            judged = {verdict["control"] for verdict in host["verdicts"]}
            for key in [key for key in failing if key[0] == name and key[1] not in judged]:
                del failing[key]  # no control any more, or not one of this host's
            for verdict in host["verdicts"]:
                key = (name, verdict["control"])
                if verdict["status"] == Status.FAIL:
                    failing.setdefault(key, []).append(at)
                elif verdict["status"] != Status.UNKNOWN:  # who did not answer has not been mended
                    failing.pop(key, None)
    standing = [Standing(host, control, times[0], len(times)) for (host, control), times in failing.items()]
    standing.sort(key=lambda one: (one.since, one.host, one.control))
    return Trend({host: tuple(found[-last:]) for host, found in points.items()}, tuple(standing))


def plain_trend(found: Trend) -> dict[str, Any]:
    """The trend for machines: docs/contracts/audit.md."""
    return {
        "format": "tram-audit-trend/1",
        "hosts": {
            host: [{"at": _stamp(one.at), "seen": one.seen, "counts": dict(one.counts)} for one in points]
            for host, points in found.points.items()
        },
        "standing": [
            {"host": one.host, "control": one.control, "since": _stamp(one.since), "audits": one.audits}
            for one in found.standing
        ],
    }


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ends(points: Iterable[Point], status: Status = Status.FAIL) -> str:
    """How many stood so at first and do now, "?" for what was not seen: "3 → ?"."""
    found = list(points)
    first = next((str(point.counts.get(status, 0)) for point in found if point.seen), "?")
    return f"{first} → {found[-1].counts.get(status, 0) if found and found[-1].seen else '?'}"


def spark(points: Iterable[Point], status: Status = Status.FAIL) -> str:
    """One bar an audit, as high as how many controls stood so; "·" where the host was not seen."""
    found = list(points)
    most = max((point.counts.get(status, 0) for point in found if point.seen), default=0)
    return "".join(
        "·"
        if not point.seen
        else _BARS[round((len(_BARS) - 1) * point.counts.get(status, 0) / most)]
        if most
        else _BARS[0]
        for point in found
    )


def curve(points: Iterable[Point], width: int = 120, height: int = 24) -> str:
    """The same as an SVG's polyline points, "x,y x,y …"; hosts not seen are left out."""
    found = [(at, point.counts.get(Status.FAIL, 0)) for at, point in enumerate(points) if point.seen]
    if not found:
        return ""
    last, most = max(found[-1][0], 1), max(*(count for _, count in found), 1)
    return " ".join(
        f"{2 + at * (width - 4) / last:.1f},{height - 2 - count * (height - 4) / most:.1f}" for at, count in found
    )
