#!/usr/bin/python3
"""Compare the host's files with what they were when the last run ended, and tell what differs.

`check` compares. `accept` compares, tells, and takes what is there now as right: runs end with it. Nothing is
swallowed: what changed long before the run is told as loudly as by a check. Whatever is told goes to the journal, from
there to the hub; so does the hash of the database: one that was replaced no longer fits what the hub was told.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

CONFIG = Path("/etc/aide/aide.conf")
FOUND = re.compile(r"^(?P<kind>[fdlbcpsD?])(?P<how>[^:]*): (?P<path>/.*)$")
TOLD = 200
"""More findings than this are counted, not listed: who floods the log is told of in one line."""
FAILED = 14
"""AIDE's exit codes from here on are errors; below they are bits: added, removed, changed."""


def main() -> int:
    """Run one of the two; 0 nothing differs, 1 something does, 2 it could not be seen."""
    options = arguments()
    database, state = options.state / "aide.db", options.state / "accepted.json"
    began = time.monotonic()
    try:
        if not database.exists():
            if options.what == "check":
                say(4, "there is no database yet: nothing can be compared")
                return 2
            aide("--init")
            return accept(options.state, 0, began)
        expected = json.loads(state.read_text(encoding="utf-8"))["sha256"] if state.exists() else ""
        replaced = digest(database) != expected
        if replaced:
            say(2, f"the database is not the one that was accepted: sha256={digest(database)}, was {expected}")
        findings = aide("--update" if options.what == "accept" else "--check", options.limit)
        tell(findings, options)
        if options.what == "accept":
            return accept(options.state, len(findings), began)
        verdict = "differences" if findings else "as accepted"
        say(5, f"{verdict}: {len(findings)} found, database sha256={digest(database)}, {cost(began)}")
        return int(bool(findings) or replaced)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        say(3, f"the files could not be compared: {error}")
        return 2


def aide(what: str, limit: str = "") -> list[tuple[str, str]]:
    """Run AIDE; return what differs as (how, path)."""
    command = ["aide", f"--config={CONFIG}", what, *([f"--limit={limit}"] if limit else [])]
    seen = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=7200, check=False)
    if seen.returncode >= FAILED:
        raise ValueError(f"aide ends with {seen.returncode}: {(seen.stderr or seen.stdout).strip()[-300:]}")
    return [
        (f"{match['kind']}{match['how']}".strip(), match["path"])
        for match in map(FOUND.match, seen.stdout.splitlines())
        if match
    ]


def tell(findings: list[tuple[str, str]], options: argparse.Namespace) -> None:
    """Tell each difference; those of the run that ends now less loudly than others."""
    edge = time.time() - options.run_seconds
    for how, name in findings[:TOLD]:
        path = Path(name)
        try:
            changed = path.lstat().st_ctime
        except OSError:
            changed = 0.0
        kind = "added" if "+++" in how else "removed" if "---" in how else "changed"
        if options.what == "accept" and (changed >= edge or kind == "removed"):
            say(5, f"{kind}: {name} (accepted with this run)")
        else:
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(changed)) if changed else "unknown time"
            more = " (accepted, but older than this run)" if options.what == "accept" else ""
            say(4, f"{kind}: {name} at {when}{more}")
    if len(findings) > TOLD:
        say(4, f"and {len(findings) - TOLD} more")


def accept(directory: Path, differences: int, began: float) -> int:
    """Take the new database as right. There is always a whole one; a power cut between the two files is told."""
    new, database = directory / "aide.db.new", directory / "aide.db"
    content = {"sha256": digest(new), "at": int(time.time())}
    (directory / "accepted.new").write_text(json.dumps(content) + "\n", encoding="utf-8")
    for path in (new, directory / "accepted.new"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    new.replace(database)
    (directory / "accepted.new").replace(directory / "accepted.json")
    say(5, f"accepted: {differences} differences, database sha256={content['sha256']}, {cost(began)}")
    return 0


def digest(path: Path) -> str:
    """The file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def cost(began: float) -> str:
    """What it took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return f"{time.monotonic() - began:.1f} s, {used.ru_utime + used.ru_stime:.1f} CPU s"


def say(severity: int, text: str) -> None:
    """A line for the journal."""
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    print(f"<{severity}>{shown}", flush=True)


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["check", "accept"])
    parser.add_argument("--state", type=Path, default=Path("/var/lib/tram-integrity"))
    parser.add_argument("--limit", default="", help="only paths that match this regular expression")
    parser.add_argument("--run-seconds", type=int, default=3600, help="what changed within them is taken as the run's")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
