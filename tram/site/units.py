"""Make services run by the configuration that was put back."""

from __future__ import annotations

import re
from datetime import timedelta
from fnmatch import fnmatchcase

from tram.core.run import run
from tram.site.addresses import bring_back_addresses
from tram.site.guarded import TELL, UNITS_LEFT_ALONE
from tram.site.snapshot import Snapshot, active_units, ruleset

_UNIT_FILE = re.compile(r"etc/systemd/system/(?P<unit>[^/]+\.(service|socket|timer))(\.d/.*)?$")


def settle(before: Snapshot, after: Snapshot, restored: list[str]) -> list[str]:
    """Stop what the change started, start what it stopped, tell whoever reads a file that was put back.

    `restored` are paths below /. Returns what did not work, as sentences; the rest is done all the same.
    """
    problems = []
    if any(path.startswith(("etc/systemd/", "etc/init.d/", "etc/rc")) for path in restored):
        problems += _systemctl("daemon-reload")
    running = set(active_units())
    for unit in sorted(running - set(before.active)):
        # Only what a unit file explains that was not there, or that the change enabled: not a timer's own doing.
        brought = unit in set(after.units) - set(before.units) or any(path.endswith(f"/{unit}") for path in restored)
        if brought and not _ours(unit):
            problems += _systemctl("stop", unit)
    told = set()
    for pattern, unit_pattern, verb in TELL:
        if not any(fnmatchcase(path, pattern) for path in restored):
            continue
        for unit in (unit for unit in before.active if fnmatchcase(unit, unit_pattern)):
            if unit not in told:
                told.add(unit)
                problems += _systemctl(verb, unit)
    for unit in _otherwise(before, after, restored):
        if unit in before.active and unit not in told and not _ours(unit):
            told.add(unit)
            problems += _systemctl("restart", unit)
    for unit in before.active:
        if (
            unit not in running
            and unit not in told
            and unit.endswith((".service", ".socket", ".timer"))
            and not _ours(unit)
        ):
            problems += _systemctl("start", unit)
    return problems + _rules(before) + bring_back_addresses(before.addresses)


def _otherwise(before: Snapshot, after: Snapshot, restored: list[str]) -> list[str]:
    """Units whose own file was put back, and those that the change restarted: they run by what was taken back,
    whichever file that is. Of services that another boot started nothing is known."""
    found = {match["unit"] for match in map(_UNIT_FILE.match, restored) if match}
    if restored and before.boot == after.boot:
        found |= {unit for unit, start in before.starts.items() if after.starts.get(unit, start) != start}
    return sorted(found)


def _rules(before: Snapshot) -> list[str]:
    """The kernel's firewall rules as they were, also when no file says so."""
    if before.ruleset is None:
        # There was no nft, so there were no rules: what the change loaded with it goes.
        now = ruleset()
        text = "flush ruleset\n" if now and now.strip() else None
    else:
        text = f"flush ruleset\n{before.ruleset}" if ruleset() != before.ruleset else None
    if text is None:
        return []
    ran = run(["nft", "-f", "-"], stdin=text, check=False)
    return [] if ran.code == 0 else [f"nft -f: {ran.stderr.strip()[:300]}"]


def _systemctl(*words: str) -> list[str]:
    ran = run(["systemctl", *words], check=False, timeout=timedelta(minutes=3))
    return [] if ran.code == 0 else [f"systemctl {' '.join(words)}: {(ran.stderr or ran.stdout).strip()[:300]}"]


def _ours(unit: str) -> bool:
    return any(fnmatchcase(unit, pattern) for pattern in UNITS_LEFT_ALONE)
