"""What counters were before: kept on the host, so that growth is known through restarts and without the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tram_exporters.textfile import EARLIEST, put

DAY = 86_400.0
MOST_ENTRIES = 100
"""Changes kept of one counter; beyond it the middle ones go, the window's first stays."""


class Backwards(Exception):
    """A counter is smaller than before: another disk under the same name, or a wrong reading."""


class History:
    """Values by name, each with the times they changed. Without a clock that is right nothing is compared or kept."""

    def __init__(self, path: Path, now: float, *, days: float = 30) -> None:
        self.path, self.now, self.window = path, now, days * DAY
        self.broken = ""
        self.data: dict[str, Any] = {}
        try:
            self.data = _checked(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            self.broken = f"{path.name}: {error}"

    @property
    def usable(self) -> bool:
        """Whether the clock says a time at all."""
        return self.now >= EARLIEST

    def grew(self, name: str, value: float) -> bool:
        """Whether a counter grew within the window; its first reading is where counting begins.

        Raises: Backwards, once; from then on the smaller value is the beginning.
        """
        if not self.usable:
            return False
        entries = [one for one in self.data.get(name, []) if one[0] <= self.now + DAY]
        if entries and value < entries[-1][1]:
            self.data[name] = [[self.now, value]]
            raise Backwards(f"{name}: {value:g} after {entries[-1][1]:g}")
        if not entries or value > entries[-1][1]:
            entries.append([self.now, value])
        begin = self.now - self.window
        passed = [one for one in entries if one[0] <= begin]
        entries = [*passed[-1:], *(one for one in entries if one[0] > begin)]
        self.data[name] = entries[:1] + entries[1:][-MOST_ENTRIES:]
        return bool(value > entries[0][1])

    def last(self, name: str) -> float | None:
        """The last value under this name."""
        entries = self.data.get(name)
        return float(entries[-1][1]) if entries else None

    def remember(self, name: str, value: float) -> None:
        """Keep one value, without its past."""
        if self.usable:
            self.data[name] = [[self.now, value]]

    def usual_low(self, name: str, value: float) -> float | None:
        """The median of the lowest values of days before today; None within the first day. Keeps today's lowest."""
        if not self.usable:
            return None
        today = self.now // DAY * DAY
        entries = [one for one in self.data.get(name, []) if today - self.window <= one[0] <= today]
        if entries and entries[-1][0] == today:
            entries[-1][1] = min(entries[-1][1], value)
        else:
            entries.append([today, value])
        self.data[name] = entries
        before = sorted(one[1] for one in entries if one[0] < today)
        return float(before[len(before) // 2]) if before else None

    def keep(self) -> None:
        """Write it down, what was not touched for two windows left out. Raises: OSError."""
        if self.usable:
            oldest = self.now - 2 * self.window
            kept = {name: rows for name, rows in self.data.items() if len(rows) > 1 or rows[-1][0] >= oldest}
            put(self.path, json.dumps(kept, ensure_ascii=False, sort_keys=True) + "\n")


def _checked(data: object) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ValueError("no object")
    for rows in data.values():
        if not isinstance(rows, list) or not rows:
            raise ValueError("no list")
        for row in rows:
            if not isinstance(row, list) or len(row) != 2 or not all(isinstance(one, int | float) for one in row):
                raise ValueError("no pair of numbers")
    return data
