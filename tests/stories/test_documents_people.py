"""People of the directory at the documents: who is made gets in, who has left is out, a silent directory says so."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tram.accounts.issuing import Slip
from tram.accounts.slips import draw_slips
from tram.cli.main import app
from tram.lab.lab import Lab
from tram.register import load

from ..desk import Desk
from ..person import wait_until
from ..rosters import people, write_roster
from .test_documents import HOST, HUB, SITE, first, inventory, lab, wheels  # noqa: F401

pytestmark = [pytest.mark.lab, pytest.mark.long]

FIRST, COUNT = 900, 3
EACH, AT_ONCE = 50, 4
SILENT = "danh bạ của tỉnh không trả lời"


class Staff:
    """The department's roster, and the passwords that were drawn, by address."""

    def __init__(self, province: Path, folder: Path) -> None:
        self.province, self.folder = province, folder
        self.passwords: dict[str, str] = {}

    def tram(self, *words: str | Path) -> Any:
        ran = CliRunner().invoke(app, ["accounts", *map(str, words), "-i", str(self.province)])
        assert ran.exit_code == 0, (ran.output, ran.exception)
        return ran

    def draw(self, agency: str, slips: list[Slip], now: Any, **more: Any) -> bytes:
        self.passwords |= {slip.entry.mail: slip.password for slip in slips}
        return draw_slips(agency, slips, now, **more)

    def roster(self, count: int) -> list[dict[str, Any]]:
        """The department's roster as it is now, applied; what it changed."""
        return self.apply(write_roster(self.folder / "so-noi-vu.xlsx", people(FIRST, count, "Sở Nội vụ")))

    def apply(self, *rosters: Path) -> list[dict[str, Any]]:
        """Rosters, applied; what they changed."""
        changes: list[dict[str, Any]] = json.loads(self.tram("apply", *rosters, "--json").stdout)["changes"]
        return changes

    def six(self, each: int) -> list[dict[str, Any]]:
        """So many people in each of six agencies."""
        return self.apply(
            *(
                write_roster(self.folder / f"{site.code}.xlsx", people(100 * number, each, site.name))
                for number, site in enumerate(load(self.province).sites, start=1)
            )
        )


@pytest.fixture(scope="module")
def staff(lab: Lab, first: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Staff]:  # noqa: F811
    """Three people of the department, with passwords; nobody of last time."""
    root = "-Q -Y EXTERNAL -H ldapi:///"
    those = f"ldapsearch {root} -LLL -o ldif-wrap=no -b dc=tinh,dc=example '(employeeNumber=CB*)' 1.1"
    lab.sh(HUB, ["sh", "-c", f"{those} | sed -n 's/^dn: //p' | ldapdelete {root}"])
    found = Staff(lab.province.folder, tmp_path_factory.mktemp("rosters"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tram.cli.accounts.draw_slips", found.draw)
        found.roster(COUNT)
        found.tram("slips", "--all", "--to", found.folder)
        assert len(found.passwords) == COUNT
        yield found


def test_who_is_on_the_roster_logs_in_by_address_or_name_and_belongs_to_the_agency(lab: Lab, staff: Staff) -> None:  # noqa: F811
    for mail, password in staff.passwords.items():
        desk = Desk(lab, HOST)
        status, page = desk.at_the_form(mail.upper(), password)
        assert status == 302, page[-2000:]
        assert desk.browse("GET", "/home/")[0] == 200
        local = mail.partition("@")[0]
        assert Desk(lab, HOST).log_in(local, password)[0] == 200
        status, page = Desk(lab, HOST).at_the_form(mail, "not the password")
        assert (status, SILENT in page) == (200, False)
    boss = Desk(lab, HOST)
    assert boss.log_in("quan-tri")[0] == 200
    groups = {one["name"]: one["id"] for one in boss.api("GET", "groups/?page_size=100")["results"]}
    members = boss.api("GET", f"groups/{groups[SITE]}/users/?page_size=100")["results"]
    assert {one["username"] for one in members} >= set(staff.passwords)


def test_wrong_passwords_lock_one_name_and_not_the_office(lab: Lab, staff: Staff) -> None:  # noqa: F811
    """All of an office may come from one address."""
    mail, password = next(iter(staff.passwords.items()))
    for number in range(8):
        assert Desk(lab, HOST).at_the_form(f"nguoi-la-{number}@{SITE}.tinh.example", "not the password")[0] == 200
    said = [Desk(lab, HOST).at_the_form(f"ai-do@{SITE}.tinh.example", "not the password")[0] for _ in range(6)]
    assert said[-1] == 429
    assert Desk(lab, HOST).at_the_form(mail, password)[0] == 302


def test_while_the_directory_is_silent_people_are_told_and_who_is_in_works_on(lab: Lab, staff: Staff) -> None:  # noqa: F811
    mail, password = next(iter(staff.passwords.items()))
    inside = Desk(lab, HOST)
    assert inside.log_in(mail, password)[0] == 200
    lab.sh(HUB, ["systemctl", "stop", "slapd"])
    try:
        status, page = Desk(lab, HOST).at_the_form(mail, password)
        assert status == 200
        assert SILENT in page
        status, said = Desk(lab, HOST).log_in(mail, password)
        assert status == 400
        assert SILENT in said
        assert Desk(lab, HOST).log_in("quan-tri")[0] == 200
        assert inside.ask("GET", "/api/v4/users/current/")[0] == 200
    finally:
        lab.sh(HUB, ["systemctl", "start", "slapd"])
    wait_until("logs in again", lambda: Desk(lab, HOST).log_in(mail, password)[0] == 200, timedelta(seconds=60))


def test_while_the_directory_is_silent_the_practice_is_applied_and_numbers_are_given(lab: Lab, staff: Staff) -> None:  # noqa: F811
    clerk = next(iter(staff.passwords))
    inside, boss = Desk(lab, HOST), Desk(lab, HOST)
    assert inside.log_in(clerk, staff.passwords[clerk])[0] == 200
    assert boss.log_in("quan-tri")[0] == 200
    (staff.province / "practice").mkdir(exist_ok=True)
    text = yaml.safe_dump({"agencies": {SITE: {"symbol": "SNV", "people": {"van-thu": [clerk]}}}})
    (staff.province / f"practice/{SITE}.yml").write_text(text, encoding="utf-8")
    lab.sh(HUB, ["systemctl", "stop", "slapd"])
    try:
        for _ in range(2):
            ran = CliRunner().invoke(app, ["documents", "apply", SITE, "-i", str(staff.province), "--json"])
            assert ran.exit_code == 0, (ran.output, ran.exception)
        assert json.loads(ran.stdout)["changes"] == []
        kind = {"document_type_id": boss.kind("SNV · Công văn đến"), "label": "Khi danh bạ im lặng"}
        top = f"documents/{inside.api('POST', 'documents/', kind)['id']}/"
        flow = inside.wait("its flow begins", lambda: inside.api("GET", f"{top}workflow_instances/")["results"])[0][
            "id"
        ]
        steps = f"{top}workflow_instances/{flow}/log_entries/"
        chosen = {one["label"]: one["id"] for one in inside.api("GET", f"{steps}transitions/")["results"]}
        inside.api("POST", steps, {"transition_id": chosen["Vào sổ"], "extra_data": "{}"})
        noted = inside.api("GET", f"{top}metadata/?page_size=100")["results"]
        assert [int(one["value"]) > 0 for one in noted if one["metadata_type"]["name"] == "so_den"] == [True]
    finally:
        lab.sh(HUB, ["systemctl", "start", "slapd"])


def test_who_has_left_is_out_with_session_and_token_and_the_others_stay(lab: Lab, staff: Staff) -> None:  # noqa: F811
    desks = {mail: Desk(lab, HOST) for mail in staff.passwords}
    for mail, desk in desks.items():
        assert desk.at_the_form(mail, staff.passwords[mail])[0] == 302
        assert desk.log_in(mail, staff.passwords[mail])[0] == 200
    left = [change["mail"] for change in staff.roster(COUNT - 1) if change["kind"] == "leave"]
    assert len(left) == 1
    gone = desks[left[0]]
    assert Desk(lab, HOST).at_the_form(left[0], staff.passwords[left[0]])[0] == 200
    assert Desk(lab, HOST).log_in(left[0], staff.passwords[left[0]])[0] == 400
    within = timedelta(seconds=400)
    wait_until("the token ends", lambda: gone.ask("GET", "/api/v4/users/current/")[0] in (401, 403), within)
    assert gone.browse("GET", "/home/")[0] == 302
    for mail in set(desks) - set(left):
        assert desks[mail].ask("GET", "/api/v4/users/current/")[0] == 200
        assert desks[mail].browse("GET", "/home/")[0] == 200


def test_300_people_of_six_agencies_log_in_and_who_left_does_not(lab: Lab, staff: Staff) -> None:  # noqa: F811
    staff.passwords.clear()
    staff.six(EACH)
    staff.tram("slips", "--all", "--to", staff.folder)
    everybody = {mail: password for mail, password in staff.passwords.items() if password}
    assert len(everybody) == 6 * EACH

    def log_in(mail: str) -> int:
        """A token for a program; who is asked to wait a second does."""
        desk = Desk(lab, HOST)
        while (status := desk.log_in(mail, everybody[mail])[0]) == 429:
            time.sleep(1)
        return status

    def all_of(mails: list[str]) -> dict[str, int]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip(mails, pool.map(log_in, mails), strict=True))

    began = time.monotonic()
    first_time = all_of([*everybody])
    print(f"300 people of 6 agencies, {AT_ONCE} at a time, logged in to documents in {time.monotonic() - began:.0f} s")
    assert {mail: status for mail, status in first_time.items() if status != 200} == {}
    left = [change["mail"] for change in staff.six(EACH - 1) if change["kind"] == "leave"]
    assert len(left) == 6
    assert set(all_of(left).values()) == {400}
    domains = {mail.partition("@")[2]: mail for mail in everybody if mail not in left}
    assert len(domains) == 6
    for mail in domains.values():
        assert Desk(lab, HOST).at_the_form(mail, everybody[mail])[0] == 302
    boss = Desk(lab, HOST)
    assert boss.log_in("quan-tri")[0] == 200
    for group in boss.api("GET", "groups/?page_size=100")["results"]:
        if group["name"] in {site.code for site in lab.province.sites}:
            there = {
                one["username"] for one in boss.api("GET", f"groups/{group['id']}/users/?page_size=100")["results"]
            }
            mine = {mail for mail in everybody if mail in there}
            assert len(mine) == EACH, group["name"]
