"""Every disk smartctl can reach, also behind RAID controllers. A disk that cannot be read is unknown, never healthy."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tram_exporters.history import Backwards
from tram_exporters.risk import judge, together
from tram_exporters.smart import Disk, parse, read, scanned
from tram_exporters.textfile import EARLIEST, Absent, Unreadable

if TYPE_CHECKING:
    from tram_exporters.hardware import Finding

SECONDS = 25.0
"""A dying disk makes smartctl wait; this long."""

MOST_BEHIND = 16
_TYPE = re.compile(r"^[A-Za-z0-9+,/:._-]{0,60}$")
_NO_DISK = re.compile(r"^(loop|ram|zram|sr|fd|md|dm-|nbd|drbd|mtd)")


def read_all(finding: Finding, devices: Sequence[tuple[str, str]] = ()) -> None:
    """Scan, read each disk, say what it means. Raises: Absent without disks, Unreadable without smartctl."""
    there = [path for path in finding.machine.found("/sys/block/*") if not _NO_DISK.match(path.rsplit("/", 1)[1])]
    there = [] if finding.machine.container else [path for path in there if not _made_up(finding, path)]
    finding.unknown.add("no_disks")  # until one is found
    try:
        scan = finding.machine.run(["smartctl", "--scan-open", "--json"], SECONDS)
    except Absent as error:
        if not there and not devices:
            raise
        raise Unreadable("smartctl is not installed") from error
    found = [*scanned(parse(scan.stdout)), *devices]
    found = list(dict.fromkeys(pair for pair in found if _TYPE.match(pair[1])))
    if not found:
        if there:
            raise Unreadable("no disk was found, but the kernel has some")
        raise Absent("no disks")
    finding.unknown.discard("no_disks")
    seen = [disk for device, kind in found for disk in _read(finding, device, kind)]
    for disk in _once(seen):
        _say(finding, disk)


def _made_up(finding: Finding, path: str) -> bool:
    """A virtual machine's disk: its SMART is the host's below."""
    vendor = ""
    try:
        vendor = finding.machine.text(f"{path}/device/vendor")
    except (Absent, Unreadable):
        return path.rsplit("/", 1)[1].startswith(("vd", "xvd"))
    return vendor.lower().startswith(("qemu", "vmware", "msft", "0x1af4", "xen"))


def name_of(device: str, kind: str) -> str:
    """`sda`; behind a controller `bus/0[megaraid,3]`."""
    short = device.removeprefix("/dev/")
    return f"{short}[{kind}]" if "," in kind else short


def _read(finding: Finding, device: str, kind: str) -> list[Disk]:
    """The disk, or the disks behind it where it is a controller's volume that can be asked through."""
    disk = _one(finding, device, kind)
    if "raid_volume" not in disk.unknown or "hp" not in disk.model.lower():
        return [disk]
    behind: list[Disk] = []
    for number in range(MOST_BEHIND):
        one = _one(finding, device, f"cciss,{number}")
        if "open_failed" in one.unknown or "bad_command" in one.unknown:
            break
        behind.append(one)
    return behind or [disk]


def _one(finding: Finding, device: str, kind: str) -> Disk:
    name = name_of(device, kind)
    try:
        argv = ["smartctl", "--json", "--all", *(["--device", kind] if kind else []), device]
        return read(parse(finding.machine.run(argv, SECONDS).stdout), name)
    except Unreadable as error:
        finding.page.fail(f"smart {name}", str(error))
        return Disk(
            name, unknown={"no_json" if "JSON" in str(error) or "smartctl --json" in str(error) else "not_run": ""}
        )


def _once(disks: Sequence[Disk]) -> list[Disk]:
    """Each disk once: the same serial by two ways is one disk, and a volume whose disks are read adds nothing."""
    behind = any("[" in disk.name and disk.readable for disk in disks)
    kept: dict[str, Disk] = {}
    for disk in disks:
        if behind and "raid_volume" in disk.unknown:
            continue
        identity = f"{disk.model} {disk.serial}" if disk.serial and disk.readable else disk.name
        if disk.serial.upper() == "REDACTED":
            identity = disk.name
        kept.setdefault(identity, disk)
    return list(kept.values())


def _say(finding: Finding, disk: Disk) -> None:
    page, history = finding.page, finding.history
    grown: set[str] = set()
    for counter, value in disk.counters.items():
        try:
            if history.grew(f"smart {disk.serial or disk.name} {counter}", value):
                grown.add(counter)
        except Backwards as error:
            page.fail(f"smart {disk.name} {counter}", str(error))
            disk.unknown["backwards"] = counter
    year = time.gmtime(finding.machine.now).tm_year if finding.machine.now >= EARLIEST else None
    flags, _looked = judge(disk, finding.constants, grown=frozenset(grown), year=year)
    for flag in flags:
        finding.add(flag)
    finding.unknown.update(disk.unknown)
    for name, given in disk.broken.items():
        page.fail(f"smart {disk.name} {name}", f"{given} cannot be true")
    with page.reading(f"smart {disk.name}"):
        page.gauge(
            "tram_disk_readable",
            "1 when the disk's SMART was read, 0 when unknown.",
            disk.readable,
            disk=disk.name,
        )
        if disk.readable and not {"age", "implausible", "partial"} & set(disk.unknown):
            risk = round(together(flag.p for flag in flags), 6)
            page.gauge("tram_disk_afr_ratio", "Chance that the disk fails within a year.", risk, disk=disk.name)
        if disk.hours is not None:
            page.gauge("tram_disk_power_on_seconds", "How long the disk has run.", disk.hours * 3600, disk=disk.name)
        if disk.temperature is not None:
            finding.value("disk", disk.name, "celsius", disk.temperature)
        if disk.used_percent is not None:
            finding.value("disk", f"{disk.name} endurance_used", "percent", disk.used_percent)
        if not disk.readable:
            raise Unreadable(", ".join(disk.unknown))
