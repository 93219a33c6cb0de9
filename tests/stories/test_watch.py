"""The watch over lines that fail: no sample lost, one letter a cause, in the mailbox of whoever is on duty."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
import yaml

from tram.lab.lab import Lab, down, open_lab, up
from tram.push.playbook import run_playbook

from ..conftest import LAB, REPO, take_over
from ..person import Person, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.long]

NAME = f"watch{os.getpid() % 100000}"
HUB, DISTRICT, COMMUNE = "trung-tam-hub1", "so-noi-vu-srv1", "huong-khe-srv1"
CUT = timedelta(minutes=float(os.environ.get("TRAM_TEST_CUT_MINUTES", "10")))
SCRAPE_SECONDS = 60
TEXTFILES = "/var/lib/prometheus/node-exporter"
BOOKS = ("base", "pki", "dns", "mail", "exporter", "watch")


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with mail; a department on Debian 13; a district below it on an ADSL line."""
    folder = tmp_path_factory.mktemp("province") / "lab"
    shutil.copytree(LAB, folder)
    for name in ("site_huong_khe", "site_so_noi_vu"):
        (folder / f"group_vars/{name}.yml").unlink()
    functions = {
        "trung-tam": ["hub_cache", "dns", "pki", "mail", "watch_hub", "watch_site"],
        "so-noi-vu": ["dns", "watch_site"],
        "huong-khe": ["watch_site"],
    }
    for code, names in functions.items():
        path = folder / f"sites/{code}.yml"
        site = yaml.safe_load(path.read_text(encoding="utf-8"))
        site["hosts"][0]["functions"] = names
        if code == "so-noi-vu":
            site["hosts"][0]["suite"] = "trixie"
        if code == "huong-khe":
            site["parent"] = "so-noi-vu"
        path.write_text(yaml.safe_dump(site, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def lab(inventory: Path) -> Iterator[Lab]:
    """The province, watched; $TRAM_TEST_LAB names one of this shape that is up and watched already."""
    mine = os.environ.get("TRAM_TEST_LAB")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAM_LAB", mine or NAME)
        if mine:
            yield open_lab(mine)
            return
        try:
            found = up(inventory, NAME, print)
            take_over(found)
            for book in BOOKS:
                assert run_playbook(REPO / f"playbooks/{book}.yml", inventory).failures() == [], book
            yield found
        finally:
            down(NAME)


@pytest.fixture(scope="module")
def duty(lab: Lab) -> Person:
    """Who reads what is written to postmaster."""
    return Person(lab, "trung-tam", "van-thu")


def ask(lab: Lab, path: str, **words: str) -> str:
    """What the hub's store answers on its loopback."""
    url = f"http://127.0.0.1:8428{path}?{urllib.parse.urlencode(words)}"
    ran = lab.sh(HUB, ["curl", "--silent", "--globoff", "--max-time", "30", url])
    assert ran.code == 0, ran
    return ran.stdout


def labels(lab: Lab, query: str) -> list[dict[str, str]]:
    """The series of an instant query, by their labels."""
    return [row["metric"] for row in json.loads(ask(lab, "/api/v1/query", query=query))["data"]["result"]]


def moments(lab: Lab, host: str, start: float) -> list[float]:
    """When each sample of a host was taken, from `start` on."""
    found: set[float] = set()
    for line in ask(lab, "/api/v1/export", **{"match[]": f'up{{host="{host}"}}', "start": f"{start:.0f}"}).splitlines():
        found.update(stamp / 1000 for stamp in json.loads(line)["timestamps"])
    return sorted(found)


def missing(stamps: list[float]) -> int:
    """Samples that were due between the first and the last and are not there."""
    return sum(round((later - before) / SCRAPE_SECONDS) - 1 for before, later in itertools.pairwise(stamps))


def letters(duty: Person, word: str) -> list[str]:
    """Subjects of the letters in the mailbox whose subject holds a word."""
    session = duty.imap()
    try:
        _, found = session.search(None, "ALL")
        subjects = []
        for number in found[0].split():
            _, data = session.fetch(number.decode(), "(BODY.PEEK[HEADER])")
            assert isinstance(data[0], tuple)
            subjects.append(str(message_from_bytes(data[0][1], policy=policy.default)["Subject"]))
        return [subject for subject in subjects if word in subject]
    finally:
        session.logout()


def fresh(lab: Lab, host: str) -> bool:
    """Whether a sample of the last minute and a half is at the hub."""
    return bool(moments(lab, host, time.time() - 90))


@dataclass(frozen=True, slots=True)
class Outage:
    """A department cut off together with the district below it, its agent restarted meanwhile."""

    began: float
    page_seconds: float
    pages: list[str]
    live_seconds: float
    letters_after: list[str]


@pytest.fixture(scope="module")
def outage(lab: Lab, duty: Person) -> Outage:
    """Cut, restart, mend, and wait until both are heard again."""
    everyone = (HUB, DISTRICT, COMMUNE)
    wait_until("all are heard", lambda: all(fresh(lab, host) for host in everyone), timedelta(minutes=5), 3)
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
    wait_until(
        "the letter of its end",
        lambda: any("SiteSilent" in one for one in letters(duty, "Đã hết")),
        timedelta(minutes=5),
        3,
    )
    time_to_settle = time.time() + 120
    wait_until("time for more letters", lambda: time.time() > time_to_settle, timedelta(minutes=3), 3)
    return Outage(began, page_seconds, pages, live_seconds, letters(duty, "")[len(before) + len(pages) :])


def test_an_outage_and_a_restart_in_it_lose_no_sample(outage: Outage, lab: Lab) -> None:
    for host in (DISTRICT, COMMUNE):
        stamps = moments(lab, host, outage.began - 120)
        print(f"{host}: {len(stamps)} samples, {missing(stamps)} lost; live {outage.live_seconds:.0f} s after the mend")
        assert stamps[-1] - stamps[0] > CUT.total_seconds()
        assert missing(stamps) == 0


def test_a_cut_district_is_one_letter_and_within_five_minutes(outage: Outage) -> None:
    print(f"silent site: letter in the mailbox {outage.page_seconds:.0f} s after the cut; {outage.pages}")
    assert [one for one in outage.pages if "Silent" in one] == ["KHẨN: SiteSilent so-noi-vu"]
    assert outage.page_seconds <= 300


def test_what_arrives_late_raises_nothing_about_the_past(outage: Outage) -> None:
    # Hosts of a lab share the machine's clock, which may be nobody's to keep.
    assert [one for one in outage.letters_after if not one.startswith("Đã hết") and "ClockWrong" not in one] == []


def test_an_agent_killed_in_a_cut_loses_the_sample_on_its_way_and_the_newest(lab: Lab) -> None:
    began = time.time()
    lab.cut("huong-khe")
    try:
        wait_until("two scrapes in the cut", lambda: time.time() - began > 130, timedelta(minutes=4), 3)
        assert lab.sh(COMMUNE, ["systemctl", "kill", "--signal=KILL", "tram-watch-agent"]).code == 0
        wait_until("two scrapes after the kill", lambda: time.time() - began > 240, timedelta(minutes=4), 3)
    finally:
        lab.mend("huong-khe")
    wait_until("the host is heard", lambda: fresh(lab, COMMUNE), timedelta(minutes=4), 3)
    stamps = moments(lab, COMMUNE, began - 120)
    print(f"killed in a cut: {missing(stamps)} of {len(stamps) + missing(stamps)} samples lost")
    assert missing(stamps) <= 2


def test_whose_samples_they_are_says_the_certificate(lab: Lab) -> None:
    lie = 'tram_story_lie{site="so-noi-vu",host="so-noi-vu-srv1",of_site="so-noi-vu"} 1\n'
    assert lab.sh(COMMUNE, ["sh", "-c", f"printf '%s' '{lie}' >{TEXTFILES}/story_lie.prom"]).code == 0
    try:
        wait_until("the lie has arrived", lambda: bool(labels(lab, "tram_story_lie")), timedelta(minutes=6), 3)
        found = labels(lab, "tram_story_lie")
        assert [(one["site"], one["host"]) for one in found] == [("huong-khe", COMMUNE)]
    finally:
        lab.sh(COMMUNE, ["rm", f"{TEXTFILES}/story_lie.prom"])


def test_faults_are_letters_in_the_mailbox_within_four_minutes(lab: Lab, duty: Person) -> None:
    old = time.time() - 9 * 86400
    said = f'tram_antivirus_engine_up 0\ntram_antivirus_signatures_timestamp_seconds{{set="province"}} {old:.0f}\n'
    said += 'tram_hardware_flag_ratio{component="disk",disk="sdz",signal="197"} 0.68\n'
    wanted = {"AntivirusDown", "SignaturesOld", "DiskFailing"}
    before, began = len(letters(duty, "")), time.time()
    assert lab.sh(DISTRICT, ["sh", "-c", f"printf '%s' '{said}' >{TEXTFILES}/story_fault.prom"]).code == 0
    there: dict[str, float] = {}

    def arrived() -> bool:
        for subject in letters(duty, "so-noi-vu")[-20:]:
            for name in wanted - set(there):
                if name in subject and subject.startswith("KHẨN"):
                    there[name] = time.time() - began
        return set(there) == wanted

    try:
        wait_until("a letter for each fault", arrived, timedelta(minutes=5), 3)
        print("fault to letter: " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in sorted(there.items())))
        assert len(letters(duty, "")) > before
        assert max(there.values()) <= 240
    finally:
        lab.sh(DISTRICT, ["rm", f"{TEXTFILES}/story_fault.prom"])
