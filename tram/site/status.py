"""What stands at this host, for a person at its console."""

from __future__ import annotations

from tram.site import durable, runs
from tram.site.exchange import state
from tram.site.limits import MAX_UNACKNOWLEDGED_RUNS
from tram.site.place import Config, Place


def describe(place: Place, config: Config) -> str:
    """A few lines: who this is, what runs, what waits, what was refused last."""
    found = state(place, config)
    lines = [
        f"{config.province}/{config.site}/{config.host}: serial {found['serial']}, "
        f"runtimes {', '.join(found['runtime']) or 'none'}, {found['free_bytes'] / 1e6:.0f} MB free",
        f"reports that wait for the centre: {len(found['runs'])} (at most {MAX_UNACKNOWLEDGED_RUNS})",
    ]
    for run in runs.every(place):
        result = run.document("result.json") or {}
        journal = run.journal()
        waits = journal.get("waits") or {}
        more = result.get("reason") or (f"line {waits.get('line', '?')}" if waits else "")
        lines.append(f"  {run.name}  {run.order.playbook}  {journal['state']}{f': {more}' if more else ''}")
    refused = place.root / "refused.jsonl"
    if refused.exists():
        lines.append(f"last refusal: {refused.read_text().splitlines()[-1]}")
    if durable.read_json(place.root / "clock.json") is None:
        lines.append("no centre has told this host the time yet")
    return "\n".join(lines)
