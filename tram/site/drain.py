"""Carry out every order that waits, one after the other, then end: nothing of this idles on an old machine."""

from __future__ import annotations

import time
from pathlib import Path

from tram.site import durable, guard_unit, report, runs, snapshot
from tram.site.guard import DEFAULT_ROOT as GUARD_ROOT
from tram.site.guard import Guard
from tram.site.limits import MAX_FAILURES, POLL_SECONDS
from tram.site.place import Config, Place
from tram.site.steps import carry_out
from tram.site.store import Store

_WAKE_SECONDS = 60.0


def drain(place: Place, config: Config) -> int:
    """Carry out what waits; returns how many runs came to their end. Nothing when another process does it already."""
    ended = 0
    while True:
        with durable.locked(place.lock("drain"), wait=False) as mine:
            if not mine:
                return ended
            for directory in (place.root, place.trees, place.runs, place.queue):
                durable.tidy(directory)
            while left := runs.waiting(place):
                _let_a_push_end(config)
                _one(place, config, left[0])
                ended += 1
            _clear_up(place)
        # Once more after the lock is let go: who accepted an order just then found it held and started nobody.
        if not runs.waiting(place):
            return ended


def _let_a_push_end(config: Config) -> None:
    """A pushed run that is under guard here has its own snapshot: two changes at once could not be told apart. It ends
    by itself, as long as somebody watches it: its unit, or this when that is gone or cannot be started."""
    if config.system != Path("/"):
        return
    guard = Guard(Place(GUARD_ROOT), config)
    while guard.unfinished:
        guard_unit.wake()  # again and again: who watches may have fallen over since
        until = time.monotonic() + _WAKE_SECONDS
        while guard.unfinished and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
        if guard.unfinished:
            with durable.locked(guard.place.lock("watch"), wait=False) as nobody_does:
                if nobody_does:
                    guard.watch()


def _one(place: Place, config: Config, run: runs.Run) -> None:
    """Carry out one run; one on which this program fails again and again is given up, so that the next has its turn.

    A full disk is no such failure: then not even the count can be written, and it is tried again until there is room.
    """
    try:
        carry_out(place, config, run)
    except Exception as error:
        failures = int(run.journal().get("failures", 0)) + 1
        run.note(failures=failures)
        if failures < MAX_FAILURES:
            raise
        result = {"outcome": "failed", "reason": f"the runner itself failed {failures} times: {error!r}"[:1000]}
        report.finish(place, run, {**result, "stats": {}, "seconds": 0.0, "cpu_seconds": 0.0, "verify": []})


def _clear_up(place: Place) -> None:
    """Keep the disk bounded."""
    report.retire(place)
    with durable.locked(place.lock("accept")):
        Store(place).sweep({run.order.tree for run in runs.waiting(place)})
    used: set[str] = set()
    documents = [run.document("snapshot.json") for run in runs.every(place)]
    for document in (*documents, durable.read_json(place.snapshots / "last.json")):
        if document:
            used |= {entry.content for entry in snapshot.Snapshot.of(document).files.values() if entry.kind == "file"}
    snapshot.sweep(place, used)
    for mark in place.queue.glob("*.json"):
        found = durable.read_json(mark)
        run = runs.find(place, found.get("run")) if isinstance(found, dict) else None
        if run is None or run.final:  # a mark without work would start us for ever
            mark.unlink(missing_ok=True)
