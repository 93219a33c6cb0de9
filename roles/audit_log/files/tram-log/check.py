#!/usr/bin/python3
"""Check the logs at the hub: every chain holds, every host was heard of, the disk has room.

Exit code: 0 all is well; 1 a log was tampered with; 2 wrong input; 3 a host is unknown (silent too long, or never heard
of) or the disk is nearly full.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import time
from pathlib import Path
from typing import Any

import chain


def main() -> int:
    """Print a line for each host; return the exit code."""
    options = arguments()
    try:
        status: dict[str, Any] = json.loads((options.directory / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"{options.directory}: not the logs of a hub: {error}", file=sys.stderr)
        return 2
    there = {path.name for path in options.directory.iterdir() if path.is_dir() and chain.HOST.match(path.name)}
    expected = set(options.expect.read_text(encoding="ascii").split()) if options.expect else set()
    worst = 0
    for host in options.host or sorted(there | expected | set(status["hosts"])):
        told, code = judge(options, status, host)
        worst = 1 if 1 in (worst, code) else max(worst, code)
        print(told)
    if status["full"]:
        print("<2>disk nearly full: the hub takes nothing, the hosts keep it")
        worst = worst or 3
    return worst


def judge(options: argparse.Namespace, status: dict[str, Any], host: str) -> tuple[str, int]:
    """What there is to say of a host's log, and the exit code for it."""
    known = status["hosts"].get(host)
    if known is None or not (options.directory / host).is_dir():
        what = "was never heard of" if known is None or "seal" not in known else "its log is gone"
        return f"<4>{host} unknown: {what}", 1 if what == "its log is gone" else 3
    try:
        found = chain.verify(options.directory / host)
        compare(options, found, known, host)
    except chain.Tampered as error:
        return f"<2>{host} TAMPERED {error}", 1
    where = f"{found.lines} lines since {found.first_day or 'never'}, {found.head.number} seals, {found.head.seal[:16]}"
    silent = int(time.time()) - int(known["heard"])
    if silent > options.silent_seconds:
        return f"<4>{host} unknown: silent for {silent} s; {where}", 3
    return f"<6>{host} ok: {where}", 0


def compare(options: argparse.Namespace, found: chain.Verified, known: dict[str, Any], host: str) -> None:
    """Compare the chain with what is known of it elsewhere: the receiver, and a seal that the host kept."""
    if "n" in known and found.seals.get(int(known["n"])) != known["seal"]:
        raise chain.Tampered(f"its end is not the one that was written (seal {known['n']})")
    if options.seal:
        number, _, seal = options.seal.partition(":")
        if int(number) >= found.first_number and found.seals.get(int(number)) != seal:
            raise chain.Tampered(f"it is not the log of which the host keeps seal {number}")
    removed = options.directory / host / "removed"
    last = removed.read_text(encoding="ascii").strip() if removed.is_file() else ""
    oldest = datetime.datetime.now().astimezone().date() - datetime.timedelta(days=options.days)
    if found.first_number and found.first_day > oldest.isoformat() and not last:
        raise chain.Tampered(f"days before {found.first_day} are missing, though none is old enough to be removed")


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("host", nargs="*", help="only these")
    parser.add_argument("--seal", help="N:SEAL that the one host named keeps (/var/lib/private/tram-log/seal there)")
    parser.add_argument("--expect", type=Path, help="names of hosts, one a line, that should be heard of")
    parser.add_argument("--days", type=int, default=92, help="after how many days a file may be gone")
    parser.add_argument("--silent-seconds", type=int, default=1200)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
