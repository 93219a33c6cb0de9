"""Taking a change back, and telling of it: the same after an order and after a push."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

from tram.core.run import run as run_program
from tram.site import snapshot
from tram.site.journaled import Journaled
from tram.site.place import Config, Place
from tram.site.restore import restore
from tram.site.snapshot import Snapshot
from tram.site.touched import cutting, difference

_ETC_TIMEOUT = timedelta(minutes=5)


def snapshot_of(work: Journaled) -> Snapshot | None:
    """How the host was before this piece of work."""
    document = work.document("snapshot.json")
    return Snapshot.of(document) if document else None


def take_snapshot(place: Place, config: Config, work: Journaled) -> None:
    """Keep how the host is, before anything of it is changed."""
    before, moved = snapshot.take(place, config)
    if moved:
        etckeeper(config, f"before run {work.name}")
    work.put("snapshot.json", before.document())
    for path in before.skipped[:20]:
        work.tell("note", message=f"/{path} is too large to be kept, it would not be brought back")


def touched(place: Place, config: Config, work: Journaled) -> dict[str, list[str]]:
    """What was changed since that can cut the site off."""
    before = snapshot_of(work)
    if before is None:
        return {}
    found = cutting(before, snapshot.look(place, config))
    return {word: paths[:20] for word, paths in found.items()}


def take_back(place: Place, config: Config, work: Journaled, reason: str) -> None:
    """Bring the host back. Journaled first, so that a power cut in the middle of it ends in the same place."""
    if not work.journal().get("restoring"):
        work.note(reverting=reason, restoring=True)
        work.tell("note", message=f"bringing back the previous state, because {reason}")
    before = snapshot_of(work)
    if before is None:
        work.tell("note", message="there is no snapshot to go back to")
        return
    restored, problems = restore(place, config, before)
    left = difference(before, snapshot.look(place, config))
    message = f"brought back {len(restored)} paths" + (f": {', '.join(restored[:20])}" if restored else "")
    work.tell("note", message=message[:2000])
    for problem in problems[:20]:
        work.tell("note", message=f"not brought back: {problem}"[:2000])
    if left.gone or left.changed:
        still = ", ".join((*left.gone, *left.changed)[:10])
        work.tell("note", message=f"still differs: {still}"[:2000])
    etckeeper(config, f"reverted run {work.name}")


def etckeeper(config: Config, what: str) -> None:
    """For people: what happened when, in the history they know. Nothing depends on it."""
    if config.system != Path("/") or shutil.which("etckeeper") is None or not Path("/etc/.git").is_dir():
        return
    if run_program(["etckeeper", "unclean"], check=False, timeout=_ETC_TIMEOUT).code == 0:
        run_program(["etckeeper", "commit", f"tram: {what}"], check=False, timeout=_ETC_TIMEOUT)
