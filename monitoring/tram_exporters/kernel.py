"""What the kernel tells of the machine: md arrays, memory, file systems, failed commands, sensors, clocks, age.

Source: Linux, Documentation/admin-guide/md, edac, ext4, ABI/testing; Documentation/hwmon/sysfs-interface.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import TYPE_CHECKING

from tram_exporters.textfile import EARLIEST, Absent, Unreadable

if TYPE_CHECKING:
    from tram_exporters.hardware import Finding

_ARRAY = re.compile(r"^(md\S*) : (active|inactive)\b(.*)$")
_FAILED = re.compile(r"(?:I/O|critical \w+) error,? (?:on )?dev(?:ice)? (?!fd|sr)([\w-]+)")
_LACKS = re.compile(r"\[(\d+)/(\d+)\] \[[U_]+\]")
IMPOSSIBLE = {65535, 65535000, 127000, 255000, -127000, -128000}


def md(finding: Finding) -> None:
    """Arrays that lack a disk or whose copies differ."""
    arrays = finding.machine.text("/proc/mdstat").split("\n")
    for index, line in enumerate(arrays):
        if (found := _ARRAY.match(line)) is None:
            continue
        name, state, rest = found.groups()
        have = _LACKS.search(arrays[index + 1]) if index + 1 < len(arrays) else None
        lacking = int(have[1]) - int(have[2]) if have else 0
        with contextlib.suppress(Absent):  # RAID 0 and linear have none to lose
            lacking = max(lacking, finding.machine.number(f"/sys/block/{name}/md/degraded"))
        finding.value("raid", f"{name} degraded", "disks", lacking)
        if lacking or state == "inactive" or "(F)" in rest:
            finding.flag("md_degraded", state if state == "inactive" else f"{lacking}{rest[:80]}", name)
        try:
            mismatch = finding.machine.number(f"/sys/block/{name}/md/mismatch_cnt")
        except Absent:
            continue
        finding.value("raid", f"{name} mismatch", "sectors", mismatch)
        # On RAID 1 and 10 swap and memory-mapped writes leave harmless differences; parity has no such excuse.
        if mismatch and re.search(r"raid[456]", rest):
            finding.flag("md_mismatch", str(mismatch), name)


def edac(finding: Finding) -> None:
    """Memory errors since boot, by controller."""
    controllers = finding.machine.found("/sys/devices/system/edac/mc/mc*")
    if not controllers:
        raise Absent("no memory controller tells")
    for kind, signal in (("ce", "edac_corrected"), ("ue", "edac_uncorrected")):
        for path in controllers:
            count = finding.machine.number(f"{path}/{kind}_count")
            name = path.rsplit("/", 1)[1]
            finding.value("memory", f"{name} {signal.removeprefix('edac_')}", "errors", count)
            if count:
                finding.flag(signal, f"{name}: {count}")


def ext4(finding: Finding) -> None:
    """Errors an ext4 file system remembers in its superblock, until fsck."""
    paths = finding.machine.found("/sys/fs/ext4/*/errors_count")
    if not paths:
        raise Absent("no ext4")
    for path in paths:
        device, count = path.split("/")[-2], finding.machine.number(path)
        finding.value("file_system", f"{device} errors", "errors", count)
        if count:
            finding.flag("ext4_errors", str(count), device)


def _ioerr(finding: Finding) -> dict[str, int]:
    paths = finding.machine.found("/sys/block/*/device/ioerr_cnt")
    if not paths:
        raise Absent("no SCSI disks")
    return {path.split("/")[3]: finding.machine.number(path) for path in paths}


def ioerr(finding: Finding) -> None:
    """Failed commands that others than ourselves had: reading SMART through SCSI raises the counter at every run, so
    what it was after our last run is compared with what it is before this one."""
    boot = finding.machine.text("/proc/sys/kernel/random/boot_id")
    for device, count in _ioerr(finding).items():
        finding.value("disk", f"{device} failed_commands", "commands", count)
        key = f"ioerr {device}"
        after, foreign = finding.history.last(f"{key} after {boot}"), finding.history.last(key) or 0.0
        foreign += max(0.0, count - after) if after is not None else 0.0
        if finding.grew(key, foreign):
            finding.flag("io_errors_grown", f"+{foreign:.0f}", device)


def ioerr_after(finding: Finding) -> None:
    """Keep what our own reading left the counters at."""
    boot = finding.machine.text("/proc/sys/kernel/random/boot_id")
    for device, count in _ioerr(finding).items():
        finding.history.remember(f"ioerr {device} after {boot}", count)


def log(finding: Finding) -> None:
    """Errors of disks in the kernel's own ring within a day; cheaper than asking the journal."""
    if finding.machine.container:
        raise Absent("the kernel is another machine's")
    uptime = float(finding.machine.text("/proc/uptime").split()[0])
    found: dict[str, int] = {}
    for line in _ring(finding):
        head, _, message = line.partition(";")
        if (one := _FAILED.search(message)) and uptime - int(head.split(",")[2]) / 1e6 < 86_400:
            found[one[1]] = found.get(one[1], 0) + 1
    for device, count in found.items():
        finding.flag("kernel_io_errors", f"{count} / 24 h", device)
    finding.value("disk", "kernel_io_errors", "errors", sum(found.values()))


def _ring(finding: Finding) -> list[str]:
    try:
        handle = os.open(finding.machine.at("/dev/kmsg"), os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise Absent("/dev/kmsg") from error
    lines: list[str] = []
    try:
        for _most in range(50_000):
            try:
                record = os.read(handle, 8192)
            except BlockingIOError:
                break
            except BrokenPipeError:
                continue  # overwritten while we read; the next one is there
            if not record:
                break
            lines += [one for one in record.decode("utf-8", "replace").splitlines() if ";" in one and one[:1].isdigit()]
    finally:
        os.close(handle)
    return lines


def hwmon(finding: Finding) -> None:
    """Temperatures, fans and the clock's battery, as the board's own chips tell; each sensor fails by itself."""
    chips = [] if finding.machine.container else finding.machine.found("/sys/class/hwmon/hwmon*")
    if not chips:
        raise Absent("no sensors")
    for chip in chips:
        for path in finding.machine.found(f"{chip}/*_input"):
            stem = path.removesuffix("_input")
            kind = re.match(r"(temp|fan|in)\d+$", stem.rsplit("/", 1)[1])
            if kind is None:
                continue
            sensor = _named(finding, chip, stem)
            with finding.page.reading(f"hwmon {sensor}"):
                {"temp": _temperature, "fan": _fan, "in": _volt}[kind[1]](finding, stem, sensor)


def _named(finding: Finding, chip: str, stem: str) -> str:
    short = stem.rsplit("/", 1)[1]
    parts = []
    for path, fallback in ((f"{chip}/name", chip.rsplit("/", 1)[1]), (f"{stem}_label", short)):
        try:
            parts.append(finding.machine.text(path) or fallback)
        except (Absent, Unreadable):
            parts.append(fallback)
    return f"{parts[0]} {parts[1]}" if parts[1].startswith(short) else f"{parts[0]} {short} {parts[1]}"


def _optional(finding: Finding, path: str) -> int | None:
    try:
        return finding.machine.number(path)
    except (Absent, Unreadable):
        return None


def _plain(finding: Finding, stem: str, low: int, high: int) -> int:
    value = finding.machine.number(f"{stem}_input")
    if value in IMPOSSIBLE or not low <= value <= high or _optional(finding, f"{stem}_fault"):
        raise Unreadable(f"{stem}_input: {value} cannot be true")
    return value


def _temperature(finding: Finding, stem: str, sensor: str) -> None:
    value = _plain(finding, stem, -40_000, 150_000)
    finding.value("thermal", sensor, "celsius", value / 1000)
    critical = _optional(finding, f"{stem}_crit")
    if critical is not None and 40_000 <= critical <= 150_000 and value >= critical:
        finding.flag("too_hot", f"{sensor}: {value / 1000:.0f} °C ≥ {critical / 1000:.0f} °C")


def _fan(finding: Finding, stem: str, sensor: str) -> None:
    fan_speed(finding, sensor, _plain(finding, stem, 0, 40_000), alarm=bool(_optional(finding, f"{stem}_alarm")))


def fan_speed(finding: Finding, sensor: str, speed: float, *, alarm: bool = False) -> None:
    """Say a fan's speed. An empty socket reads 0 for ever: only what turned before can have stopped."""
    finding.value("fan", sensor, "rpm", speed)
    usual = finding.history.usual_low(f"fan {sensor}", speed)
    turned = bool(usual)
    if (alarm and speed == 0 and turned) or (usual and speed < 0.6 * usual):
        finding.flag("fan_failed", f"{sensor}: {speed:.0f} rpm (usual {usual or 0:.0f})")


def _volt(finding: Finding, stem: str, sensor: str) -> None:
    if "vbat" in sensor.lower():
        battery(finding, sensor, _plain(finding, stem, 0, 5_000) / 1000)


def battery(finding: Finding, sensor: str, volts: float) -> None:
    """Say the clock battery's voltage; below a volt nothing is measured there."""
    if not 1.0 <= volts <= 4.5:
        raise Unreadable(f"{sensor}: {volts} V cannot be true")
    finding.value("board", sensor, "volts", volts)
    if volts < 2.6:
        finding.flag("cmos_battery", f"{sensor}: {volts:.2f} V")


def rtc(finding: Finding) -> None:
    """A hardware clock far from the system's was reset: its battery is empty."""
    if finding.machine.container:
        raise Absent("the clock is another machine's")
    clock = finding.machine.number("/sys/class/rtc/rtc0/since_epoch")
    finding.value("board", "rtc", "seconds", clock)
    if clock < EARLIEST or (finding.machine.now >= EARLIEST and abs(clock - finding.machine.now) > 86_400):
        finding.flag("cmos_battery", f"rtc {time.strftime('%Y-%m-%d', time.gmtime(max(clock, 0)))}")


def drift(finding: Finding) -> None:
    """How fast the clock runs away, as chrony corrects it. Source: chronyc(1), tracking, -c: field 8 is in ppm."""
    if finding.machine.container:
        raise Absent("the clock is another machine's")
    said = finding.machine.run(["chronyc", "-c", "tracking"], 5)
    fields = said.stdout.strip().split(",")
    if said.code or len(fields) < 14:
        raise Unreadable(f"chronyc: {(said.stderr or said.stdout).strip()[:80]}")
    ppm = float(fields[7])
    finding.value("board", "clock_drift", "ppm", ppm)
    if abs(ppm) > 100:
        finding.flag("clock_drift", f"{ppm:+.0f} ppm")


def dmi(finding: Finding) -> None:
    """The year of the firmware, which is about the machine's own."""
    said = finding.machine.text("/sys/class/dmi/id/bios_date")
    found = re.search(r"(19[89]\d|20\d\d)$", said)
    if found is None:
        raise Unreadable(f"bios_date {said[:20]!r}")
    finding.value("board", "firmware", "year", int(found[1]))
