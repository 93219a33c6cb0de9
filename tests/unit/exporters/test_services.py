"""Mail and antivirus in numbers: counts, never contents."""

from __future__ import annotations

import json
import os
import re
from datetime import datetime
from pathlib import Path

import pytest

from tram_exporters import antivirus, directory, mail, units
from tram_exporters.mail import classify

from .conftest import NOW, MachineMaker, values

LINES = [
    "4X1: message-id=<secret@so-noi-vu.tinh.example>",
    "4X1: to=<an@x.example>, relay=mx[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (250 2.0.0 Ok)",
    "4X2: to=<an@x.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (connect timed out)",
    "NOQUEUE: reject: RCPT from a[192.0.2.1]: 550 5.1.1 <x@y>: Recipient address rejected; from=<a> to=<b>",
    "NOQUEUE: reject: RCPT from a[192.0.2.1]: 554 5.7.1 <x@y>: Relay access denied; from=<a> to=<b>",
    "4X3: milter-reject: END-OF-MESSAGE from a[192.0.2.1]: 5.7.1 Eicar; from=<a>",
    "4X4: milter-reject: END-OF-MESSAGE from a[192.0.2.1]: 550 5.7.1 Eicar; from=<a>",
    "NOQUEUE: reject: RCPT from a[192.0.2.1]: 450 4.7.1 <x@y>: greylisted; from=<a>",
]


def entry(cursor: str, message: str) -> str:
    return json.dumps({"__CURSOR": cursor, "MESSAGE": message})


def test_log_lines_are_counted_by_kind() -> None:
    assert classify(LINES) == {
        "received": 1, "sent": 1, "rejected recipient_unknown": 1, "rejected policy": 1, "rejected content": 2,
        "rejected later": 1,
    }  # fmt: skip


def test_the_queue_and_what_came_since_the_last_run(machine: MachineMaker, tmp_path: Path) -> None:
    queue = "\n".join(json.dumps({"arrival_time": NOW - age, "sender": "an@x.example"}) for age in (10, 7200))
    first = {"postqueue": queue, "journalctl": entry("c0", LINES[0])}
    assert values(mail.collect(tmp_path, machine({}, first)))["tram_mail_received_total"] == 0
    later = {"postqueue": queue, "journalctl": "\n".join(entry(f"c{n}", line) for n, line in enumerate(LINES))}
    page = mail.collect(tmp_path, machine({}, later))
    said = values(page)
    assert (said["tram_mail_queue_messages"], said["tram_mail_queue_oldest_seconds"]) == (2, 7200)
    assert (said["tram_mail_received_total"], said["tram_mail_sent_total"]) == (1, 1)
    assert said['tram_mail_rejected_total{reason="content"}'] == 2
    assert "example" not in page.text(now=NOW) + (tmp_path / "mail.json").read_text()


def test_a_queue_that_does_not_answer_is_unknown_and_the_log_is_still_counted(
    machine: MachineMaker, tmp_path: Path
) -> None:
    page = mail.collect(tmp_path, machine({}, {"postqueue": ("mail system is down", 69), "journalctl": ""}))
    assert list(page.failed) == ["queue"]
    assert "tram_mail_queue_messages" not in values(page)
    assert "tram_mail_sent_total" in values(page)


STATUS = {
    "made": "2026-11-01T10:00:00Z", "asked": "2026-11-21T10:00:00Z", "error": None, "installed": 7,
    "profile": "full", "active": 7, "scanned": {"ended": "2026-11-21T03:00:00Z"},
    "official": {"daily": {"version": 1, "built": "2026-11-20T10:00:00Z"}},
    "findings": [{"action": "quarantined", "path": "/srv/virus"}],
}  # fmt: skip


def test_antivirus_in_numbers(machine: MachineMaker) -> None:
    page = antivirus.collect(machine({}, {"tram-antivirus": json.dumps(STATUS)}))
    said = values(page)
    assert page.failed == {}
    assert said["tram_antivirus_engine_up"] == 1
    assert {key for key in said if key.startswith("tram_antivirus_signatures")} == {
        'tram_antivirus_signatures_timestamp_seconds{set="daily"}',
        'tram_antivirus_signatures_timestamp_seconds{set="province"}',
    }
    assert (
        said['tram_antivirus_findings{state="quarantined"}'],
        said['tram_antivirus_findings{state="reported"}'],
    ) == (1, 0)


@pytest.mark.parametrize(
    ("differs", "day"),
    [({}, "2026-11-21"), ({"error": "refused"}, "2026-11-01"), ({"active": 6}, "2026-11-01"),
     ({"asked": None}, "2026-11-01"), ({"profile": "on-demand", "active": None}, "2026-11-21")],
    ids=["asked", "failed", "not in effect", "never asked", "no scanner in memory"],
)  # fmt: skip
def test_the_provinces_signatures_are_old_when_nobody_knows_whether_there_are_newer_ones(
    machine: MachineMaker, differs: dict[str, object], day: str
) -> None:
    page = antivirus.collect(machine({}, {"tram-antivirus": json.dumps({**STATUS, **differs})}))
    wanted = datetime.fromisoformat(f"{day}T10:00:00Z").timestamp()
    assert values(page)['tram_antivirus_signatures_timestamp_seconds{set="province"}'] == wanted


def test_a_scanner_that_does_not_answer_is_down_and_one_that_is_not_to_run_is_not(machine: MachineMaker) -> None:
    down = antivirus.collect(machine({}, {"tram-antivirus": json.dumps({**STATUS, "active": None})}))
    assert values(down)["tram_antivirus_engine_up"] == 0
    demand = antivirus.collect(machine({}, {"tram-antivirus": json.dumps({**STATUS, "profile": "on-demand"})}))
    assert "tram_antivirus_engine_up" not in values(demand)


def test_signatures_of_1970_and_half_a_status_are_failed_readings(machine: MachineMaker) -> None:
    old = antivirus.collect(machine({}, {"tram-antivirus": json.dumps({**STATUS, "asked": "1970-01-01T00:00:00Z"})}))
    assert list(old.failed) == ["signatures"]
    half = antivirus.collect(machine({}, {"tram-antivirus": '{"made": '}))
    assert list(half.failed) == ["status"]


FAILED = "systemctl list-units --state=failed,auto-restart --plain --no-legend --no-pager"


def test_a_unit_that_failed_is_named_and_one_that_is_nobodys_is_not(machine: MachineMaker) -> None:
    lines = (
        "tram-directory-dump.service loaded failed failed Dump the directory\n"
        "postfix@-.service loaded activating auto-restart Postfix\n"
        "sys-kernel-debug.mount loaded failed failed Kernel Debug File System\n"
    )
    said = values(units.collect(machine({}, {FAILED: lines})))
    assert said["tram_units_failed"] == 2
    assert {key for key in said if key.startswith("tram_unit_failed")} == {
        'tram_unit_failed{unit="postfix@-.service"}',
        'tram_unit_failed{unit="tram-directory-dump.service"}',
    }


def test_every_unit_that_a_role_runs_is_ours() -> None:
    roles = Path(__file__).parents[3] / "roles"
    texts = [path.read_text(encoding="utf-8") for path in roles.glob("*/*/*.yml")]
    found = {
        name for text in texts for name in re.findall(r"name: [\"']?([a-z0-9@-]+\.(?:service|timer|path))\b", text)
    }
    found |= {
        path.name.removesuffix(".j2")
        for path in roles.glob("*/templates/etc/systemd/system/*.j2")
        if re.search(r"\.(service|timer|path)\.j2$", path.name)
    }
    assert {"slapd.service", "tram-watch-take.service"} <= found
    assert sorted(name for name in found if not units.OURS.fullmatch(name)) == []


def test_a_host_without_a_fault_says_nought_and_one_that_cannot_be_asked_nothing(machine: MachineMaker) -> None:
    assert values(units.collect(machine({}, {FAILED: ""})))["tram_units_failed"] == 0
    page = units.collect(machine({}, {FAILED: ("no bus", 1)}))
    assert (list(page.failed), "tram_units_failed" in values(page)) == (["failed"], False)


LOCAL = "tram-directory-status --local"


@pytest.mark.parametrize(
    ("seen", "age", "said"),
    [
        ({"in_step": True, "ahead": False}, 60, (1, 0)),
        ({"in_step": False, "ahead": True}, 60, (0, 1)),
        ({"in_step": None, "ahead": None}, 60, (None, None)),
        ({"in_step": True, "ahead": False}, 4 * 3600, (None, None)),
    ],
)
def test_a_copy_is_as_it_was_when_it_was_last_compared(
    machine: MachineMaker, seen: dict[str, bool | None], age: int, said: tuple[int | None, int | None]
) -> None:
    host = machine({directory.COMPARED: json.dumps(seen)}, {LOCAL: json.dumps({"role": "replica"})})
    os.utime(host.at(directory.COMPARED), (NOW - age, NOW - age))
    page = directory.collect(host)
    found = values(page)
    assert (found.get("tram_directory_in_step"), found.get("tram_directory_ahead")) == said
    assert ("compared" in page.failed) is (age > 3600)
    assert found["tram_directory_up"] == 1


@pytest.mark.parametrize(
    ("uptime", "failed"), [("600.5 1200.0", []), ("90000.1 1.0", ["compared"])], ids=["new", "old"]
)
def test_a_copy_that_is_never_compared_is_told_once_there_was_time_for_it(
    machine: MachineMaker, uptime: str, failed: list[str]
) -> None:
    page = directory.collect(machine({"/proc/uptime": uptime}, {LOCAL: json.dumps({"role": "replica"})}))
    assert list(page.failed) == failed
    assert "tram_directory_in_step" not in values(page)


def test_the_hub_says_when_it_was_dumped_and_a_directory_that_is_away_is_down(machine: MachineMaker) -> None:
    status = json.dumps({"role": "provider", "dumped": 1_790_000_000})
    found = values(directory.collect(machine({}, {LOCAL: status})))
    assert found["tram_directory_dumped_timestamp_seconds"] == 1_790_000_000
    found = values(directory.collect(machine({}, {LOCAL: ('{"error": "slapd does not answer"}', 1)})))
    assert found["tram_directory_up"] == 0
