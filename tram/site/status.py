"""What stands at this host, for a person at its console."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from tram.core.canonical import format_time
from tram.site import clock, durable, runs
from tram.site.exchange import state
from tram.site.limits import MAX_UNACKNOWLEDGED_RUNS
from tram.site.place import Config, Place

_REASON_LETTERS = 300  # a package manager's complaint fills a screen
_CLOCK_MAY_ERR = timedelta(minutes=2)


def describe(place: Place, config: Config) -> str:
    """A few lines: who this is, what time it is, what runs, what waits, what was refused last."""
    found = state(place, config)
    lines = [
        f"{config.province}/{config.site}/{config.host}: serial {found['serial']}, "
        f"runtimes {', '.join(found['runtime']) or 'none'}, {found['free_bytes'] / 1e6:.0f} MB free",
        _time(place),
        f"reports that wait for the centre: {len(found['runs'])} (at most {MAX_UNACKNOWLEDGED_RUNS})",
    ]
    for run in runs.every(place):
        result = run.document("result.json") or {}
        journal = run.journal()
        waits = journal.get("waits") or {}
        more = str(result.get("reason") or (f"line {waits.get('line', '?')}" if waits else ""))[:_REASON_LETTERS]
        lines.append(f"  {run.name}  {run.order.playbook}  {journal['state']}{f': {more}' if more else ''}")
    refused = place.root / "refused.jsonl"
    if refused.exists():
        last = json.loads(refused.read_bytes().splitlines()[-1])
        lines.append(f"last refusal, {last['at']} from {last['source']}: {last['reason']}: {last['message']}")
    return "\n".join(lines)


def _time(place: Place) -> str:
    now, judged = datetime.now(UTC), clock.judged(place)
    if durable.read_json(place.root / "clock.json") is None:
        return f"its clock says {format_time(now)}; no centre has told this host the time yet"
    if abs(judged - now) > _CLOCK_MAY_ERR:
        return f"its clock is wrong: it says {format_time(now)}; by the centre's word it is {format_time(judged)}"
    return f"its clock is right: {format_time(now)}"
