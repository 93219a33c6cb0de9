"""The board at the hub: a person logs in from a site, sees a dying disk there, and `tram status` says the same."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tram.accounts import ldif
from tram.lab.lab import Lab
from tram.push.playbook import Recap, run_playbook

from ..conftest import REPO
from ..person import wait_until
from ..small_lab import own_lab, write_inventory

pytestmark = [pytest.mark.lab, pytest.mark.long]

HUB, HOST, SITE = "trung-tam-hub1", "so-noi-vu-srv1", "so-noi-vu"
ADDRESS = "https://board.tinh.example"
BOOK = REPO / "playbooks/board.yml"
DYING = REPO / "tests/unit/exporters/smart/scrutiny--smart-ata-date2.json"
STUB = "/usr/local/sbin/smartctl"
PASSWORD = "một mật khẩu đủ dài"
# The site's host has the function, too, so that the role is proven on Debian 13 and with the directory over TLS; there
# it has no store to ask.
HOSTS: dict[str, dict[str, Any]] = {
    "trung-tam": {
        "functions": ["hub_cache", "dns", "pki", "directory", "watch_hub", "watch_site", "board"],
        "suite": "bookworm",
    },
    SITE: {"functions": ["watch_site", "board"], "suite": "trixie"},
}
BASE = "dc=tinh,dc=example"
AGENCY = f"ou={SITE},ou=department,{BASE}"
KHOA, LAN = "khoa.nv@tinh.example", "lan.tt@tinh.example"
OWN = "mật khẩu của riêng tôi"
NOW = timedelta(minutes=5)
# In a lab that was used before: what was told last counts for twelve minutes.
LINGERS = timedelta(minutes=13)
TRAM = str(Path(sys.executable).parent / "tram")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A hub on Debian 12 with the directory, and one department on Debian 13, both watched."""
    inventory = write_inventory(tmp_path_factory.mktemp("province"), {site: [host] for site, host in HOSTS.items()})
    with own_lab(inventory, "board", "base", "pki", "dns", "directory", "exporter", "watch") as found:
        yield found


@pytest.fixture(scope="module")
def inventory(lab: Lab) -> Path:
    return lab.province.folder


@pytest.fixture(scope="module")
def applied(lab: Lab, inventory: Path) -> tuple[Recap, Recap, Recap, Recap]:
    """A dry run before, the first run, the second, a dry run after."""
    assert lab
    dry = ["--check"]
    return (
        run_playbook(BOOK, inventory, extra=dry),
        run_playbook(BOOK, inventory),
        run_playbook(BOOK, inventory),
        run_playbook(BOOK, inventory, extra=dry),
    )


def address_of(lab: Lab, code: str) -> str:
    """The address of a site's first host."""
    return next(str(site.hosts[0].address) for site in lab.province.sites if site.code == code)


class Browser:
    """A browser at the site, as far as curl is one."""

    def __init__(self, lab: Lab, name: str = "board") -> None:
        self.lab = lab
        self.cookies = f"/root/story-{name}.cookies"
        # Whether the board of the site's own host is asked, instead of the hub's.
        self.local = False

    def call(self, path: str, *words: str) -> tuple[int, str]:
        """Status and body."""
        kept = ["--cookie", self.cookies, "--cookie-jar", self.cookies]
        told = ["curl", "--silent", "--max-time", "30", "--cacert", "/etc/ssl/tram/ca.crt", *kept]
        if self.local:
            told += ["--resolve", f"board.tinh.example:443:{address_of(self.lab, SITE)}"]
        ran = self.lab.sh(HOST, [*told, "--write-out", "\n%{http_code}", *words, ADDRESS + path])
        assert ran.code == 0, ran
        body, _line, status = ran.stdout.rpartition("\n")
        return int(status), body

    def enter(self, name: str, password: str) -> int:
        """Log in as people do: the form, then its answer."""
        _status, form = self.call("/login")
        word = re.search(r'name="word" value="([^"]+)"', form)
        assert word is not None, form
        given = {"name": name, "password": password, "word": word[1]}
        pairs = [one for key, value in given.items() for one in ("--data-urlencode", f"{key}={value}")]
        return self.call("/login", *pairs)[0]

    def site(self) -> dict[str, Any]:
        """How the board says the site is."""
        status, body = self.call(f"/sites/{SITE}.json")
        assert status == 200, body
        found: dict[str, Any] = json.loads(body)
        return found


@pytest.fixture(scope="module")
def operator(lab: Lab, applied: tuple[Recap, ...]) -> Iterator[Browser]:
    """Who was given an account on the hub, by ssh, and is logged in."""
    assert applied
    make = [
        "ssh",
        "-F",
        str(lab.paths.state / "ssh_config"),
        HUB,
        "sudo",
        "tram-board",
        "person",
        "truc",
        "--role",
        "operator",
    ]
    said = subprocess.run(make, input=PASSWORD + "\n", capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert PASSWORD not in said.stdout + said.stderr
    browser = Browser(lab)
    assert browser.enter("truc", PASSWORD) == 303
    yield browser
    lab.sh(HOST, ["rm", "-f", browser.cookies])
    lab.sh(HUB, ["tram-board", "person", "truc", "--remove"])


def at_hub(lab: Lab, inventory: Path, *words: str) -> tuple[int, Any]:
    """A command of `tram` with the hub's own loopback; its exit code and its JSON."""
    there = ["nsenter", f"--net=/proc/{lab.machines[HUB].init_pid()}/ns/net"]
    command = [*there, TRAM, *words, "-i", str(inventory), "--json"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.stdout, said.stderr
    return said.returncode, json.loads(said.stdout)


def codes(browser: Browser) -> set[str]:
    """The sites a person sees."""
    return {one["code"] for one in json.loads(browser.call("/board.json")[1])["list"]}


def status(lab: Lab, inventory: Path) -> tuple[int, dict[str, Any]]:
    """What `tram status` says of the site."""
    return at_hub(lab, inventory, "status", "--site", SITE)


def change(lab: Lab, text: str, *, gone: bool = False) -> None:
    """Change the directory at the hub, as the centre does: LDIF on stdin. `gone`: what is not there is no fault."""
    given = base64.b64encode(text.encode()).decode()
    command = f"echo {given} | base64 -d | ldapmodify -c -Q -Y EXTERNAL -H ldapi:///"
    said = lab.sh(HUB, ["sh", "-c", command])
    assert gone or said.code == 0, said


@pytest.fixture(scope="module")
def officials(lab: Lab, applied: tuple[Recap, ...]) -> Iterator[None]:
    """Khoa, who operates the province, and Lan, who sees the department; nobody afterwards."""
    assert applied
    groups = {"board-operators": KHOA, f"{SITE}-board": LAN}
    names = [*map(entry, (KHOA, LAN)), *(f"cn={one},ou=groups,{BASE}" for one in groups)]
    change(lab, "".join(ldif.delete(name) for name in names), gone=True)
    for mail in (KHOA, LAN):
        name = mail.partition("@")[0]
        person = {key: [name] for key in ("uid", "cn", "sn", "givenName", "employeeNumber")}
        person |= {"objectClass": ["inetOrgPerson", "tramPerson"], "tramAgency": [SITE], "tramState": ["active"]}
        change(lab, ldif.add(entry(mail), person | {"mail": [mail], "userPassword": [OWN]}))
    for group, mail in groups.items():
        members = {"objectClass": ["groupOfNames"], "member": [entry(mail)]}
        change(lab, ldif.add(f"cn={group},ou=groups,{BASE}", members))
    yield
    change(lab, "".join(ldif.delete(name) for name in names), gone=True)


def entry(mail: str) -> str:
    """The name of a person's entry."""
    return f"uid={mail.partition('@')[0]},{AGENCY}"


def test_the_role_converges_and_a_second_run_changes_nothing(applied: tuple[Recap, Recap, Recap, Recap]) -> None:
    dry, first, second, dry_after = applied
    assert [one.failures() for one in applied] == [[], [], [], []]
    assert (second.changed(), dry_after.changed()) == ([], [])
    assert dry.code == first.code == 0
    for host, counts in second.stats.items():
        print(f"board again: {host}: ok={counts['ok']} executed={second.executions().get(host, 0)}")


def test_the_role_proves_itself_on_both_releases(applied: tuple[Recap, ...], inventory: Path) -> None:
    assert applied
    assert run_playbook(REPO / "playbooks/verify/board.yml", inventory).failures() == []


def test_what_was_pushed_changes_nothing_when_it_is_delivered(
    applied: tuple[Recap, ...], inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert applied
    monkeypatch.setenv("TRAM_LEDGER", f"sqlite:///{tmp_path}/ledger.db")
    command = [TRAM, "deliver", "board", "--all", "--now", "--install", "--json", "-i", str(inventory)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    found = json.loads(said.stdout)
    assert {one["host"]: one["stats"]["changed"] for one in found} == {HUB: 0, HOST: 0}
    print(f"board delivered over what was pushed: {max(one['sent'] for one in found)} bytes sent to a host at most")


def test_a_stranger_sees_nothing_from_the_site(lab: Lab, applied: tuple[Recap, ...]) -> None:
    assert applied
    stranger = Browser(lab)
    stranger.cookies = "/dev/null"
    assert stranger.call("/")[0] == 303
    code, said = stranger.call("/board.json")
    assert (code, SITE in said) == (401, False)
    assert stranger.enter("truc", "sai mật khẩu rồi") == 403


def test_a_dying_disk_at_the_site_is_bad_on_the_board_and_in_tram_status(
    lab: Lab, inventory: Path, operator: Browser, tmp_path: Path
) -> None:
    def hardware() -> str:
        return str(operator.site()["verbs"]["hardware"])

    def told() -> None:
        lab.sh(HOST, ["rm", "-f", "/var/lib/prometheus/node-exporter/tram_hardware.prom"])
        lab.sh(HOST, ["systemctl", "start", "tram-exporters.service"])

    told()
    wait_until("without a disk its hardware is unknown", lambda: hardware() == "unknown", LINGERS, 3)
    scan = json.dumps({"smartctl": {"exit_status": 0}, "devices": [{"name": "/dev/sda", "type": "sat"}]})
    script = f"#!/bin/sh\ncase $1 in --scan-open) echo '{scan}';; *) cat <<'END'\n{DYING.read_text()}\nEND\nesac\n"
    there = Path(f"/proc/{lab.machines[HOST].init_pid()}/root{STUB}")
    there.write_text(script, encoding="utf-8")
    there.chmod(0o755)
    try:
        told()
        wait_until("the disk is bad on the board", lambda: hardware() == "bad", NOW, 3)
        assert SITE in [task["site"] for task in json.loads(operator.call("/today.json")[1])["tasks"]]
        code, said = status(lab, inventory)
        assert code == 1
        assert "bad" in json.dumps(said)
        page = tmp_path / "thay-the.html"
        hub = ["--hub", "http://127.0.0.1:8428", "--html", str(page)]
        _code, rows = at_hub(lab, inventory, "hardware", "report", *hub)
        assert (rows[0]["host"], rows[0]["risk"] > 0.3) == (HOST, True)
        assert f"<td>1</td><td>{HOST}</td>" in page.read_text(encoding="utf-8")
        print(f"tram hardware report, of the live hub: {HOST} first, risk {rows[0]['risk']:.0%}")
    finally:
        lab.sh(HOST, ["rm", "-f", STUB])
        told()


def test_who_asks_without_the_name_gets_nothing(lab: Lab, applied: tuple[Recap, ...]) -> None:
    assert applied
    address = address_of(lab, "trung-tam")
    # curl's 52: no answer; 35: no handshake, so not even the certificate is shown.
    for words, code in (
        (f"http://{address}/", 52),
        (f"http://{address}/login --header Host:elsewhere.example", 52),
        (f"https://{address}/login", 35),
    ):
        ran = lab.sh(HOST, ["sh", "-c", f"curl --silent --max-time 20 {words}; echo $?"])
        assert ran.stdout == f"{code}\n", ran


def test_people_of_the_directory_log_in_and_see_what_their_groups_say(lab: Lab, officials: None) -> None:
    khoa, lan = Browser(lab, "khoa"), Browser(lab, "lan")
    assert (khoa.enter(KHOA, OWN), lan.enter(LAN.upper(), OWN)) == (303, 303)
    assert codes(khoa) >= {"trung-tam", SITE}
    assert codes(lan) == {SITE}
    assert lan.call("/sites/trung-tam.json")[0] == 404
    # The board of the site asks the hub's directory over TLS.
    local = Browser(lab, "there")
    local.local = True
    assert local.enter(KHOA, OWN) == 303
    assert local.enter("khong-ai@tinh.example", OWN) == 403


def test_wrong_passwords_wait_and_lock_and_no_lock_is_passed(lab: Lab, officials: None) -> None:
    stranger = Browser(lab, "stranger")
    answers = [stranger.enter(LAN, f"sai {number}") for number in range(8)]
    assert (answers[:5], 429 in answers) == ([403] * 5, True)
    guess = f"ldapwhoami -x -H ldapi:/// -D {entry(LAN)} -w sai >/dev/null 2>&1 || true"
    lab.sh(HUB, ["sh", "-c", f"for n in 1 2 3 4 5 6; do {guess}; done"])
    time.sleep(3)
    assert stranger.enter(LAN, OWN) in (403, 429)
    lab.sh(HUB, ["systemctl", "restart", "tram-board"])  # forgets who waits
    assert stranger.enter(LAN, OWN) == 403, "locked by the directory, so refused with the right password"
    change(lab, ldif.modify(entry(LAN), {"userPassword": OWN, "pwdReset": "FALSE"}))
    assert stranger.enter(LAN, OWN) == 303


def test_a_leaver_is_out_within_minutes(lab: Lab, officials: None) -> None:
    lan = Browser(lab, "leaver")
    assert lan.enter(LAN, OWN) == 303
    change(lab, ldif.modify(entry(LAN), {"tramState": "disabled"}))
    try:
        began = time.monotonic()
        wait_until("he is out", lambda: lan.call("/board.json")[0] == 401, timedelta(minutes=3), 2)
        print(f"who was disabled in the directory was out of the board {time.monotonic() - began:.0f} s later")
        assert lan.enter(LAN, OWN) == 403
    finally:
        change(lab, ldif.modify(entry(LAN), {"tramState": "active"}))


def test_while_the_directory_is_down_local_accounts_are_the_way_in(
    lab: Lab, officials: None, operator: Browser
) -> None:
    khoa = Browser(lab, "silent")
    assert khoa.enter(KHOA, OWN) == 303
    lab.sh(HUB, ["systemctl", "stop", "slapd"])
    try:
        assert Browser(lab, "late").enter(KHOA, OWN) == 503
        assert khoa.call("/board.json")[0] == 200, "who is in stays in"
        assert Browser(lab, "local").enter("truc", PASSWORD) == 303
        assert operator.call("/board.json")[0] == 200
    finally:
        lab.sh(HUB, ["systemctl", "start", "slapd"])
    assert Browser(lab, "again").enter(KHOA, OWN) == 303


def test_a_store_that_is_down_is_unknown_and_never_green(lab: Lab, inventory: Path, operator: Browser) -> None:
    lab.sh(HUB, ["systemctl", "stop", "tram-watch-store"])
    try:
        wait_until("the board says so", lambda: operator.site()["state"] == "unknown", NOW, 3)
        board = json.loads(operator.call("/board.json")[1])
        assert board["problem"]
        assert board["sites"]["ok"] == 0
        assert status(lab, inventory)[0] == 3
    finally:
        lab.sh(HUB, ["systemctl", "start", "tram-watch-store"])


def test_a_killed_board_is_back_and_knows_who_is_logged_in(lab: Lab, operator: Browser) -> None:
    lab.sh(HUB, ["systemctl", "kill", "--signal=KILL", "tram-board"])
    # While it is away nginx says 502.
    wait_until("the board is back", lambda: operator.call("/board.json")[0] == 200, timedelta(minutes=1), 1)


def test_what_runs_is_bounded(lab: Lab, operator: Browser) -> None:
    assert operator
    asked = ["MainPID", "MemoryMax", "User", "NoNewPrivileges"]
    said = lab.sh(HUB, ["systemctl", "show", "tram-board", *(f"--property={one}" for one in asked)]).stdout
    found = dict(line.split("=", 1) for line in said.splitlines())
    # A lab's kernel may not count memory by service: the most this process ever had, password checks included.
    most = re.search(r"VmHWM:\s+(\d+) kB", lab.sh(HUB, ["cat", f"/proc/{found['MainPID']}/status"]).stdout)
    assert most is not None
    print(f"the board's memory on the hub, at most: {int(most[1]) / 1000:.0f} MB")
    assert (found["User"], found["NoNewPrivileges"]) == ("tram-board", "yes")
    assert int(most[1]) * 1024 < int(found["MemoryMax"]) == 400_000_000


def test_hardened_hosts_keep_the_doors_of_board_and_samples(
    lab: Lab, inventory: Path, operator: Browser, officials: None
) -> None:
    both = ["--limit", f"{HUB},{HOST}"]
    assert run_playbook(REPO / "playbooks/harden.yml", inventory, extra=both).failures() == []
    assert operator.call("/board.json")[0] == 200
    assert Browser(lab, "hard").enter(KHOA, OWN) == 303
    # What was told before hardening is too old after three minutes: what is heard then came through the firewall.
    time.sleep(200)
    told = json.loads(operator.call("/board.json")[1])["list"]
    assert {one["code"] for one in told if not one["silent"]} >= {"trung-tam", SITE}
    assert run_playbook(REPO / "playbooks/verify/board.yml", inventory).failures() == []
    again = run_playbook(BOOK, inventory)
    assert (again.failures(), again.changed()) == ([], [])
    stray = lab.sh(HOST, ["sh", "-c", "curl -s --max-time 5 http://board.tinh.example:8460/healthz || echo closed"])
    assert stray.stdout.strip() == "closed"
