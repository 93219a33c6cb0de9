"""What a reading means for the year to come: flags with signal, value, source and rate; risk = 1 - Π(1 - p)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tram_exporters.smart import HOURS_A_YEAR, Disk


@dataclass(frozen=True, slots=True)
class Flag:
    """One reason to expect a failure: `p` within a year, from `rate` a year where a table gave it."""

    component: str
    signal: str
    disk: str
    value: str
    p: float
    source: str
    rate: float | None = None
    low: float | None = None
    high: float | None = None
    grown: bool = False


@dataclass(frozen=True, slots=True)
class Looked:
    """A value that was looked at and is no flag, with the rate it stands for."""

    signal: str
    value: str
    rate: float
    low: float
    high: float


class Constants:
    """The numbers of risk.yml, as a mapping read from YAML (centre) or JSON (hosts)."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        rule = data["rule"]
        self.flagged_from = float(rule["flagged_from"])
        self.growth_days = float(rule["growth_days"])
        self.growth_factor = float(rule["growth_factor"])

    def table(self, counter: str) -> tuple[str, Mapping[str, Any], str] | None:
        """Signal, table and source for a counter; None when it has no table."""
        tables, alike = self.data["attributes"], self.data["analogies"]
        if counter in tables:
            return str(tables[counter]["signal"]), tables[counter], str(tables[counter]["source"])
        if counter in alike:
            return counter, tables[alike[counter]["table"]], str(alike[counter]["source"])
        return None

    def bucket(self, table: Mapping[str, Any], value: int) -> tuple[float, float, float]:
        """Rate a year and its interval for a raw value: low < value <= high; 1 is in a bucket that begins there."""
        buckets = table["buckets"]
        for low, high, rate, least, most in buckets:
            if low < value <= high or value == low == high or (value == low == 1):
                return float(rate), float(least), float(most)
        last = buckets[-1]
        return float(last[2]), float(last[3]), float(last[4])

    def signal(self, name: str, value: str, disk: str = "") -> Flag:
        """The flag of a signal that has a weight of its own. Raises: KeyError for one that is not in risk.yml."""
        one = self.data["signals"][name]
        return Flag(str(one["component"]), name, disk, value, float(one["p"]), str(one["source"]))

    def floor(self, years: float) -> float:
        """What age alone is worth."""
        floors = self.data["age"]["floors"]
        return float(next(one["p"] for one in floors if "below_years" not in one or years < one["below_years"]))


def together(chances: Iterable[float]) -> float:
    """1 - Π(1 - p)."""
    return 1 - math.prod(1 - p for p in chances)


def age_years(disk: Disk, year: int | None) -> float | None:
    """Age by power-on time, else by year of manufacture; None when neither is known."""
    if disk.hours is not None:
        return disk.hours / HOURS_A_YEAR
    if disk.made and year and year >= disk.made:
        return float(year - disk.made)
    return None


def judge(
    disk: Disk, constants: Constants, *, grown: frozenset[str] = frozenset(), year: int | None = None
) -> tuple[list[Flag], list[Looked]]:
    """Flags of one disk, and what was looked at without becoming one. `grown`: counters that grew in the last days.

    An unreadable disk gets what it still said (its own verdict) and nothing for its age: it is unknown, not healthy.
    """
    flags = [constants.signal(name, value, disk.name) for name, value in sorted(disk.signals.items())]
    if "error_log" in grown:
        flags.append(constants.signal("error_log_grown", str(disk.counters["error_log"]), disk.name))
    looked: list[Looked] = []
    for counter, value in sorted(disk.counters.items()):
        found = constants.table(counter)
        if found is None:
            continue
        signal, table, source = found
        rate, low, high = constants.bucket(table, value)
        if value == 0 or low < constants.flagged_from:
            looked.append(Looked(signal, str(value), rate, low, high))
            continue
        more = counter in grown
        worth = 1 - math.exp(-rate * (constants.growth_factor if more else 1))
        flags.append(Flag("disk", signal, disk.name, str(value), worth, source, rate, low, high, more))
    years = age_years(disk, year)
    if disk.readable and not flags and years is not None:
        floor, source = constants.floor(years), str(constants.data["age"]["source"])
        flags.append(Flag("disk", "age", disk.name, f"{years:.1f} y", floor, source))
    if disk.readable and years is None:
        disk.unknown.setdefault("age", "")
    return flags, looked
