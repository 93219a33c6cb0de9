"""People of the directory at the documents: who is made gets in, who has left is out, a silent directory says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tram.accounts.issuing import Slip
from tram.accounts.slips import draw_slips
from tram.cli.main import app
from tram.lab.lab import Lab

from ..desk import Desk
from ..person import wait_until
from ..rosters import people, write_roster
from .test_documents import HOST, HUB, SITE, first, inventory, lab, wheels  # noqa: F401

pytestmark = [pytest.mark.lab, pytest.mark.long]

FIRST, COUNT = 900, 3
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
        """The roster as it is now, applied; what it changed."""
        file = write_roster(self.folder / "so-noi-vu.xlsx", people(FIRST, count, "Sở Nội vụ"))
        changes: list[dict[str, Any]] = json.loads(self.tram("apply", file, "--json").stdout)["changes"]
        return changes


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
