"""The board at the hub: a person logs in from a site, sees a dying disk there, and `tram status` says the same."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tram.lab.lab import Lab, down, open_lab, up
from tram.push.playbook import Recap, run_playbook

from ..conftest import LAB, REPO, take_over
from ..person import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.long]

HUB, HOST, SITE = "trung-tam-hub1", "so-noi-vu-srv1", "so-noi-vu"
ADDRESS = "https://board.tinh.example"
BOOK = REPO / "playbooks/board.yml"
DYING = REPO / "tests/unit/exporters/smart/scrutiny--smart-ata-date2.json"
STUB = "/usr/local/sbin/smartctl"
PASSWORD = "một mật khẩu đủ dài"
# The site's host has the function, too, so that the role is proven on Debian 13; there it has no store to ask.
FUNCTIONS = {
    "trung-tam": ["hub_cache", "dns", "pki", "watch_hub", "watch_site", "board"],
    SITE: ["watch_site", "board"],
}
NOW = timedelta(minutes=5)
# In a lab that was used before: what was told last counts for twelve minutes.
LINGERS = timedelta(minutes=13)
TRAM = str(Path(sys.executable).parent / "tram")


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub on Debian 12 and one department on Debian 13, both watched."""
    if mine := os.environ.get("TRAM_TEST_LAB"):
        return open_lab(mine).province.folder
    folder = tmp_path_factory.mktemp("province") / "lab"
    shutil.copytree(LAB, folder)
    (folder / "sites/huong-khe.yml").unlink()
    for path in folder.glob("group_vars/site_*.yml"):
        path.unlink()
    for code, functions in FUNCTIONS.items():
        path = folder / f"sites/{code}.yml"
        site = yaml.safe_load(path.read_text(encoding="utf-8"))
        site["hosts"][0] |= {"functions": functions, "suite": "trixie" if code == SITE else "bookworm"}
        path.write_text(yaml.safe_dump(site, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def lab(inventory: Path) -> Iterator[Lab]:
    """The two hosts, watched. $TRAM_TEST_LAB: a lab of this shape that is."""
    mine = os.environ.get("TRAM_TEST_LAB")
    name = mine or f"board{os.getpid() % 100000}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAM_LAB", name)
        try:
            found = up(inventory, name, print)
            if not mine:
                take_over(found)
                for book in ("base", "pki", "dns", "exporter", "watch"):
                    assert run_playbook(REPO / f"playbooks/{book}.yml", inventory).failures() == [], book
            yield found
        finally:
            if not mine:
                down(name)


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


class Browser:
    """A browser at the site, as far as curl is one."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.cookies = "/root/story-board.cookies"

    def call(self, path: str, *words: str) -> tuple[int, str]:
        """Status and body."""
        kept = ["--cookie", self.cookies, "--cookie-jar", self.cookies]
        told = ["curl", "--silent", "--max-time", "30", "--cacert", "/etc/ssl/tram/ca.crt", *kept]
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


def status(lab: Lab, inventory: Path) -> tuple[int, dict[str, Any]]:
    """`tram status` with the hub's own loopback; its exit code and what it says of the site."""
    there = ["nsenter", f"--net=/proc/{lab.machines[HUB].init_pid()}/ns/net"]
    command = [*there, TRAM, "status", "-i", str(inventory), "--json"]
    said = subprocess.run([*command, "--site", SITE], capture_output=True, text=True, check=False)
    assert said.stdout, said.stderr
    return said.returncode, json.loads(said.stdout)


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
    lab: Lab, inventory: Path, operator: Browser
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
    finally:
        lab.sh(HOST, ["rm", "-f", STUB])
        told()


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
