"""What a run leaves behind: its result, what its roles put back for the centre, and for how long any of it is kept."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from tram.core import events
from tram.core.canonical import BadDocument
from tram.core.tree import Tree
from tram.site import clock, durable, runs
from tram.site.contact import Contact
from tram.site.journaled import Journaled
from tram.site.limits import KEPT_RUNS, KEPT_SNAPSHOTS
from tram.site.place import Place
from tram.site.refusal import Refusal

# Public halves only: what a role may hand to the centre without anybody asking which role it was.
RETURNS = ("pki/**/*.csr", "dkim/**/*.txt", "ssh-hosts/*.pub", "antivirus/signer.pub", "backup/**/*.pub")
_RETURNED_FILE_BYTES = 64 * 2**10
_RETURNED_FILES = 100


def confirm(run: Journaled, contact: Contact) -> None:
    """Keep that the centre reached this host after the change: the change stays.

    Raises: Refusal (not-confirming, not-fresh).
    """
    with durable.locked(run.path / "lock"):
        journal = run.journal()
        waits = journal.get("waits")
        if journal["state"] != "confirming" or not waits or journal.get("reverting"):
            raise Refusal("not-confirming", f"run {run.name} is {journal['state']}, it waits for no confirmation")
        if waits["boot"] == clock.boot() and contact.since <= waits["since"]:
            raise Refusal(
                "not-fresh",
                "this connection was opened before the change was applied, so it does not show that a new one can be",
                hint="open a new connection, without ControlMaster",
            )
        run.put("confirmed.json", {"uptime": clock.uptime(), "boot": clock.boot()})


def finish(place: Place, run: runs.Run, result: dict[str, Any]) -> None:
    """Bring a run to its end. Every step may be repeated after a power cut; the result is told once."""
    run.put("result.json", result)
    conclude(place, run)


def conclude(place: Place, run: runs.Run) -> None:
    """Tell the result that is on the disk already, and clear up after the run."""
    result = run.document("result.json")
    kept = run.path / "returned"
    if run.tree.is_dir() and not kept.is_dir():
        _keep_returned(run, kept)
    if [event.kind for event in events.read(run.events_file, run.last_seq())] != ["result"]:
        run.tell("result", **result)
    shutil.rmtree(run.tree, ignore_errors=True)
    for left in ("progress.json", "confirmed.json", "lock"):
        (run.path / left).unlink(missing_ok=True)
    durable.tidy(run.path)
    run.note(state=result["outcome"], waits=None, reverting=None)
    runs.dequeue(place, run)


def returned(run: runs.Run) -> dict[str, bytes]:
    """Files below the run's secrets/ that its roles made or changed for the centre, by their path there."""
    kept = run.path / "returned"
    if kept.is_dir():
        return {
            path.relative_to(kept).as_posix(): path.read_bytes() for path in sorted(kept.rglob("*")) if path.is_file()
        }
    return _new_in_tree(run)


def retire(place: Place) -> None:
    """Forget the oldest runs of which the centre has every event, and the snapshots nobody will go back to."""
    with durable.locked(place.lock("retire")):
        acked = runs.acknowledged(place)
        over = [run for run in runs.every(place) if run.final and acked.get(run.name, 0) >= run.last_seq()]
        runs.forget(place, [run.name for run in over[:-KEPT_RUNS]])
        with_snapshot = [run for run in runs.every(place) if run.final and (run.path / "snapshot.json").exists()]
        for run in with_snapshot[:-KEPT_SNAPSHOTS]:
            (run.path / "snapshot.json").unlink(missing_ok=True)


def _keep_returned(run: runs.Run, kept: Path) -> None:
    new = run.path / ".returned.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    for name, content in _new_in_tree(run).items():
        path = new / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        durable.write(path, content)
    new.replace(kept)
    durable.sync_directory(run.path)


def _new_in_tree(run: runs.Run) -> dict[str, bytes]:
    try:
        tree = Tree.parse((run.path.parent.parent / "trees" / run.order.tree).read_bytes())
        known = {path: entry.digest for path, entry in tree.files.items()}
    except (OSError, BadDocument):
        known = {}
    secrets = run.tree / "secrets"
    found: dict[str, bytes] = {}
    for path in sorted(path for pattern in RETURNS for path in secrets.glob(pattern)):
        if len(found) == _RETURNED_FILES:
            break
        with suppress(OSError):
            if path.is_symlink() or not path.is_file() or path.stat().st_size > _RETURNED_FILE_BYTES:
                continue
            content = path.read_bytes()
            name = path.relative_to(secrets).as_posix()
            if known.get(f"secrets/{name}") != hashlib.sha256(content).hexdigest():
                found[name] = content
    return found
