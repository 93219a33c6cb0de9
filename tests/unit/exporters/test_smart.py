"""Readings of real disks: what each means, and that nothing is made of what cannot be true."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from tram_exporters.risk import Constants, judge, together
from tram_exporters.smart import parse, read
from tram_exporters.textfile import Unreadable

from .conftest import READINGS, reading

ALL = sorted(path.stem for path in READINGS.glob("*.json"))

# Flags (signal: value) and reasons why something is unknown. All others have nothing but their age.
FOUND: dict[str, tuple[dict[str, str], set[str]]] = {
    "scrutiny--smart-ata-date2": ({"pending_sectors": "10", "offline_uncorrectable": "10"}, set()),
    "scrutiny--smart-fail": ({}, {"open_failed"}),
    "scrutiny--smart-pass": ({}, {"no_smart_data"}),
    "scrutiny--smart-raid": ({}, {"raid_volume"}),
    "scrutiny--smart-sat": ({}, {"age"}),
    "scrutiny--smartctl_scan_megaraid": ({}, {"scan"}),
    "smartctl_exporter--MB0500EBNCR_13": ({"reported_uncorrectable": "1"}, set()),
    "smartctl_exporter--SEAGATE_ST373453LC_26": ({"sas_grown_defects": "260", "sas_uncorrected": "536"}, set()),
    "smartctl_exporter--nvme-null-SAMSUNG_MZWLL3T2HAJQ-00005-nvme0": (
        {"nvme_backup_failed": "critical_warning 0x10", "smart_failing": "smart_status"},
        set(),
    ),
}


@pytest.mark.parametrize("name", ALL)
def test_a_real_reading_means_what_it_says(name: str, constants: Constants) -> None:
    disk = read(parse(reading(name)))
    flags, _looked = judge(disk, constants, year=2026)
    found = {flag.signal: flag.value for flag in flags if flag.signal != "age"}
    assert (found, set(disk.unknown)) == FOUND.get(name, ({}, set()))
    assert [flag for flag in flags if not flag.source or not 0 < flag.p < 1] == []
    assert bool(flags) or bool(disk.unknown), "a disk is either judged or unknown, never passed over"


def of(name: str, **changed: Any) -> dict[str, Any]:
    """A reading with top-level parts replaced."""
    return {**parse(reading(name)), **changed}


def attribute(name: str, identity: int, value: object, text: str = "") -> dict[str, Any]:
    """A reading with one attribute's raw value replaced."""
    document = copy.deepcopy(parse(reading(name)))
    for row in document["ata_smart_attributes"]["table"]:
        if row["id"] == identity:
            row["raw"] = {"value": value, "string": text or str(value)}
    return document


HDD = "smartctl_exporter--Hitachi_HUA722020ALA330_29"


def test_packed_power_on_hours_are_taken_as_smartctl_decodes_them() -> None:
    disk = read(parse(reading("smartctl_exporter--sat-Seagate_Enterprise_Capacity_3.5_HDD-ST1000NM0008-2F2100-sda")))
    assert disk.hours == 47_060


def test_seagates_packed_timeouts_are_told_apart_and_raise_nothing(constants: Constants) -> None:
    disk = read(parse(reading("smartctl_exporter--sat-Seagate_Exos_X16-ST16000NM001G-2KK103-sda")))
    assert disk.seen["188 Command_Timeout"] == "51540393996 = 12 / 12 / 12"
    assert [flag.signal for flag in judge(disk, constants)[0]] == ["age"]


def test_an_ssds_attributes_are_not_read_against_the_table_of_spinning_disks(constants: Constants) -> None:
    disk = read(parse(reading("smartctl_exporter--sat-Phison_Driven_SSDs-KINGSTON_SKC400S371T-sda")))
    assert (disk.kind, disk.seen["5 Retired_Block_Count"]) == ("ssd", "1")
    assert [flag.signal for flag in judge(disk, constants)[0]] == ["age"]


def test_a_count_before_brackets_is_the_count() -> None:
    disk = read(attribute(HDD, 5, 53416508262463, "2111 (12437 0)"))
    assert disk.counters["5"] == 2111


@pytest.mark.parametrize("value", [65535, 4294967295, 2**48 - 1, 2**40])
def test_a_count_that_cannot_be_true_is_unknown(value: int) -> None:
    disk = read(attribute(HDD, 197, value))
    assert "197" not in disk.counters
    assert disk.unknown == {"implausible": f"SMART 197 = {value}"}


@pytest.mark.parametrize("value", [None, "7", True, -1, 1.5, [], {}, float("inf")])
def test_a_count_of_another_kind_is_unknown(value: object) -> None:
    disk = read(attribute(HDD, 198, value, "x"))
    assert disk.unknown == {"partial": "SMART 198"}


@pytest.mark.parametrize("value", [65535, -40, "warm", 1e300])
def test_a_temperature_that_cannot_be_true_is_named_and_spoils_nothing_else(
    value: object, constants: Constants
) -> None:
    disk = read(of(HDD, temperature={"current": value}))
    assert (disk.temperature, disk.broken) == (None, {"temperature": str(value)})
    assert [flag.signal for flag in judge(disk, constants)[0]] == ["age"]


BITS = {
    1: (False, set(), {"bad_command"}),
    2: (False, set(), {"open_failed"}),
    4: (True, set(), set()),
    8: (True, {"smart_failing"}, set()),
    16: (True, {"below_threshold"}, set()),
    32: (True, {"below_threshold_past"}, set()),
    64: (True, set(), set()),
    128: (True, {"self_test_failed"}, set()),
    252: (True, {"smart_failing", "below_threshold", "below_threshold_past", "self_test_failed"}, set()),
}


@pytest.mark.parametrize("status", BITS)
def test_every_exit_bit_has_its_meaning(status: int) -> None:
    document = of(HDD)
    document["smartctl"] = {**document["smartctl"], "exit_status": status}
    disk = read(document)
    assert (disk.readable, set(disk.signals), set(disk.unknown)) == BITS[status]


def test_a_failed_command_without_a_verdict_leaves_the_reading_incomplete() -> None:
    document = of(HDD, smart_status={})
    document["smartctl"] = {**document["smartctl"], "exit_status": 4}
    assert read(document).unknown == {"partial": "exit_status & 4"}


def test_a_disks_own_verdict_counts_even_when_nothing_else_can_be_read(constants: Constants) -> None:
    disk = read({"smartctl": {"exit_status": 8}, "device": {"name": "/dev/sda"}, "smart_status": {"passed": False}})
    assert [flag.signal for flag in judge(disk, constants)[0]] == ["smart_failing"]
    assert (disk.readable, set(disk.unknown)) == (False, {"no_smart_data"})


@pytest.mark.parametrize(
    "data", ["", "Segmentation fault", '{"smartctl": {', "[]", "null", "{}", '{"smartctl": 1}', "[" * 9999]
)
def test_what_is_no_whole_reading_is_refused_in_one_sentence(data: str) -> None:
    with pytest.raises(Unreadable, match=r"^no "):
        parse(data)


def test_age_goes_by_manufacture_where_hours_are_not_told(constants: Constants) -> None:
    disk = read(parse(reading("smartctl_exporter--HP_73.4G_MAS3735NC_25")))
    [age] = judge(disk, constants, year=2026)[0]
    assert (age.value, age.p) == ("22.0 y", 0.10)
    assert judge(read(parse(reading("smartctl_exporter--HP_73.4G_MAS3735NC_25"))), constants)[0] == []


@pytest.mark.parametrize(
    ("counter", "value", "rate"),
    [("5", 1, 0.027433), ("5", 4, 0.027433), ("5", 5, 0.075020), ("197", 1, 0.341966), ("187", 1, 0.338776),
     ("187", 2, 0.240648), ("198", 0, 0.028675), ("198", 1, 0.813576), ("5", 10**6, 1.775539)],
)  # fmt: skip
def test_buckets_have_no_gap(counter: str, value: int, rate: float, constants: Constants) -> None:
    found = constants.table(counter)
    assert found is not None
    assert constants.bucket(found[1], value)[0] == rate


def test_growth_doubles_the_rate_and_risk_is_of_all_flags(constants: Constants) -> None:
    disk = read(attribute(HDD, 197, 2))
    [still], [grown] = judge(disk, constants)[0], judge(disk, constants, grown=frozenset({"197"}))[0]
    assert (round(still.p, 4), round(grown.p, 4)) == (0.2896, 0.4954)
    assert together([0.5, 0.5, 0.2]) == pytest.approx(0.8)


def test_every_constant_has_its_source_and_both_languages(constants: Constants) -> None:
    data = constants.data
    judged = [*data["attributes"].values(), *data["analogies"].values(), *data["signals"].values(), data["age"]]
    assert [one for one in judged if not (one["source"] and one["vi"] and one["en"])] == []
    assert data["rule"]["source"]
    assert data["impact"]["source"]
    assert [
        one for one in [*data["exit_bits"].values(), *data["unknown"].values()] if not (one["vi"] and one["en"])
    ] == []
    assert json.dumps(data)
