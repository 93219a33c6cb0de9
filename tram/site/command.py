"""`tram-site`: the runner's four commands."""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tram.core.errors import BadInput, TramError
from tram.core.frames import BrokenWire, write_frame
from tram.site import durable, runs
from tram.site.contact import contact
from tram.site.drain import drain
from tram.site.exchange import Exchange
from tram.site.limits import POLL_SECONDS
from tram.site.place import DEFAULT_ROOT, Place
from tram.site.status import describe


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 the work failed, 2 what was given is wrong."""
    os.umask(0o077)
    given = _parser().parse_args(argv)
    place = Place(given.root.absolute())
    try:
        place.make()
        return int(given.command(place, given))
    except PermissionError as error:
        print(f"tram-site: {error.filename}: {error.strerror}; run it as root", file=sys.stderr)
        return 2
    except TramError as error:
        print(f"tram-site: {error.message}{f' ({error.hint})' if error.hint else ''}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return 1  # the centre is gone; what was accepted is on the disk


def _exchange(place: Place, _: argparse.Namespace) -> int:
    """One conversation with the centre on standard input and output."""
    ours = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # standard output carries frames only, whoever prints
    with ours, os.fdopen(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as theirs:
        try:
            exchange = Exchange(place, place.config(), contact(), ours)
            exchange.begin()
        except TramError as error:
            write_frame(ours, {"t": "error", "message": f"{error.message} ({error.hint})", "fatal": True})
            raise
        exchange.serve(theirs)
    return 0


def _drain(place: Place, _: argparse.Namespace) -> int:
    """Carry out what waits."""
    drain(place, place.config())
    return 0


def _accept(place: Place, given: argparse.Namespace) -> int:
    """What a stick brought: the frames a centre would have sent. Answers go to a file, or to standard output.

    To an answer file every report that waits is added, whether the stick asked or not: it goes back to the centre.
    """
    answers = io.BytesIO()
    exchange = Exchange(place, place.config(), None, answers)
    exchange.begin()
    code = 0
    for name in given.files:
        try:
            exchange.serve(io.BytesIO(name.read_bytes()))
        except OSError as error:
            raise BadInput(f"{name}: {error.strerror}", hint="look at the stick") from error
        except BrokenWire as error:
            print(f"tram-site: {name}: {error.message}", file=sys.stderr)
            code = 2
    _wait(place, exchange.intake.accepted, given.wait)
    if given.answer is None:
        sys.stdout.buffer.write(answers.getvalue())
        sys.stdout.buffer.flush()
    else:
        exchange.answer({"t": "events"}, io.BytesIO())
        durable.write(given.answer.absolute(), answers.getvalue())
    return 2 if exchange.intake.refused else code


def _wait(place: Place, names: list[str], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = [runs.find(place, name) for name in names]
        if all(run is None or run.final for run in found):
            return
        time.sleep(POLL_SECONDS)


def _status(place: Place, _: argparse.Namespace) -> int:
    print(describe(place, place.config()))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tram-site", description="Carries out the centre's orders on this host.")
    parser.add_argument("--root", type=Path, default=DEFAULT_ROOT, help="state directory (default: %(default)s)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser
    add("exchange", help="talk with the centre on standard input and output").set_defaults(command=_exchange)
    add("drain", help="carry out the orders that wait, then end").set_defaults(command=_drain)
    accept = add("accept", help="take in what a stick brought")
    accept.add_argument("files", type=Path, nargs="+", metavar="FILE")
    accept.add_argument("--answer", type=Path, help="write the answers and every report that waits to this file")
    accept.add_argument("--wait", type=float, default=0, metavar="SECONDS", help="for what was accepted to end, first")
    accept.set_defaults(command=_accept)
    add("status", help="what runs, what waits, what was refused").set_defaults(command=_status)
    return parser
