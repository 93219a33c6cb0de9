"""`tram-guard`: what role guard says to a host. Every answer but that of `watch` is one line of JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tram.core.errors import BadInput, TramError
from tram.site import clock, durable, guard_unit, runs
from tram.site.contact import contact
from tram.site.guard import DEFAULT_ROOT, UNFINISHED, Bounds, Guard
from tram.site.place import DEFAULT_ROOT as SITE_ROOT
from tram.site.place import Config, Place

FORMAT = 1
_KEPT_WITHIN_SECONDS = 10.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 it was done or has a plain answer, 1 it failed, 2 wrong input."""
    os.umask(0o077)
    given = _parser().parse_args(argv)
    place = Place(given.root.absolute())
    try:
        place.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.snapshots.mkdir(mode=0o700, exist_ok=True)
        answer = given.command(Guard(place, _config()), given)
    except PermissionError as error:
        print(f"tram-guard: {error.filename}: {error.strerror}; run it as root", file=sys.stderr)
        return 2
    except TramError as error:
        reason = getattr(error, "reason", "")
        answer = {"outcome": "refused", "reason": reason, "message": f"{error.message}. {error.hint}".rstrip(". ")}
    except OSError as error:
        answer = {"outcome": "refused", "reason": "disk", "message": f"{error.filename}: {error.strerror}"}
    if answer is not None:
        print(json.dumps({"guard": FORMAT, **answer}, ensure_ascii=False))
    return 0


def _config() -> Config:
    """Of a host that takes deliveries, its own: it knows who answers while the line is up."""
    try:
        return Place(SITE_ROOT).config()
    except (BadInput, PermissionError):
        return Config("", "", os.uname().nodename)


def _arm(guard: Guard, given: argparse.Namespace) -> dict[str, Any]:
    came = contact()
    with durable.locked(guard.place.lock("arm")):
        if guard.unfinished and guard.name == given.run:
            return {"outcome": "armed", "again": True}
        if guard.idle():
            guard.finish("kept", "it fell silent and had changed nothing that can cut the site off; another run came")
        elif guard.unfinished:
            if guard.name != given.takes_over:
                guard_unit.wake()
                guard.note(asked={"boot": clock.boot(), "uptime": clock.uptime()})
                if (brought := guard_unit.program()) is not None:
                    guard_unit.keep(brought)  # to be called again, should the other's controller be dead
                return {"outcome": "busy", **_state(guard)}
            guard.take_over(came, guard.journal().get("asked"))
        if (order := _order_at_work()) is not None:
            return {"outcome": "busy", "run": order, "state": "delivered", "seconds": None}
        if (found := guard.reverted()) is not None:
            if not given.go_on:
                return {"outcome": "reverted-before", "report": found}
            guard.noted()
        guard_unit.settle(guard_unit.program())
        guard.arm(given.run, came, Bounds(given.confirm, given.idle, given.longest))
        try:
            guard_unit.start()
        except TramError:
            guard.finish("kept", "nothing was changed: there is nothing that would watch the run")
            raise
    return {"outcome": "armed"}


def _order_at_work() -> str | None:
    """The delivered run that changes this host just now."""
    place = Place(SITE_ROOT)
    if not place.runs.is_dir():
        return None
    return next((run.name for run in runs.waiting(place)), None)


def _end(guard: Guard, given: argparse.Namespace) -> dict[str, Any]:
    if not guard.unfinished or guard.name != given.run:
        return _missed(guard, given)
    cuts = guard.end()
    return {"outcome": "waits", "touched": cuts} if cuts else {"outcome": "kept"}


def _confirm(guard: Guard, given: argparse.Namespace) -> dict[str, Any]:
    if guard.name != given.run:
        return _missed(guard, given)
    if guard.state in UNFINISHED:
        guard.confirm(contact())
        until = time.monotonic() + _KEPT_WITHIN_SECONDS
        while guard.state in UNFINISHED and time.monotonic() < until:
            time.sleep(0.1)
        # It is confirmed whether or not the one who watches has seen it yet.
        return {"outcome": "kept"}
    return _missed(guard, given)


def _missed(guard: Guard, given: argparse.Namespace) -> dict[str, Any]:
    """There is no such run under guard (any more)."""
    found = guard.document("result.json") if guard.name == given.run else None
    if found and found["outcome"] == "reverted":
        return {"outcome": "reverted", "report": found}
    return {"outcome": "kept"} if found else {"outcome": "unknown", **_state(guard)}


def _watch(guard: Guard, _: argparse.Namespace) -> None:
    with durable.locked(guard.place.lock("watch"), wait=False) as mine:
        if mine:
            guard.watch()


def _status(guard: Guard, _: argparse.Namespace) -> dict[str, Any]:
    return {"outcome": "status", **_state(guard), "reverted": guard.reverted()}


def _noted(guard: Guard, _: argparse.Namespace) -> dict[str, Any]:
    guard.noted()
    return {"outcome": "noted"}


def _state(guard: Guard) -> dict[str, Any]:
    journal: dict[str, Any] = guard.journal() if guard.path.is_dir() else {"state": "none"}
    waits = journal.get("waits") or {}
    return {
        "run": guard.name,
        "state": journal["state"],
        "armed": journal.get("armed"),
        "touched": journal.get("touched"),
        "waited": round(waits.get("up", 0.0) + waits.get("down", 0.0)),
        "seconds": (journal.get("bounds") or {}).get("confirm"),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tram-guard", description="Guards a pushed playbook: confirm or revert.")
    parser.add_argument("--root", type=Path, default=DEFAULT_ROOT, help="state directory (default: %(default)s)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    arm = commands.add_parser("arm", help="keep how the host is and begin to watch")
    arm.add_argument("--run", required=True, help="the controller's name for its run")
    arm.add_argument("--takes-over", default="", metavar="RUN", help="the unfinished run whose controller is dead")
    arm.add_argument("--go-on", action="store_true", help="although the last run was taken back")
    for name, value in (("confirm", 300), ("idle", 300), ("longest", 10_800)):
        arm.add_argument(f"--{name}", type=int, default=value, metavar="SECONDS")
    arm.set_defaults(command=_arm)
    for name, text, command in (("end", "the run is over", _end), ("confirm", "the centre came back", _confirm)):
        later = commands.add_parser(name, help=text)
        later.add_argument("--run", required=True)
        later.set_defaults(command=command)
    commands.add_parser("watch", help="see the run under guard to its end").set_defaults(command=_watch)
    commands.add_parser("status", help="what is under guard, what was taken back").set_defaults(command=_status)
    commands.add_parser("noted", help="the report of what was taken back was read").set_defaults(command=_noted)
    return parser


if __name__ == "__main__":
    sys.exit(main())
