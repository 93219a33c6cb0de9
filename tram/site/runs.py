"""One run's directory: the order, the journal of how far it got, and what it has to tell."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tram.core import events
from tram.core.canonical import BadDocument
from tram.core.order import Order, is_run
from tram.site import durable
from tram.site.journaled import Journaled
from tram.site.place import Place

FINAL = ("done", "failed", "reverted", "refused")


class Run(Journaled):
    """A run that was accepted here."""

    def __init__(self, path: Path) -> None:
        self.order = Order.parse((path / "order.json").read_bytes())
        super().__init__(path, path.name, self.order.host)

    @property
    def tree(self) -> Path:
        return self.path / "tree"

    @property
    def signature(self) -> str:
        return (self.path / "order.sig").read_text()

    @property
    def final(self) -> bool:
        return self.state in FINAL

    def superseded(self, place: Place) -> bool:
        """Whether a newer order waits here."""
        return any(run.order.serial > self.order.serial for run in waiting(place))

    def last_seq(self) -> int:
        """The number of the last event, 0 for none."""
        return events.last_seq(self.events_file)


def create(place: Place, order: Order, signature: str, extra: Mapping[str, Any]) -> Run:
    """Make an accepted order a run, whole or not at all: it appears under its name with everything in it.

    `extra` goes into the journal beside the state.
    """
    path = place.runs / order.run
    new = place.runs / f".{order.run}.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    durable.write(new / "order.json", order.canonical())
    durable.write(new / "order.sig", signature.encode())
    durable.write_json(new / "state.json", {**extra, "state": "accepted"})
    events.append(new / "events.jsonl", order.run, order.host, "state", {"state": "accepted"})
    durable.sync_directory(new)
    new.replace(path)
    durable.sync_directory(place.runs)
    return Run(path)


def every(place: Place) -> list[Run]:
    """All runs, in the order in which they are carried out."""
    return sorted(_readable(place), key=lambda run: run.order.serial)


def waiting(place: Place) -> list[Run]:
    """Runs that are not at their end, in the order in which they are carried out."""
    return [run for run in every(place) if not run.final]


def find(place: Place, name: object) -> Run | None:
    """The run of that name."""
    if not isinstance(name, str) or not is_run(name):
        return None
    try:
        return Run(place.runs / name)
    except (OSError, BadDocument):
        return None


def acknowledged(place: Place) -> dict[str, int]:
    """For each run up to which event the centre has them."""
    found = durable.read_json(place.root / "acked.json")
    return {str(run): int(seq) for run, seq in found.items()} if isinstance(found, dict) else {}


def acknowledge(place: Place, name: str, seq: int) -> None:
    """The centre has this run's events up to `seq` for good. Never takes back."""
    with durable.locked(place.lock("acked")):
        known = acknowledged(place)
        if seq > known.get(name, 0):
            durable.write_json(place.root / "acked.json", {**known, name: seq})


def forget(place: Place, names: list[str]) -> None:
    """Remove runs and what was acknowledged of them."""
    if not names:
        return
    for name in names:
        gone = place.runs / f".{name}.gone"
        (place.runs / name).replace(gone)
        shutil.rmtree(gone, ignore_errors=True)
    with durable.locked(place.lock("acked")):
        known = acknowledged(place)
        durable.write_json(place.root / "acked.json", {run: seq for run, seq in known.items() if run not in names})


def enqueue(place: Place, run: Run) -> None:
    """Leave the mark that starts the draining (systemd watches for it). The run is the truth, the mark only wakes."""
    durable.write(place.queue / f"{run.order.serial}.json", json.dumps({"run": run.name}).encode())


def dequeue(place: Place, run: Run) -> None:
    """Take the mark away: the run is at its end."""
    (place.queue / f"{run.order.serial}.json").unlink(missing_ok=True)


def last_serial(place: Place) -> int:
    """The serial of the last order that was accepted, 0 for none."""
    found = durable.read_json(place.root / "serial")
    return max([found if isinstance(found, int) else 0, *(run.order.serial for run in _readable(place))])


def _readable(place: Place) -> Iterator[Run]:
    with os.scandir(place.runs) as entries:
        names = [entry.name for entry in entries if is_run(entry.name)]
    for name in names:
        try:
            yield Run(place.runs / name)
        except (OSError, BadDocument):
            continue  # not made by `create`: nothing that is half there has a run's name
