"""The watch over lines that fail: no sample lost, one letter a cause, in the mailbox of whoever is on duty."""

from __future__ import annotations

import importlib.util
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from tram.lab.lab import Lab
from tram.push.playbook import run_playbook

from ..conftest import REPO
from ..person import Person, wait_until
from ..small_lab import own_lab, write_inventory
from ..watched import HUB, fresh, labels, letters, missing, moments, root_of, rows, said, tell

pytestmark = [pytest.mark.lab, pytest.mark.long]

DISTRICT, COMMUNE = "so-noi-vu-srv1", "huong-khe-srv1"
EVERYONE = (HUB, DISTRICT, COMMUNE)
CUT = timedelta(minutes=float(os.environ.get("TRAM_TEST_CUT_MINUTES", "10")))
BOOKS = ("base", "pki", "dns", "antivirus", "mail", "watch")
HOSTS = {
    "trung-tam": [
        {"functions": ["hub_cache", "dns", "pki", "mail", "mirror", "antivirus_mirror", "watch_hub", "watch_site"]}
    ],
    "so-noi-vu": [{"functions": ["dns", "antivirus", "watch_site"], "suite": "trixie"}],
    "huong-khe": [{"functions": ["watch_site"]}],
}


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with mail; a department with a scanner on Debian 13; a district below it on an ADSL line."""
    folder = write_inventory(tmp_path_factory.mktemp("province"), HOSTS)
    path = folder / "sites/huong-khe.yml"
    site = yaml.safe_load(path.read_text(encoding="utf-8"))
    site["parent"] = "so-noi-vu"
    path.write_text(yaml.safe_dump(site, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def lab(inventory: Path) -> Iterator[Lab]:
    """The province, watched; $TRAM_TEST_LAB names one of this shape that is up and watched already."""
    with own_lab(inventory, "watch", *BOOKS) as found:
        yield found


@pytest.fixture(scope="module")
def duty(lab: Lab) -> Person:
    """Who reads what is written to postmaster."""
    return Person(lab, "trung-tam", "van-thu")


@dataclass(frozen=True, slots=True)
class Outage:
    """A department cut off together with the district below it; one agent is killed in it, one restarted."""

    began: float
    page_seconds: float
    pages: list[str]
    live_seconds: float
    letters_after: list[str]


@pytest.fixture(scope="module")
def outage(lab: Lab, duty: Person) -> Outage:
    """Cut, kill, restart, mend, and wait until both are heard again and have sent everything."""
    wait_until("all are heard", lambda: all(fresh(lab, host) for host in EVERYONE), timedelta(minutes=5), 3)
    wait_until("nobody is silent", lambda: not labels(lab, 'ALERTS{alertname="SiteSilent"}'), timedelta(minutes=5), 3)
    before = letters(duty, "")
    sites = ("so-noi-vu", "huong-khe")
    began = time.time()
    try:
        for site in sites:
            lab.cut(site)
        wait_until(
            "a letter about the silent site",
            lambda: any("SiteSilent" in one for one in letters(duty, "")[len(before) :]),
            timedelta(minutes=6),
            3,
        )
        page_seconds = time.time() - began
        assert lab.sh(COMMUNE, ["systemctl", "restart", "tram-watch-agent"]).code == 0
        assert lab.sh(DISTRICT, ["systemctl", "kill", "--signal=KILL", "tram-watch-agent"]).code == 0
        wait_until(
            "the length of the cut", lambda: time.time() - began > CUT.total_seconds(), CUT + timedelta(minutes=1), 3
        )
        pages = letters(duty, "")[len(before) :]
    finally:
        for site in sites:
            lab.mend(site)
    mended = time.time()
    wait_until("both are heard again", lambda: fresh(lab, COMMUNE) and fresh(lab, DISTRICT), timedelta(minutes=5), 3)
    live_seconds = time.time() - mended
    for host in (COMMUNE, DISTRICT):
        wait_until("nothing waits", lambda host=host: said(lab, host)["pending"] == 0, timedelta(minutes=3), 1)  # type: ignore[misc]
    wait_until(
        "the letter of its end",
        lambda: any("SiteSilent" in one for one in letters(duty, "Đã hết")),
        timedelta(minutes=5),
        3,
    )
    time_to_settle = time.time() + 120
    wait_until("time for more letters", lambda: time.time() > time_to_settle, timedelta(minutes=3), 3)
    return Outage(began, page_seconds, pages, live_seconds, letters(duty, "")[len(before) + len(pages) :])


@pytest.mark.parametrize(("host", "lost"), [(COMMUNE, 0), (DISTRICT, 1)], ids=["restarted", "killed"])
def test_an_outage_loses_no_sample_and_a_killed_agent_one_at_most(
    outage: Outage, lab: Lab, host: str, lost: int
) -> None:
    stamps = moments(lab, host, outage.began - 120)
    print(f"{host}: {len(stamps)} samples, {missing(stamps)} lost; live {outage.live_seconds:.0f} s after the mend")
    assert stamps[-1] - stamps[0] > CUT.total_seconds()
    assert missing(stamps) <= lost
    assert outage.live_seconds <= 60


def test_a_cut_district_is_one_letter_and_within_five_minutes(outage: Outage) -> None:
    print(f"silent site: letter in the mailbox {outage.page_seconds:.0f} s after the cut; {outage.pages}")
    assert [one for one in outage.pages if "Silent" in one] == ["KHẨN: SiteSilent so-noi-vu"]
    assert outage.page_seconds <= 300


def test_what_arrives_late_raises_nothing_about_the_past(outage: Outage) -> None:
    # Hosts of a lab share the machine's clock, which may be nobody's to keep.
    assert [one for one in outage.letters_after if not one.startswith("Đã hết") and "ClockWrong" not in one] == []


@contextmanager
def thin(lab: Lab, site: str, host: str, up_bps: int) -> Iterator[None]:
    """A line of so much upload, the agent allowed a quarter of it."""
    path = root_of(lab, host) / "etc/tram-watch/agent.json"
    usual = path.read_text(encoding="utf-8")
    link = next(one.link for one in lab.province.sites if one.code == site)
    assert link
    try:
        path.write_text(json.dumps(json.loads(usual) | {"bytes_per_second": up_bps // 32}), encoding="utf-8")
        lab.set_link(site, up_bps=up_bps)
        yield
    finally:
        path.write_text(usual, encoding="utf-8")
        lab.set_link(site, up_bps=link.up_bps)
        lab.sh(host, ["systemctl", "restart", "tram-watch-agent"])


def test_a_days_backlog_over_a_quarter_of_a_thin_line_lets_the_newest_go_first(lab: Lab) -> None:
    spec = importlib.util.spec_from_file_location("backlog", REPO / "bench/watch/backlog.py")
    assert spec
    assert spec.loader
    spec.loader.exec_module(backlog := importlib.util.module_from_spec(spec))
    with thin(lab, "huong-khe", COMMUNE, 256_000):
        lab.cut("huong-khe")
        try:
            assert lab.sh(COMMUNE, ["systemctl", "stop", "tram-watch-agent"]).code == 0
            until = time.time() - 3 * 3600
            backlog.fill(root_of(lab, COMMUNE), until)
            assert lab.sh(COMMUNE, ["systemctl", "start", "tram-watch-agent"]).code == 0
            wait_until("a reading in the cut", lambda: len(_spool(lab)) > backlog.DAY, timedelta(minutes=2), 1)
        finally:
            lab.mend("huong-khe")
        mended = time.time()
        wait_until("it is heard", lambda: bool(moments(lab, COMMUNE, mended - 70)), timedelta(minutes=2), 1)
        live = time.time() - mended
        wait_until("nothing waits", lambda: said(lab, COMMUNE)["pending"] == 0, timedelta(minutes=20), 2)
        whole, agent = time.time() - mended, said(lab, COMMUNE)
    stamps = moments(lab, COMMUNE, until - 86_400 - 90, until)
    print(f"a day's backlog ({len(stamps)} readings of 160 series), a quarter of 256 kbit/s: live after {live:.0f} s, "
          f"all of it after {whole / 60:.1f} min in {agent['bytes'] / 1e6:.2f} MB; {missing(stamps)} lost")  # fmt: skip
    assert live <= 60
    assert whole <= 20 * 60
    assert agent["bytes"] / whole <= 8000 * 1.05 + 2 * 8000 / whole
    assert (len(stamps), missing(stamps)) == (backlog.DAY, 0)


def _spool(lab: Lab) -> list[Path]:
    return list((root_of(lab, COMMUNE) / "var/lib/private/tram-watch/spool").iterdir())


def test_whose_samples_they_are_says_the_certificate(lab: Lab) -> None:
    tell(lab, COMMUNE, "story_lie", 'tram_story_lie{site="so-noi-vu",host="so-noi-vu-srv1",of_site="so-noi-vu"} 1\n')
    try:
        wait_until("the lie has arrived", lambda: bool(labels(lab, "tram_story_lie")), timedelta(minutes=3), 3)
        found = labels(lab, "tram_story_lie")
        assert [(one["site"], one["host"]) for one in found] == [("huong-khe", COMMUNE)]
    finally:
        tell(lab, COMMUNE, "story_lie", "")


@pytest.mark.parametrize("host", [COMMUNE, DISTRICT], ids=["debian-12", "debian-13"])
def test_round_trips_are_read_by_either_debians_icmplib(lab: Lab, host: str) -> None:
    query = f'tram_link_rtt_seconds{{host="{host}",quantile="0.5"}}'
    wait_until("a round trip", lambda: bool(rows(lab, query)), timedelta(minutes=3), 3)
    version = lab.sh(host, ["dpkg-query", "--show", "--showformat=${Version}", "python3-icmplib"]).stdout
    print(f"{host}: icmplib {version}, {rows(lab, query)[0][1] * 1000:.1f} ms")
    failed = f'tram_exporter_readings_failed{{host="{host}",exporter="link",reading=~"probe.*"}} == 1'
    assert labels(lab, failed) == []


Fault = Callable[[Lab], None]


def letters_about(
    lab: Lab, duty: Person, wanted: set[str], *, site: str, cause: Fault, mend: Fault
) -> dict[str, float]:
    """Seconds from a fault to the letter of each alert."""
    there: dict[str, float] = {}
    before, began = len(letters(duty, site)), time.time()

    def arrived() -> bool:
        for subject in letters(duty, site)[before:]:
            for name in wanted - set(there):
                if name in subject and subject.startswith("KHẨN"):
                    there[name] = time.time() - began
        return set(there) == wanted

    try:
        cause(lab)
        wait_until(f"a letter for each of {sorted(wanted)}", arrived, timedelta(minutes=5), 2)
    finally:
        mend(lab)
    print("fault to letter: " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in sorted(there.items())))
    return there


def test_what_is_told_of_disks_and_arrays_is_a_letter_within_four_minutes(lab: Lab, duty: Person) -> None:
    # The machine's kernel has no md: the array that lost a disk is told by a textfile, as is the dying disk.
    text = f'tram_antivirus_signatures_timestamp_seconds{{set="province"}} {time.time() - 9 * 86400:.0f}\n'
    text += 'tram_hardware_flag_ratio{component="disk",disk="sdz",signal="197"} 0.68\n'
    text += 'node_md_disks{device="md0",state="failed"} 1\n'
    wanted = {"SignaturesOld", "DiskFailing", "RaidDegraded"}
    there = letters_about(
        lab, duty, wanted, site="huong-khe", cause=lambda lab: tell(lab, COMMUNE, "story_fault", text),
        mend=lambda lab: tell(lab, COMMUNE, "story_fault", ""),
    )  # fmt: skip
    assert max(there.values()) <= 240


def test_a_disk_that_fills_is_a_letter_within_four_minutes(lab: Lab, duty: Person) -> None:
    fill = """truncate -s 60M /root/story.img && mkfs.ext4 -q -m 0 /root/story.img && mkdir -p /srv/story
device=$(losetup -f --show /root/story.img) && mount "$device" /srv/story && dd if=/dev/zero of=/srv/story/full bs=1M
df /srv/story | grep -qE ' (9[89]|100)% '"""
    free = "umount /srv/story; losetup -j /root/story.img | cut -d: -f1 | xargs -r losetup -d; rm -rf /root/story.img"

    def cause(lab: Lab) -> None:
        lab.sh(
            COMMUNE, ["sh", "-c", "for n in 0 1 2 3 4 5 6 7; do [ -e /dev/loop$n ] || mknod /dev/loop$n b 7 $n; done"]
        )
        lab.sh(COMMUNE, ["sh", "-c", "[ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237"])
        ran = lab.sh(COMMUNE, ["sh", "-c", fill])
        assert ran.code == 0, ran

    there = letters_about(
        lab, duty, {"DiskFull"}, site="huong-khe", cause=cause, mend=lambda lab: lab.sh(COMMUNE, ["sh", "-c", free])
    )
    assert there["DiskFull"] <= 240


def test_a_scanner_that_stops_is_a_letter_within_four_minutes(lab: Lab, duty: Person) -> None:
    units = "clamav-daemon.socket clamav-daemon.service"
    stop = f"systemctl mask --runtime --now {units}"
    start = f"systemctl unmask --runtime {units}; systemctl start {units}"
    there = letters_about(
        lab, duty, {"AntivirusDown"}, site="so-noi-vu", cause=lambda lab: lab.sh(DISTRICT, ["sh", "-c", stop]),
        mend=lambda lab: lab.sh(DISTRICT, ["sh", "-c", start]),
    )  # fmt: skip
    assert there["AntivirusDown"] <= 240


def test_a_second_run_changes_nothing_and_the_watch_proves_itself(lab: Lab, inventory: Path) -> None:
    assert lab
    again = run_playbook(REPO / "playbooks/watch.yml", inventory)
    assert (again.failures(), again.changed()) == ([], [])
    assert run_playbook(REPO / "playbooks/verify/watch.yml", inventory).failures() == []
