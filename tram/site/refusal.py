"""An order, a confirmation or a stick that is turned away, and the record of it."""

from __future__ import annotations

import json
import syslog

from tram.core import events
from tram.core.errors import TramError
from tram.site import durable
from tram.site.limits import MAX_REFUSALS_KEPT
from tram.site.place import Place


class Refusal(TramError):
    """Nothing was changed, and why. `reason` is one word of docs/contracts/exchange.md."""

    exit_code = 2

    def __init__(self, reason: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class Needed(TramError):
    """The order is good, but not all it needs is here: `pack` from `offset`, or (None) a pack that assumes nothing."""

    def __init__(self, pack: str | None, offset: int) -> None:
        super().__init__("more is needed")
        self.pack = pack
        self.offset = offset


def record(place: Place, refusal: Refusal, run: str, source: str) -> None:
    """Log a refusal: in the system's log, and in refused.jsonl, of which the last entries are kept.

    `run` may come from an unsigned order, so what is written of it is bounded and escaped.
    """
    entry = {
        "at": events.now(),
        "run": run[:64],
        "reason": refusal.reason,
        "message": refusal.message[:500],
        "source": source,
    }
    syslog.openlog("tram-site")
    syslog.syslog(syslog.LOG_WARNING, f"refused {entry['run']!a}: {entry['reason']}: {entry['message']}")
    path = place.root / "refused.jsonl"
    with durable.locked(place.lock("refused")):
        try:
            lines = path.read_bytes().splitlines()[-MAX_REFUSALS_KEPT + 1 :]
        except FileNotFoundError:
            lines = []
        lines.append(json.dumps(entry, sort_keys=True).encode())
        durable.write(path, b"\n".join(lines) + b"\n")
