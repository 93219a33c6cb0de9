"""What UPSes say of themselves through NUT. Source: NUT, "Variables: naming and usage"."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tram_exporters.machine import Machine
from tram_exporters.textfile import EARLIEST, Unreadable

if TYPE_CHECKING:
    from tram_exporters.hardware import Finding

YEAR = 365.25 * 86_400
_VALUES = {
    "battery.charge": ("charge", "percent"),
    "battery.runtime": ("runtime", "seconds"),
    "ups.load": ("load", "percent"),
}


def asked(machine: Machine) -> dict[str, dict[str, str]]:
    """Each UPS's variables. Raises: Absent without NUT, Unreadable when it does not answer."""
    listed = machine.run(["upsc", "-l"], 10)
    if listed.code:
        raise Unreadable(f"upsc: {listed.stderr.strip()[:80]}")
    found = {}
    for name in listed.stdout.split():
        said = machine.run(["upsc", name], 10)
        if said.code:
            raise Unreadable(f"upsc {name}: {said.stderr.strip()[:80]}")
        pairs = (line.partition(":") for line in said.stdout.splitlines())
        found[name] = {key.strip(): value.strip() for key, _colon, value in pairs if value}
    return found


def on_battery(machine: Machine) -> bool:
    """Whether a UPS feeds the machine at this moment."""
    return any("OB" in said.get("ups.status", "").split() for said in asked(machine).values())


def read_all(finding: Finding) -> None:
    """Charge, time left, the battery's age and its tests."""
    for name, said in asked(finding.machine).items():
        with finding.page.reading(f"ups {name}"):
            _one(finding, name, said)


def _one(finding: Finding, name: str, said: dict[str, str]) -> None:
    status = said.get("ups.status", "").split()
    if not status:
        raise Unreadable(f"{name} has no status")
    finding.value("ups", f"{name} on_battery", "bool", "OB" in status)
    for key, (sensor, unit) in _VALUES.items():
        if key in said and said[key] != "65535":
            finding.value("ups", f"{name} {sensor}", unit, float(said[key]))
    if "RB" in status or re.search(r"fail|bad", said.get("ups.test.result", ""), re.IGNORECASE):
        finding.flag("ups_test_failed", f"{name}: {said.get('ups.test.result') or 'RB'}")
    dated = said.get("battery.date") or said.get("battery.mfr.date")
    if dated and (made := _date(dated)) and finding.machine.now >= EARLIEST:
        years = (finding.machine.now - made) / YEAR
        finding.value("ups", f"{name} battery_age", "years", round(years, 2))
        if years > 3:
            finding.flag("ups_battery_5y" if years > 5 else "ups_battery_3y", f"{name}: {dated}")


def _date(said: str) -> float | None:
    """A battery's date; UPSes write it in many ways, and 1990 or earlier for never set."""
    for form in ("%Y/%m/%d", "%Y-%m-%d", "%m/%d/%Y", "%m/%d/%y", "%Y%m%d"):
        try:
            found = datetime.strptime(said, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return found.timestamp() if found.year > 1990 else None
    return None
