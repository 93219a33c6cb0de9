"""The exporter `hardware`: what of this machine will fail next, and what nobody can tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tram_exporters import bmc, disks, kernel, ups
from tram_exporters.history import Backwards, History
from tram_exporters.machine import Machine
from tram_exporters.risk import Constants, Flag, together
from tram_exporters.textfile import EARLIEST, Page

READING = "A sensor's value in its unit; absent when it cannot be read or cannot be true."


@dataclass(slots=True)
class Finding:
    """What a run gathers: the page it writes, flags by what raised them, and why something is unknown."""

    page: Page
    machine: Machine
    constants: Constants
    history: History
    flags: dict[tuple[str, str], Flag] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)

    def flag(self, signal: str, value: str, disk: str = "") -> None:
        """Raise a signal of risk.yml, once a signal and disk."""
        self.add(self.constants.signal(signal, value, disk))

    def add(self, flag: Flag) -> None:
        """Raise a flag, once a signal and disk."""
        self.flags.setdefault((flag.signal, flag.disk), flag)

    def value(self, component: str, sensor: str, unit: str, value: float) -> None:
        """Say a sensor's value."""
        self.page.gauge("tram_hardware_reading", READING, value, component=component, sensor=sensor, unit=unit)

    def grew(self, name: str, value: float) -> bool:
        """Whether a counter grew lately; one that went backwards is a failed reading by its name."""
        try:
            return self.history.grew(name, value)
        except Backwards as error:
            self.page.fail(f"counter {name}", str(error))
            self.unknown.add("backwards")
            return False


def readings(devices: Sequence[tuple[str, str]]) -> dict[str, Callable[[Finding], None]]:
    """Every reading by its name; each fails by itself."""
    return {
        "smart": lambda finding: disks.read_all(finding, devices),
        "md": kernel.md,
        "edac": kernel.edac,
        "ext4": kernel.ext4,
        "ioerr": kernel.ioerr,
        "kernel_log": kernel.log,
        "hwmon": kernel.hwmon,
        "rtc": kernel.rtc,
        "clock": kernel.drift,
        "dmi": kernel.dmi,
        "ipmi_sensors": bmc.sensors,
        "ipmi_events": bmc.events,
        "ups": ups.read_all,
    }


def collect(
    constants: Constants, state: Path, machine: Machine | None = None, devices: Sequence[tuple[str, str]] = ()
) -> Page:
    """One run. `devices`: disks that no scan finds, as (device, type). Keeps its history in the folder `state`."""
    machine = machine or Machine()
    page = Page("hardware")
    history = History(state / "hardware.json", machine.now, days=constants.growth_days)
    finding = Finding(page, machine, constants, history)
    if history.broken:
        page.fail("history", history.broken)
    if machine.now < EARLIEST:
        page.fail("time", f"the clock says {time.strftime('%Y-%m-%d', time.gmtime(machine.now))}")
        finding.unknown.add("clock")
    # ioerr before smart: reading SMART raises that counter by itself.
    for name, read in sorted(readings(devices).items(), key=lambda pair: pair[0] == "smart"):
        with page.reading(name):
            read(finding)
    with page.reading("ioerr"):
        kernel.ioerr_after(finding)
    with page.reading("history"):
        history.keep()
    if page.failed:
        finding.unknown.add("reading_failed")
    write_flags(finding)
    return page


def write_flags(finding: Finding) -> None:
    """Flags, the host's risk, and why it may be more than that."""
    page = finding.page
    for flag in finding.flags.values():
        labels = {"component": flag.component, "signal": flag.signal, "disk": flag.disk}
        page.gauge(
            "tram_hardware_flag_ratio", "Chance of a failure within a year, by raised flag.", round(flag.p, 6), **labels
        )
    if finding.flags:
        risk = round(together(flag.p for flag in finding.flags.values()), 6)
        page.gauge("tram_host_risk_ratio", "1 - product(1 - p) over this host's flags; of what could be read.", risk)
    for reason in sorted(finding.unknown):
        page.gauge("tram_host_risk_unknown", "1 when the risk is not wholly known, for this reason.", 1, reason=reason)
