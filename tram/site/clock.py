"""What time it is on a machine whose battery may be dead: by the centre's word, not the local clock alone."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tram.core.canonical import BadDocument, format_time, parse_time
from tram.site import durable
from tram.site.place import Place


def boot() -> str:
    """This boot's name: another one after every start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def uptime() -> float:
    """Seconds since the machine started, sleep included; the one clock nobody sets."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def learn(place: Place, told: datetime) -> None:
    """Keep what a live session said the time is."""
    at = {"at": format_time(told), "local": format_time(datetime.now(UTC)), "boot": boot(), "uptime": uptime()}
    durable.write_json(place.root / "clock.json", at)


def judged(place: Place) -> datetime:
    """The best guess at the time now.

    Within the boot in which the centre last told it: exact. After another boot: the local clock, as it is or with the
    error it had when the centre told the time, whichever is the earliest that is not before that moment; failing
    both, that moment itself. Never told: the local clock.
    """
    local = datetime.now(UTC)
    found = durable.read_json(place.root / "clock.json")
    try:
        told, then = parse_time(found["at"], what="clock"), parse_time(found["local"], what="clock")
        if found["boot"] == boot():
            return told + timedelta(seconds=uptime() - float(found["uptime"]))
    except (TypeError, KeyError, ValueError, BadDocument):
        return local
    guesses = [guess for guess in (local, local + (told - then)) if guess >= told]
    return min(guesses, default=told)
