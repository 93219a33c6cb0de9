"""Sensors and events of the board's management controller, by ipmitool. A machine without one says nothing.

Source: ipmitool(1), sdr elist, sel elist; IPMI 2.0, sensor types and states.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from tram_exporters.kernel import battery, fan_speed
from tram_exporters.textfile import EARLIEST, Absent, Unreadable

if TYPE_CHECKING:
    from tram_exporters.hardware import Finding

SECONDS = 40.0
"""Old controllers answer slowly."""

_READING = re.compile(r"^(-?\d+(?:\.\d+)?) (RPM|degrees C|Volts|Watts|percent|Amps)\b")
_UNITS = {
    "RPM": "rpm",
    "degrees C": "celsius",
    "Volts": "volts",
    "Watts": "watts",
    "percent": "percent",
    "Amps": "amperes",
}
_POWER = re.compile(r"redundancy lost|failure detected|power supply ac lost|ac lost|predictive failure", re.IGNORECASE)
_FAULT = re.compile(
    r"uncorrectable|redundancy lost|failure detected|predictive failure|drive fault|non-recoverable|critical going"
    r"|bus fatal|fatal nmi|ierr|thermal trip|ac lost",
    re.IGNORECASE,
)


def _asked(finding: Finding, *words: str) -> list[list[str]]:
    devices = ("/dev/ipmi0", "/dev/ipmi/0", "/dev/ipmidev/0")
    if finding.machine.container or not any(finding.machine.at(path).exists() for path in devices):
        raise Absent("no management controller")
    try:
        said = finding.machine.run(["ipmitool", *words], SECONDS)
    except Absent as error:
        raise Unreadable("ipmitool is not installed") from error
    rows = [[part.strip() for part in line.split("|")] for line in said.stdout.splitlines()]
    if said.code and not rows:
        raise Unreadable(f"ipmitool: {said.stderr.strip()[:80]}")
    return rows


def sensors(finding: Finding) -> None:
    """Fans, power supplies, temperatures, voltages; each sensor fails by itself."""
    rows = [row for row in _asked(finding, "sdr", "elist", "all") if len(row) == 5]
    if not rows:
        raise Unreadable("ipmitool named no sensor")
    for name, _identity, status, _entity, said in rows:
        with finding.page.reading(f"ipmi {name}"):
            _sensor(finding, name, status, said)


def _sensor(finding: Finding, name: str, status: str, said: str) -> None:
    found = _READING.match(said)
    if found is None:
        power = re.search(r"redundan|power|\bps\d?\b|psu", name, re.IGNORECASE)
        if power and _POWER.search(said):
            finding.flag("psu_lost", f"{name}: {said}")
        elif status in {"cr", "nr"}:
            finding.flag("sensor_critical", f"{name}: {said}")
        return
    value, unit = float(found[1]), _UNITS[found[2]]
    if value in {65535.0, 255.0} or (unit == "celsius" and not -40 <= value <= 150):
        raise Unreadable(f"{name}: {said} cannot be true")
    if unit == "rpm":
        fan_speed(finding, name, value, alarm=status in {"cr", "nr"})
        if status in {"cr", "nr"}:
            finding.flag("fan_failed", f"{name}: {said} ({status})")
    elif unit == "volts" and re.search(r"bat|cmos", name, re.IGNORECASE):
        battery(finding, name, value)
    else:
        finding.value("ipmi", name, unit, value)
        if status in {"cr", "nr"}:
            finding.flag("too_hot" if unit == "celsius" else "sensor_critical", f"{name}: {said} ({status})")


def events(finding: Finding) -> None:
    """Faults the controller has logged within 30 days; entries without a date that can be true only counted."""
    undated, faults, listed = 0, 0, 0
    for row in _asked(finding, "sel", "elist"):
        if len(row) < 5:
            continue
        listed += 1
        when = _when(row[1], row[2])
        if when is None:
            undated += 1
        elif finding.machine.now - 30 * 86_400 <= when <= finding.machine.now + 86_400:
            said = " ".join(row[3:])
            memory = re.search(r"(un)?correctable ecc", said, re.IGNORECASE)
            if memory:
                finding.flag("edac_uncorrected" if memory[1] else "edac_corrected", f"SEL {row[1]}: {said}"[:120])
            elif _FAULT.search(said) and "deassert" not in said.lower():
                faults += 1
                finding.flag("sel_critical", f"{row[1]}: {said}"[:120])
    finding.value("ipmi", "events", "entries", listed)
    finding.value("ipmi", "events_undated", "entries", undated)
    finding.value("ipmi", "faults_30_days", "entries", faults)


def _when(day: str, hour: str) -> float | None:
    try:
        found = time.mktime(time.strptime(f"{day} {hour.split(maxsplit=1)[0]}", "%m/%d/%Y %H:%M:%S"))
    except (ValueError, IndexError, OverflowError):
        return None
    return found if found >= EARLIEST else None
