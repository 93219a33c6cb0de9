"""What a scanner costs a host of 2 GB, by profile: memory at rest and at reload, with as many signatures as ClamAV has.

    .venv/bin/python -m bench.antivirus.run [--lab NAME --inventory DIR] [--keep]

Without --lab a lab of its own is made and given playbooks/site.yml. For each row a clamd is
started beside the far host's mail and its own small scanner, with a generated set, and told to reload, within a memory
group that leaves it what 2 GB leave beside everything else that runs there. The sets are removed afterwards.
Writes results.json and the tables in README.md, both beside this file.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.on_lab import bench_lab, options_of, write
from bench.on_lab import sh as shared_sh
from bench.on_lab import wait as shared_wait
from tram.lab.lab import Lab
from tram.lab.memory import MemoryGroup, memory_group, pids_of

HERE = Path(__file__).parent
HOST, LAB = "huong-khe-srv1", "benchav"
UNIT = "bench-clamd"
ROOM = "/var/tmp/bench-antivirus"  # noqa: S108 (on the host)
LIMIT_BYTES = 2_000_000_000
PATIENCE_SECONDS = 420
MEGA = 1_000_000
SCANNED = "/usr/lib/python3 /usr/share/doc /usr/bin"
LETTERS = 50


@dataclass(frozen=True, slots=True)
class Case:
    """A set: hashes (the bulk of ClamAV's own), patterns, and whether the new set is read beside the old."""

    name: str
    hashes: int
    patterns: int
    beside: bool = False


CASES = [
    Case("province", 10_000, 200),
    Case("reduced", 2_000_000, 60_000),
    Case("full", 8_500_000, 100_000),
    Case("full, reload beside", 8_500_000, 100_000, beside=True),
]

MAKE = """
import os, sys
room, hashes, patterns = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.makedirs(room + "/db", exist_ok=True)
with open(room + "/db/bench.hdb", "w") as file:
    for begin in range(0, hashes, 10000):
        noise = os.urandom(16 * 10000).hex()
        file.write("".join(f"{noise[32 * i:32 * i + 32]}:{40000 + (begin + i) % 9999}:Bench.Hash-{begin + i}\\n"
                           for i in range(min(10000, hashes - begin))))
with open(room + "/db/bench.ndb", "w") as file:
    for number in range(patterns):
        file.write(f"Bench.Pattern-{number}:1:*:{os.urandom(24).hex()}\\n")
"""
CONFIGURATION = """LocalSocket {room}/ctl
DatabaseDirectory {room}/db
User clamav
LogTime no
MaxThreads 4
SelfCheck 36000
ConcurrentDatabaseReload {beside}
"""


def main() -> None:
    """Measure, write, take down."""
    with bench_lab(options_of(__doc__, lab="playbooks/site.yml"), LAB, ["playbooks/site.yml"]) as lab:
        results = measure(lab)
    write(HERE, results, table(results))


def measure(lab: Lab) -> dict[str, Any]:
    """All rows."""
    machine = lab.machine(HOST)
    sh(lab, "apt-get -qq install -y --no-install-recommends clamdscan >/dev/null 2>&1")
    results: dict[str, Any] = {"limit": LIMIT_BYTES, "milter": milter(lab), "profiles": {}}
    # It kills a scanner that hangs; ours is to live or die by itself.
    sh(lab, "systemctl stop tram-antivirus-watch")
    results["others"] = int(
        sh(lab, "cat /proc/[0-9]*/smaps_rollup 2>/dev/null | awk '/^Pss:/ {s += $2} END {print s * 1024}'")
    )
    try:
        with memory_group(machine, "bench") as group:
            # What runs already was counted before it joins the group, so it is taken off here.
            group.bound(LIMIT_BYTES - results["others"])
            # PID 1 too: what it starts from now on is in the group from its first byte.
            for pid in pids_of(machine):
                group.add(pid)
            for case in CASES:
                results["profiles"][case.name] = one(lab, group, case)
                print(case.name, results["profiles"][case.name], flush=True)
    finally:
        sh(lab, f"systemctl stop {UNIT} 2>/dev/null; rm -rf {ROOM}")
        sh(lab, "systemctl start tram-antivirus-watch")
    return results


def one(lab: Lab, group: MemoryGroup, case: Case) -> dict[str, Any]:
    """A clamd with a set: loaded, told to reload, asked to scan."""
    sh(lab, f"rm -rf {ROOM}; mkdir -p {ROOM}; cat >{ROOM}/make.py <<'END'\n{MAKE}END")
    sh(lab, f"python3 {ROOM}/make.py {ROOM} {case.hashes} {case.patterns}")
    configuration = CONFIGURATION.format(room=ROOM, beside="yes" if case.beside else "no")
    sh(lab, f"cat >{ROOM}/clamd.conf <<'END'\n{configuration}END\nchown -R clamav: {ROOM}")
    found: dict[str, Any] = {
        "signatures": case.hashes + case.patterns,
        "disk": int(sh(lab, f"du -sb {ROOM}/db | cut -f1")),
    }
    others, kills = mail(lab), group.kills
    began = time.monotonic()
    start = f"systemd-run -q --collect --unit {UNIT} -p OOMScoreAdjust=500 clamd --foreground"
    sh(lab, f"{start} --config-file={ROOM}/clamd.conf")
    wait("it answers", lambda: not alive(lab) or answers(lab))
    if alive(lab):
        found["load_seconds"] = round(time.monotonic() - began, 1)
        found["rss"] = memory(lab, "VmRSS")
        reload(lab, found)
    found["killed"] = group.kills - kills
    if alive(lab):
        found["scan"] = scan(lab)
    found["mail_untouched"] = mail(lab) == others
    sh(lab, f"systemctl stop {UNIT} 2>/dev/null; true")
    return found


def reload(lab: Lab, found: dict[str, Any]) -> None:
    """Have the set read again, and see what that takes."""
    sh(lab, f"echo 5 >/proc/$(systemctl show -P MainPID {UNIT})/clear_refs")
    said = f"journalctl -q _SYSTEMD_INVOCATION_ID=$(systemctl show -P InvocationID {UNIT}) -o cat"
    done = f"{said} | grep -c 'Activating the newly loaded\\|Database reload completed' || true"
    began = time.monotonic()
    sh(lab, f"systemctl kill --signal USR2 {UNIT}")
    wait("it has reloaded", lambda: not alive(lab) or (int(sh(lab, done)) > 0 and answers(lab)))
    if alive(lab):
        found["reload_seconds"] = round(time.monotonic() - began, 1)
        found["peak"] = memory(lab, "VmHWM")
        found["rss_after"] = memory(lab, "VmRSS")


def scan(lab: Lab) -> dict[str, float]:
    """Files handed over one after another; the second time, so that the disk has no part in it."""
    count, size = (
        int(word)
        for word in sh(lab, f"find {SCANNED} -type f -printf '%s\\n' | awk '{{s+=$1}} END {{print NR, s}}'").split()
    )
    command = f"clamdscan --config-file={ROOM}/clamd.conf --fdpass --quiet {SCANNED}; test $? -le 2"
    sh(lab, f"cat $(find {SCANNED} -type f) >/dev/null")
    began = time.monotonic()
    sh(lab, command)
    seconds = time.monotonic() - began
    return {"files": count, "bytes": size, "seconds": round(seconds, 1)}


def milter(lab: Lab) -> dict[str, int]:
    """Proportional memory of clamav-milter, and of the host's own scanner, after some letters."""
    letter = "printf 'From: root\\nSubject: bench\\n\\nthu\\n' | sendmail root"
    sh(lab, f"for n in $(seq {LETTERS}); do {letter}; done")
    wait("letters delivered", lambda: not sh(lab, "postqueue -j"))
    pss = "grep ^Pss: /proc/$(systemctl show -P MainPID {unit})/smaps_rollup | tr -dc 0-9"
    return {unit: int(sh(lab, pss.format(unit=unit))) * 1000 for unit in ("clamav-milter", "clamav-daemon")}


def memory(lab: Lab, what: str) -> int:
    """A line of /proc/PID/status, in bytes."""
    return int(sh(lab, f"grep ^{what}: /proc/$(systemctl show -P MainPID {UNIT})/status | tr -dc 0-9")) * 1024


def alive(lab: Lab) -> bool:
    """Whether the scanner runs."""
    return sh(lab, f"systemctl is-active {UNIT} || true") == "active"


def answers(lab: Lab) -> bool:
    """Whether the scanner answers a PING. Ends the run when it died before it had loaded."""
    return sh(lab, f"clamdscan --config-file={ROOM}/clamd.conf --ping 1 >/dev/null 2>&1 && echo yes || true") == "yes"


def mail(lab: Lab) -> str:
    """Who serves mail now, by PID."""
    return sh(lab, "systemctl show -P MainPID dovecot clamav-milter; pgrep -x master; pgrep -x qmgr")


def table(results: dict[str, Any]) -> str:
    """All that was measured."""
    names = "profile|signatures|on disk|loaded after|at rest|peak at reload|reload takes|killed|scan"
    rows = [f"|{names}|", "|" + "---|" * len(names.split("|"))]
    for name, row in results["profiles"].items():
        cells = [name, f"{row['signatures']:,}", _mega(row["disk"]), *_loaded(row)]
        cells += [_mega(row["peak"]), f"{row['reload_seconds']:.0f} s"] if "peak" in row else ["", ""]
        cells.append(f"yes; mail {'untouched' if row['mail_untouched'] else 'hit'}" if row["killed"] else "no")
        cells.append(_speed(row["scan"]) if "scan" in row else "")
        rows.append(f"| {' | '.join(cells)} |")
    parts = results["milter"]
    rows += ["", f"clamav-milter after {LETTERS} letters: {parts['clamav-milter'] / MEGA:.1f} MB (PSS)."]
    rows[-1] += f" All other processes of the host: {_mega(results['others'])}."
    return "\n".join(rows)


def _loaded(row: dict[str, Any]) -> tuple[str, str]:
    return (f"{row['load_seconds']:.0f} s", _mega(row["rss"])) if "rss" in row else ("never", "")


def _mega(size: int) -> str:
    return f"{size / MEGA:,.0f} MB"


def _speed(scan: dict[str, float]) -> str:
    return f"{scan['files'] / scan['seconds']:.0f} files/s, {scan['bytes'] / scan['seconds'] / MEGA:.1f} MB/s"


def sh(lab: Lab, script: str) -> str:
    """Run a script on the host."""
    return shared_sh(lab, HOST, script)


def wait(what: str, condition: Callable[[], bool]) -> None:
    """Wait as long as the largest set may take."""
    shared_wait(what, condition, within=timedelta(seconds=PATIENCE_SECONDS))


if __name__ == "__main__":
    main()
