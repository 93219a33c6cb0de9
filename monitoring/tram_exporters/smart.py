"""One disk's reading, from the JSON of smartctl: what it says, what it leaves out, and what cannot be true.

Nothing is guessed: a value of the wrong kind, all ones, or larger than a disk could count is not read.
Source: smartctl(8), "Exit status"; smartmontools, JSON output; ATA ACS; NVM Express base specification.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from tram_exporters.textfile import Unreadable

COUNTED = {5: "5", 187: "187", 197: "197", 198: "198"}
"""The attributes of spinning disks whose raw values are read against tables."""

HOURS_A_YEAR = 8766
MOST_HOURS = 50 * HOURS_A_YEAR
MOST_SECTORS = 2**32
ALL_ONES = {0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF}

_VOLUME = re.compile(r"raid|virtual|logical|perc|serveraid|megaraid|mr\d{4}|smart ?array|volume", re.IGNORECASE)
_LEADING = re.compile(r"^(\d+)(?:\s*\(|$)")
_WEAR_LEFT = re.compile(
    r"media_wearout|wear_leveling|percent_lifetime_remain|percent_life_remaining|ssd_life_left", re.I
)


@dataclass(slots=True)
class Disk:
    """What is known of one disk. `counters` are raw counts that only grow; `signals` what is raised as it stands."""

    name: str
    kind: str = "unknown"
    model: str = ""
    serial: str = ""
    readable: bool = False
    hours: int | None = None
    made: int | None = None
    temperature: float | None = None
    used_percent: float | None = None
    exit_status: int = 0
    messages: list[str] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    signals: dict[str, str] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    """Readings beside the point of failure that cannot be true, by name."""


def number(value: object, *, most: float = 2**64) -> int | float | None:
    """A JSON number from 0 to `most`; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        return None
    return value


def whole(value: object, *, most: float = 2**64) -> int | None:
    """The same, a whole number."""
    found = number(value, most=most)
    return int(found) if found is not None and found == int(found) else None


def at(document: object, *path: str) -> Any:
    """What is at this place of a document; None where the way ends."""
    for step in path:
        document = document.get(step) if isinstance(document, dict) else None
    return document


def text(value: object) -> str:
    """A string, or nothing."""
    return value.strip() if isinstance(value, str) else ""


def parse(data: str | bytes) -> dict[str, Any]:
    """The document smartctl printed. Raises: Unreadable when it is no whole JSON object of smartctl."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"no whole JSON document: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("smartctl"), dict):
        raise Unreadable('no output of smartctl --json: it has no object "smartctl"')
    return document


def read(document: dict[str, Any], name: str = "") -> Disk:
    """What a document says of the disk, in words of our own."""
    disk = Disk(name or text(at(document, "device", "name")).removeprefix("/dev/") or "disk")
    disk.model = next((found for key in ("model_name", "scsi_model_name") if (found := text(document.get(key)))), "")
    disk.serial = text(document.get("serial_number"))
    listed = at(document, "smartctl", "messages")
    said = (text(at(one, "string")) for one in (listed if isinstance(listed, list) else []))
    disk.messages = [one for one in said if one]
    status = whole(at(document, "smartctl", "exit_status"), most=255)
    disk.exit_status = status or 0
    disk.kind = _kind(document)
    _ages(document, disk)
    if disk.kind == "nvme":
        _nvme(document, disk)
    elif disk.kind == "sas":
        _sas(document, disk)
    else:
        _ata(document, disk)
    _verdict(document, disk)
    disk.temperature = _temperature(document, disk)
    if status is None:
        disk.unknown.setdefault("partial", "exit_status")
    _why_unreadable(document, disk)
    return disk


def _kind(document: dict[str, Any]) -> str:
    protocol = text(at(document, "device", "protocol")).upper()
    if protocol == "NVME" or isinstance(document.get("nvme_smart_health_information_log"), dict):
        return "nvme"
    if protocol == "SCSI" and "ata_smart_attributes" not in document:
        return "sas"
    rotation = number(document.get("rotation_rate"))
    if rotation is not None:
        return "hdd" if rotation > 0 else "ssd"
    names = {attribute.lower() for _id, attribute, _row in _attributes(document)}
    if {"spin_up_time", "spin_retry_count", "seek_error_rate"} & names:
        return "hdd"
    return "ssd" if any(_WEAR_LEFT.search(one) or "wear" in one for one in names) else "unknown"


def _ages(document: dict[str, Any], disk: Disk) -> None:
    """Power-on hours as smartctl decodes them: the raw attribute may pack minutes or more into the high bytes."""
    given = at(document, "power_on_time", "hours")
    if given is None:
        given = at(document, "nvme_smart_health_information_log", "power_on_hours")
    disk.hours = whole(given, most=MOST_HOURS)
    if given is not None and (disk.hours is None or disk.hours in ALL_ONES):
        disk.hours = None
        disk.unknown["implausible"] = f"power_on_time {given}"[:60]
    year = text(at(document, "scsi_start_stop_cycle_counter", "year_of_manufacture"))
    disk.made = int(year) if re.fullmatch(r"(19[89]|20\d)\d", year) else None


def _attributes(document: dict[str, Any]) -> list[tuple[int, str, dict[str, Any]]]:
    table = at(document, "ata_smart_attributes", "table")
    rows = [row for row in (table if isinstance(table, list) else []) if isinstance(row, dict)]
    return [(number, text(row.get("name")), row) for row in rows if (number := whole(row.get("id"), most=255))]


def raw(row: dict[str, Any]) -> int | None:
    """An attribute's raw count. Some makers keep other words in the high bytes, which smartctl prints in brackets after
    the count ("0 (12437 0)"): then only the count counts."""
    value, printed = whole(at(row, "raw", "value")), _LEADING.match(text(at(row, "raw", "string")))
    if printed and "(" in printed.group(0):
        value = int(printed.group(1))
    return value


def _ata(document: dict[str, Any], disk: Disk) -> None:
    rows = _attributes(document)
    disk.readable = bool(rows)
    for identity, name, row in rows:
        value = raw(row)
        if row.get("when_failed") == "now":
            disk.signals["below_threshold"] = name or str(identity)
        elif row.get("when_failed") == "past":
            disk.signals["below_threshold_past"] = name or str(identity)
        if identity in COUNTED and disk.kind == "hdd":
            _count(disk, COUNTED[identity], value)
        elif identity in (5, 187, 196, 197, 198, 199) and value:
            disk.seen[f"{identity} {name}"] = str(value)
        elif identity == 188 and value:
            # Seagate packs three 16-bit counts into it, so that one timeout reads as thousands of millions.
            words = [value >> shift & 0xFFFF for shift in (0, 16, 32)]
            disk.seen[f"188 {name}"] = f"{value} = {words[0]} / {words[1]} / {words[2]}"
        if disk.kind == "ssd" and _WEAR_LEFT.search(name):
            left = number(row.get("value"), most=253)
            if left is not None and (disk.used_percent is None or 100 - left > disk.used_percent):
                disk.used_percent = max(0.0, 100.0 - left)
    used = number(at(document, "endurance_used", "current_percent"), most=255)
    disk.used_percent = used if used is not None else disk.used_percent
    # Normalised wear ends at 1 or so: below 2 % left there is nothing to be had.
    if disk.used_percent is not None and disk.used_percent >= (98 if used is None else 100):
        disk.signals["ssd_worn"] = f"{disk.used_percent:.0f} %"
    errors = (whole(at(document, "ata_smart_error_log", log, "count")) for log in ("summary", "extended"))
    counted = [one for one in errors if one is not None]
    if counted:
        disk.counters["error_log"] = max(counted)
    if disk.readable and disk.kind == "unknown":
        disk.unknown["partial"] = "rotation_rate"


def _count(disk: Disk, key: str, value: int | None) -> None:
    if value is None:
        disk.unknown.setdefault("partial", f"SMART {key}")
    elif value in ALL_ONES or value >= MOST_SECTORS:
        disk.unknown["implausible"] = f"SMART {key} = {value}"
    else:
        disk.counters[key] = value


def _nvme(document: dict[str, Any], disk: Disk) -> None:
    log = document.get("nvme_smart_health_information_log")
    disk.readable = isinstance(log, dict) and whole(log.get("critical_warning"), most=255) is not None
    warning = whole(at(log, "critical_warning"), most=255) or 0
    bits = ("nvme_spare_low", "disk_hot", "nvme_unreliable", "nvme_read_only", "nvme_backup_failed")
    for bit, signal in enumerate(bits):
        if warning >> bit & 1:
            disk.signals[signal] = f"critical_warning {warning:#04x}"
    spare, least = (number(at(log, key), most=100) for key in ("available_spare", "available_spare_threshold"))
    if spare is not None and least is not None and spare < least:
        disk.signals["nvme_spare_low"] = f"{spare} % < {least} %"
    media = whole(at(log, "media_errors"))
    if media in ALL_ONES:
        disk.unknown["implausible"] = f"media_errors {media}"
    elif media:
        disk.signals["nvme_media_errors"] = str(media)
    disk.used_percent = number(at(log, "percentage_used"), most=255)
    if disk.used_percent is not None and disk.used_percent >= 100:
        disk.signals["ssd_worn"] = f"{disk.used_percent} %"
    missing = [key for key in ("media_errors", "percentage_used", "available_spare") if at(log, key) is None]
    if disk.readable and missing:
        disk.unknown["partial"] = ", ".join(missing)


def _sas(document: dict[str, Any], disk: Disk) -> None:
    grown = document.get("scsi_grown_defect_list")
    logs = [
        (direction, at(document, "scsi_error_counter_log", direction, "total_uncorrected_errors"))
        for direction in ("read", "write", "verify")
    ]
    told = [(direction, value) for direction, value in logs if value is not None]
    disk.readable = grown is not None or bool(told)
    if grown is not None:
        _count(disk, "sas_grown_defects", whole(grown))
    elif disk.readable:
        disk.unknown["partial"] = "scsi_grown_defect_list"
    counts = [whole(value) for _direction, value in told]
    if told:
        _count(disk, "sas_uncorrected", None if None in counts else sum(one or 0 for one in counts))
    elif disk.readable:
        disk.unknown["partial"] = "scsi_error_counter_log"


def _verdict(document: dict[str, Any], disk: Disk) -> None:
    passed = at(document, "smart_status", "passed")
    status = disk.exit_status
    if passed is False or status & 8:
        disk.signals["smart_failing"] = "smart_status" if passed is False else "exit_status & 8"
    if status & 16:
        disk.signals.setdefault("below_threshold", "exit_status & 16")
    if status & 32:
        disk.signals.setdefault("below_threshold_past", "exit_status & 32")
    if status & 64:
        disk.seen["error_log"] = str(disk.counters.get("error_log") or "exit_status & 64")
    if status & 128:
        disk.signals["self_test_failed"] = "exit_status & 128"
    if status & 4 and disk.readable:
        # Controllers that pass attributes on but not the verdict end so every time: whole when a verdict is there.
        disk.seen["exit_status & 4"] = str(status)
        if not isinstance(passed, bool):
            disk.unknown.setdefault("partial", "exit_status & 4")


def _temperature(document: dict[str, Any], disk: Disk) -> float | None:
    given = at(document, "temperature", "current")
    current = number(given, most=150)
    if given is not None and current is None:
        disk.broken["temperature"] = str(given)[:40]
    trip = number(at(document, "temperature", "drive_trip"), most=150)
    if current and trip and current >= trip:
        disk.signals["disk_hot"] = f"{current} °C ≥ {trip} °C"
    # 0 °C is what controllers say that do not know.
    return float(current) if current else None


def _why_unreadable(document: dict[str, Any], disk: Disk) -> None:
    """An unreadable disk has one reason; what its exit status says comes before what is missing."""
    if isinstance(document.get("devices"), list):
        disk.readable, disk.unknown = False, {"scan": ", ".join(name for name, _type in scanned(document)) or "0"}
        return
    if disk.exit_status & 3:
        disk.readable = False
    if disk.readable:
        return
    said = "; ".join(disk.messages)[:160]
    maker = " ".join(text(document.get(key)) for key in ("vendor", "product", "scsi_vendor", "scsi_product"))
    if disk.exit_status & 1:
        disk.unknown = {"bad_command": said}
    elif disk.exit_status & 2:
        disk.unknown = {"open_failed": said}
    elif disk.kind == "sas" and _VOLUME.search(f"{maker} {disk.model}"):
        disk.unknown = {"raid_volume": disk.model or maker.strip()}
    else:
        disk.unknown["no_smart_data"] = said


def scanned(document: dict[str, Any]) -> list[tuple[str, str]]:
    """The disks a `smartctl --scan-open -j` found: device and type (`sat`, `megaraid,0`, `cciss,1`, …)."""
    listed = document.get("devices")
    rows = listed if isinstance(listed, list) else []
    pairs = [(text(at(row, "name")), text(at(row, "type"))) for row in rows]
    return [(name, kind) for name, kind in pairs if re.fullmatch(r"/dev/[\w./-]+", name)]
