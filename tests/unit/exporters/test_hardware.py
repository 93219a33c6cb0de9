"""The exporter `hardware` on machines of every kind of misery: no reading takes another with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tram_exporters import hardware
from tram_exporters.machine import Machine
from tram_exporters.risk import Constants
from tram_exporters.textfile import Page

from .conftest import NOW, MachineMaker, Programs, clean_by_promtool, reading, scan, values

BOOT = {"/proc/sys/kernel/random/boot_id": "a\n", "/proc/uptime": "1000.0 1.0\n"}
SDA = ("/dev/sda", "sat")
READ = "smartctl --json --all --device sat /dev/sda"
HDD = "smartctl_exporter--Hitachi_HUA722020ALA330_29"


def run(machine: Machine, constants: Constants, state: Path, **given: Any) -> Page:
    return hardware.collect(constants, state, machine, **given)


def flags(page: Page) -> set[str]:
    return {key.split('signal="')[1].split('"')[0] for key in values(page) if key.startswith("tram_hardware_flag")}


def unknown(page: Page) -> set[str]:
    return {key.split('"')[1] for key in values(page) if key.startswith("tram_host_risk_unknown")}


def failed(page: Page) -> set[str]:
    return set(page.failed)


def disks(text: str, code: int = 0) -> dict[str, Any]:
    return {"smartctl --scan-open --json": scan(SDA), READ: (text, code)}


def test_a_good_disk_is_worth_its_age_only(machine: MachineMaker, constants: Constants, tmp_path: Path) -> None:
    page = run(machine(BOOT, disks(reading(HDD))), constants, tmp_path)
    said = values(page)
    assert (flags(page), unknown(page), failed(page)) == ({"age"}, set(), set())
    assert said["tram_host_risk_ratio"] == said['tram_disk_afr_ratio{disk="sda"}'] == 0.10
    assert said['tram_disk_readable{disk="sda"}'] == 1
    if shutil.which("promtool"):
        assert clean_by_promtool(page.text(now=NOW)) == ""


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ("Segmentation fault", 139, "no_json"),
        ('{"smartctl": {', 0, "no_json"),
        ("", 1, "no_json"),
        ("\x00\xff", 0, "no_json"),
    ],
)
def test_a_smartctl_that_prints_garbage_makes_the_disk_unknown(  # noqa: PLR0917 (fixtures)
    machine: MachineMaker, constants: Constants, tmp_path: Path, text: str, code: int, reason: str
) -> None:
    page = run(machine(BOOT, disks(text, code)), constants, tmp_path)
    said = values(page)
    assert (unknown(page), failed(page)) == ({reason, "reading_failed"}, {"smart sda"})
    assert said['tram_disk_readable{disk="sda"}'] == 0
    assert [key for key in said if key.startswith(("tram_disk_afr", "tram_host_risk_ratio"))] == []


def test_a_machine_of_which_no_disk_is_seen_is_unknown(
    machine: MachineMaker, constants: Constants, tmp_path: Path
) -> None:
    assert unknown(run(machine(BOOT), constants, tmp_path)) == {"no_disks"}
    page = run(machine({**BOOT, "/sys/block/sda/size": "1"}), constants, tmp_path)
    assert (unknown(page), failed(page)) == ({"no_disks", "reading_failed"}, {"smart"})


def test_disks_behind_controllers_are_read_and_the_volume_before_them_adds_nothing(
    machine: MachineMaker, constants: Constants, tmp_path: Path
) -> None:
    mega = json.loads(reading(HDD)) | {"serial_number": "S1"}
    answers = {
        "smartctl --scan-open --json": scan(("/dev/sda", "scsi"), ("/dev/bus/0", "megaraid,0")),
        "smartctl --json --all --device scsi /dev/sda": reading("scrutiny--smart-raid"),
        "smartctl --json --all --device megaraid,0 /dev/bus/0": json.dumps(mega),
    }
    page = run(machine(BOOT, answers), constants, tmp_path)
    assert unknown(page) == set()
    assert 'tram_disk_readable{disk="bus/0[megaraid,0]"}' in values(page)
    assert 'tram_disk_readable{disk="sda"}' not in values(page)


def test_an_hp_volume_is_asked_through(machine: MachineMaker, constants: Constants, tmp_path: Path) -> None:
    volume = json.dumps(json.loads(reading("scrutiny--smart-raid")) | {"model_name": "HP LOGICAL VOLUME"})
    answers: dict[str, Any] = {
        "smartctl --scan-open --json": scan(("/dev/sda", "scsi")),
        "smartctl --json --all --device scsi /dev/sda": volume,
        "smartctl --json --all --device cciss,0 /dev/sda": reading(HDD),
        "smartctl": json.dumps({"smartctl": {"exit_status": 2}}),
    }
    said = values(run(machine(BOOT, answers), constants, tmp_path))
    assert [key for key in said if "readable" in key] == ['tram_disk_readable{disk="sda[cciss,0]"}']


def test_an_unreadable_volume_alone_is_unknown(machine: MachineMaker, constants: Constants, tmp_path: Path) -> None:
    page = run(machine(BOOT, disks(reading("scrutiny--smart-raid"), 4)), constants, tmp_path)
    assert "raid_volume" in unknown(page)
    assert values(page)['tram_disk_readable{disk="sda"}'] == 0


def grown(value: int) -> str:
    document = json.loads(reading(HDD))
    row = next(row for row in document["ata_smart_attributes"]["table"] if row["id"] == 197)
    row["raw"] = {"value": value, "string": str(value)}
    return json.dumps(document)


def test_growth_is_known_and_a_counter_that_went_backwards_is_a_failed_reading(
    machine: MachineMaker, constants: Constants, tmp_path: Path
) -> None:
    risks = []
    for day, value in enumerate((2, 2, 6, 1)):
        page = run(machine(BOOT, disks(grown(value)), now=NOW + day * 86_400), constants, tmp_path)
        risks.append(round(values(page)["tram_host_risk_ratio"], 3))
    assert risks[:3] == [0.29, 0.29, 0.745]
    assert (failed(page), unknown(page)) == ({"smart sda 197"}, {"backwards", "reading_failed"})


def test_in_1970_nothing_is_compared_or_kept(machine: MachineMaker, constants: Constants, tmp_path: Path) -> None:
    run(machine(BOOT, disks(grown(2))), constants, tmp_path)
    kept = (tmp_path / "hardware.json").read_text()
    page = run(machine(BOOT, disks(grown(1)), now=86_400.0), constants, tmp_path)
    assert (failed(page), unknown(page)) == ({"time"}, {"clock", "reading_failed"})
    assert (tmp_path / "hardware.json").read_text() == kept


def test_a_broken_history_is_said_and_begun_anew(machine: MachineMaker, constants: Constants, tmp_path: Path) -> None:
    (tmp_path / "hardware.json").write_text('{"smart": [[1')
    assert failed(run(machine(BOOT, disks(reading(HDD))), constants, tmp_path)) == {"history"}
    assert failed(run(machine(BOOT, disks(reading(HDD))), constants, tmp_path)) == set()


MDSTAT = "Personalities : [raid1]\nmd0 : active raid1 sdb1[1] sda1[0](F)\n      976630 blocks [2/1] [_U]\n"
SENSORS = {
    "/sys/class/hwmon/hwmon0/name": "nct6775",
    "/sys/class/hwmon/hwmon0/temp1_input": "95000",
    "/sys/class/hwmon/hwmon0/temp1_crit": "90000",
    "/sys/class/hwmon/hwmon0/temp2_input": "65535",
    "/sys/class/hwmon/hwmon0/in7_input": "2500",
    "/sys/class/hwmon/hwmon0/in7_label": "Vbat",
}
IPMI = (
    "Fan1 | 30h | cr | 7.1 | 0 RPM\nFan2 | 31h | ok | 7.2 | 65535 RPM\n"
    "PS Redundancy | 77h | ok | 7.1 | Redundancy Lost\n"
    "VBAT | 10h | ok | 7.10 | 2.41 Volts\nVlan | half\n"
)
SEL = (
    "1 | 11/17/2026 | 10:00:00 | Memory #0x01 | Uncorrectable ECC | Asserted\n"
    "2 | 01/01/1970 | 00:00:03 | Drive Slot | Drive Fault | Asserted\n3 | Pre-Init | x\n"
)
UPS = {"upsc -l": "ups1\n", "upsc ups1": "ups.status: OL RB\nbattery.date: 2020/01/01\nbattery.charge: 65535\n"}


@pytest.mark.parametrize(
    ("files", "programs", "raised", "broken"),
    [
        ({"/proc/mdstat": MDSTAT}, {}, {"md_degraded"}, set()),
        ({"/proc/mdstat": "md1 : inactive sda1[0](S)\n"}, {}, {"md_degraded"}, set()),
        ({"/sys/devices/system/edac/mc/mc0/ce_count": "3", "/sys/devices/system/edac/mc/mc0/ue_count": "0"}, {},
         {"edac_corrected"}, set()),
        ({"/sys/fs/ext4/sda1/errors_count": "2"}, {}, {"ext4_errors"}, set()),
        ({"/sys/fs/ext4/sda1/errors_count": "two"}, {}, set(), {"ext4"}),
        (SENSORS, {}, {"too_hot", "cmos_battery"}, {"hwmon nct6775 temp2"}),
        ({"/sys/class/rtc/rtc0/since_epoch": "1230768000"}, {}, {"cmos_battery"}, set()),
        ({}, {"chronyc": "A,1.2.3.4,2,1,0,0,0,-141.2,0,0,0,0,64,Normal\n"}, {"clock_drift"}, set()),
        ({}, {"chronyc": ("506 Cannot talk to daemon", 1)}, set(), {"clock"}),
        ({"/sys/class/dmi/id/bios_date": "  "}, {}, set(), {"dmi"}),
        ({"/dev/ipmi0": ""}, {"ipmitool sdr elist all": IPMI, "ipmitool sel elist": SEL},
         {"fan_failed", "psu_lost", "cmos_battery", "edac_uncorrected"}, {"ipmi Fan2"}),
        ({"/dev/ipmi0": ""}, {}, set(), {"ipmi_sensors", "ipmi_events"}),
        ({}, UPS, {"ups_test_failed", "ups_battery_5y"}, set()),
        ({}, {"upsc": ("Error: Connection failure", 1)}, set(), {"ups"}),
        ({"/dev/kmsg": "3,1,990000000,-;I/O error, dev sda, sector 7\n6,2,990000001,-;usb: fine\n"}, {},
         {"kernel_io_errors"}, set()),
    ],
)  # fmt: skip
def test_each_sign_is_raised_and_each_lie_is_named(  # noqa: PLR0917 (fixtures)
    machine: MachineMaker,
    constants: Constants,
    tmp_path: Path,
    files: dict[str, str],
    programs: dict[str, Any],
    raised: set[str],
    broken: set[str],
) -> None:
    page = run(machine({**BOOT, **files}, programs), constants, tmp_path)
    assert (flags(page), failed(page)) == (raised, broken)


def test_our_own_smartctl_raises_the_failed_commands_and_is_not_counted(
    machine: MachineMaker, constants: Constants, tmp_path: Path
) -> None:
    path, found = "/sys/block/sda/device/ioerr_cnt", []
    for count, after in (("0x5", "0x7"), ("0x7", "0x9"), ("0xb", "0xd"), ("0xd", "0xf")):
        there = machine({**BOOT, path: count})

        def smartctl(argv: Any, seconds: float, there: Machine = there, after: str = after) -> Any:
            there.at(path).write_text(after)
            return Programs({})(argv, seconds)

        found.append("io_errors_grown" in flags(run(Machine(there.root, smartctl, NOW), constants, tmp_path)))
    assert found == [False, False, True, True]


def test_a_fan_is_judged_by_what_it_usually_does(machine: MachineMaker, constants: Constants, tmp_path: Path) -> None:
    said = []
    for day, speed in enumerate((0, 0, 3000, 3100, 2900, 1900, 1500)):
        files = {**BOOT, "/sys/class/hwmon/hwmon0/name": "f", "/sys/class/hwmon/hwmon0/fan1_input": str(speed)}
        page = run(machine(files, now=NOW + day * 86_400), constants, tmp_path)
        said.append("fan_failed" in flags(page))
    assert said == [*[False] * 6, True]
    page = run(machine({**files, "/sys/class/hwmon/hwmon0/fan1_input": "0"}, now=NOW + 9 * 86_400), constants, tmp_path)
    assert flags(page) == {"fan_failed"}
