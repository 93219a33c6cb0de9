"""What a change did to a host, and which of it can cut the site off."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from tram.site.guarded import CUTS_OFF, CUTS_OFF_MAIL, CUTTING_UNITS, MAIL_UNIT
from tram.site.kernel_values import network_values
from tram.site.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Difference:
    """Guarded paths that are there now and were not, are gone, or are otherwise; all sorted."""

    added: tuple[str, ...]
    gone: tuple[str, ...]
    changed: tuple[str, ...]

    @property
    def every(self) -> tuple[str, ...]:
        return tuple(sorted((*self.added, *self.gone, *self.changed)))


def difference(before: Snapshot, after: Snapshot) -> Difference:
    """What differs. A directory's own entry counts only by its mode and owner."""
    return Difference(
        added=tuple(sorted(after.files.keys() - before.files.keys())),
        gone=tuple(sorted(before.files.keys() - after.files.keys())),
        changed=tuple(sorted(p for p, e in before.files.items() if p in after.files and not e.same(after.files[p]))),
    )


def cutting(before: Snapshot, after: Snapshot) -> dict[str, list[str]]:
    """What of the difference can cut the site off: by its word (sshd, firewall, …) the paths and units."""
    differs = difference(before, after).every
    patterns = dict(CUTS_OFF)
    if MAIL_UNIT in before.active or MAIL_UNIT in after.active:
        patterns["mail"] = CUTS_OFF_MAIL
    found = {word: [p for p in differs if _matches(p, globs)] for word, globs in patterns.items()}
    units = sorted(unit for unit in CUTTING_UNITS if (unit in before.active) != (unit in after.active))
    if units:
        found["units"] = units
    if before.ruleset != after.ruleset and after.ruleset is not None:
        found.setdefault("firewall", []).append("the kernel's rules")
    if None not in (before.addresses, after.addresses) and before.addresses != after.addresses:
        found.setdefault("network", []).append("the kernel's addresses and routes")
    found.setdefault("network", []).extend(network_values(before.values, after.values))
    return {word: paths for word, paths in found.items() if paths}


def _matches(path: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(path, glob) for glob in globs)
