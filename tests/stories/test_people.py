"""300 people of six agencies: into the directory, onto paper, to their mail; who left is out; use is counted."""

from __future__ import annotations

import imaplib
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tram.accounts.issuing import Slip
from tram.accounts.slips import draw_slips
from tram.cli.main import app
from tram.lab.lab import Lab

from ..person import Person, wait_until
from ..rosters import people, write_roster
from ..small_lab import own_lab
from .test_directory import BOOKS, inventory_in

pytestmark = [pytest.mark.lab, pytest.mark.long]

HUB, DISTRICT, SITE = "trung-tam-hub1", "huong-khe-srv1", "huong-khe"
WITHOUT_SERVERS = (
    ("so-noi-vu", "Sở Nội vụ", "department"),
    ("so-tai-chinh", "Sở Tài chính", "department"),
    ("ky-anh", "Huyện Kỳ Anh", "district"),
    ("vu-quang", "Huyện Vũ Quang", "district"),
)
EACH = 50


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Hub and one district with directory and mail, four agencies without servers."""
    folder = inventory_in(tmp_path_factory.mktemp("province"))
    for number, (code, name, tier) in enumerate(WITHOUT_SERVERS, start=1):
        text = f"code: {code}\nname: {name}\ntier: {tier}\nparent: trung-tam\nnetwork: 198.51.100.{16 * number}/28\n"
        (folder / f"sites/{code}.yml").write_text(f"{text}link:\n  class: fibre\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, own_lab(folder, "people", *BOOKS) as found:
        patch.setenv("LC_ALL", "en_US.UTF-8")
        yield found


@pytest.fixture(scope="module")
def inventory(lab: Lab) -> Path:
    return lab.province.folder


class Centre:
    """An operator at the centre; `passwords` by address are those that were drawn."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.passwords: dict[str, str] = {}
        self.rosters: list[Path] = []

    def tram(self, *words: str | Path) -> Result:
        ran = CliRunner().invoke(app, ["accounts", *map(str, words), "-i", str(self.lab.province.folder)])
        assert ran.exit_code == 0, (ran.output, ran.exception)
        return ran

    def draw(self, agency: str, slips: list[Slip], now: Any, **more: Any) -> bytes:
        self.passwords |= {slip.entry.mail: slip.password for slip in slips}
        return draw_slips(agency, slips, now, **more)

    def write(self, gone: int = 0, moves: int | None = None) -> None:
        """The six rosters; of the district's, the last so many are gone, and this one is the centre's now."""
        sites = [*self.lab.province.sites]
        rows = [people(EACH * n, EACH - (gone if site.code == SITE else 0), site.name) for n, site in enumerate(sites)]
        if moves is not None:
            codes = [site.code for site in sites]
            row = rows[codes.index(SITE)].pop(moves)
            row[4] = sites[codes.index("trung-tam")].name
            rows[codes.index("trung-tam")].append(row)
        self.rosters = [
            write_roster(self.folder / f"{site.code}.xlsx", those) for site, those in zip(sites, rows, strict=True)
        ]

    def of(self, site: str) -> list[str]:
        """The addresses of an agency, in the order of employee codes."""
        domain = next(one.domain for one in self.lab.province.sites if one.code == site)
        return [mail for mail in self.passwords if mail.endswith(f"@{domain}")]

    def desk(self, site: str, mail: str) -> Person:
        person = Person(self.lab, site, "kiem-tra")
        person.address, person._password = mail, self.passwords[mail]
        return person

    def activate(self, mail: str) -> None:
        """The person's own change of the password, at the hub (RFC 3062)."""
        code = f"uid={mail.partition('@')[0]},ou={SITE},ou=district,dc=tinh,dc=example"
        old, new = self.passwords[mail], f"rieng cua {mail}"
        argv = ["ldappasswd", "-x", "-H", "ldapi:///", "-D", code, "-w", old, "-s", new]
        self.lab.sh(HUB, argv)
        self.passwords[mail] = new

    def in_step(self) -> bool:
        status = self.lab.sh(DISTRICT, ["sh", "-c", "tram-directory-status || true"]).stdout
        return json.loads(status).get("in_step") is True


@pytest.fixture(scope="module")
def centre(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    found = Centre(lab, tmp_path_factory.mktemp("rosters"))
    # Of a lab that was used before: nobody of last time.
    root = "-Q -Y EXTERNAL -H ldapi:///"
    those = f"ldapsearch {root} -LLL -o ldif-wrap=no -b dc=tinh,dc=example '(employeeNumber=CB*)' 1.1"
    lab.sh(HUB, ["sh", "-c", f"{those} | sed -n 's/^dn: //p' | ldapdelete {root}"])
    # Nor of their mailboxes (only people's have a dot) and counters.
    counted = """sed -i 's/"days": {.*/"days": {}}/' /var/lib/tram-mail-counters/days.json"""
    for host in (HUB, DISTRICT):
        lab.sh(host, ["sh", "-c", f"rm -rf /var/vmail/*/*.*; tram-mail-counters --quiet; {counted}"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tram.cli.accounts.draw_slips", found.draw)
        yield found


def logs_in(person: Person) -> bool:
    with suppress(imaplib.IMAP4.error):
        person.imap().logout()
        return True
    return False


def test_300_people_of_six_agencies_are_there_within_five_minutes_and_again_nothing_changes(centre: Centre) -> None:
    centre.write()
    began = time.monotonic()
    made = json.loads(centre.tram("apply", *centre.rosters, "--json").stdout)
    applied = time.monotonic()
    again = json.loads(centre.tram("apply", *centre.rosters, "--json").stdout)
    repeated = time.monotonic()
    centre.tram("slips", "--all", "--to", centre.folder)
    printed = time.monotonic()
    assert (len(made["changes"]), again["changes"], again["same"]) == (6 * EACH, [], 6 * EACH)
    assert len(centre.passwords) == 6 * EACH
    print(
        f"people: 300 of 6 agencies applied in {applied - began:.1f} s, again (0 changes) in {repeated - applied:.1f} s"
    )
    print(f"people: 300 passwords and slips in {printed - repeated:.1f} s")
    assert applied - began < 300


def test_people_of_both_sites_open_their_mail_with_what_is_on_the_slip(centre: Centre) -> None:
    wait_until("the replica is in step", centre.in_step, timedelta(seconds=120))
    for site in (SITE, "trung-tam"):
        assert len(centre.of(site)) == EACH
        assert [mail for mail in centre.of(site)[30:40] if not logs_in(centre.desk(site, mail))] == []


def test_the_funnel_is_right_after_a_week_of_use(centre: Centre) -> None:
    """20 of the district set a password, 12 read mail, one of them 40 days ago; 5 send."""
    mails = centre.of(SITE)
    for mail in mails[:20]:
        centre.activate(mail)
    wait_until("the replica is in step", centre.in_step, timedelta(seconds=120))
    for mail in mails[:12]:
        assert logs_in(centre.desk(SITE, mail)), mail
    local, _, domain = mails[11].partition("@")
    old = int(time.time()) - 40 * 86400
    file = f"/var/vmail/{domain}/{local}/last-login"
    centre.lab.sh(DISTRICT, ["sed", "-i", f"2s/.*/{old}/", file])
    for mail in mails[:5]:
        centre.desk(SITE, mail).submit(mails[6], "Báo cáo tuan-nay", message_id=f"<{mail}>")
    rows = {row["agency"]: row for row in json.loads(centre.tram("report", "--json").stdout)}
    print(centre.tram("report").stdout)
    assert rows[SITE] == {"agency": SITE, "people": 50, "issued": 50, "activated": 20, "used": 11, "sent": 5}
    assert rows["so-noi-vu"] == {
        "agency": "so-noi-vu",
        "people": 50,
        "issued": 50,
        "activated": 0,
        "used": 0,
        "sent": 0,
    }
    said = centre.lab.sh(DISTRICT, ["tram-mail-counters"]).stdout
    assert "Báo cáo" not in said
    assert json.loads(said)["mailboxes"][mails[0]]["sent_30_days"] == 1


def test_who_has_left_is_out_and_the_others_stay(centre: Centre) -> None:
    mails = centre.of(SITE)
    centre.write(gone=3)
    changes = json.loads(centre.tram("apply", *centre.rosters, "--json").stdout)["changes"]
    left = [change["mail"] for change in changes if change["kind"] == "leave"]
    assert left == mails[-3:]
    assert {change["kind"] for change in changes} == {"leave", "activated"}
    # Dovecot remembers a good login for a minute.
    for mail in left:
        person = centre.desk(SITE, mail)
        wait_until(f"{mail} is refused", lambda person=person: not logs_in(person), timedelta(seconds=150))  # type: ignore[misc]
    assert logs_in(centre.desk(SITE, mails[0]))
    assert json.loads(centre.tram("apply", *centre.rosters, "--json").stdout)["changes"] == []


def test_who_moves_takes_his_mail_along_and_nothing_is_there_twice(centre: Centre) -> None:
    """He has five letters at the district; afterwards the centre's server has them, and the district still, too."""
    mails = centre.of(SITE)
    old = mails[6]
    centre.write(gone=3, moves=6)
    (change,) = json.loads(centre.tram("apply", *centre.rosters, "--json").stdout)["changes"]
    assert (change["kind"], change["mail"]) == ("move", f"{old.partition('@')[0]}@tinh.example")
    centre.passwords[change["mail"]] = centre.passwords.pop(old)
    packed = centre.lab.sh(DISTRICT, ["sh", "-c", f"tram-mail-handover out {old} | base64 -w0"]).stdout.strip()
    take = f"base64 -d | {{}} | tram-mail-handover in {change['mail']} 2>&1 || true"
    for what, says in (("head -c 900", "nothing was added"), ("cat", "5 messages came"), ("cat", "5 messages came")):
        said = centre.lab.sh(HUB, ["sh", "-c", f"echo {packed} | {take.format(what)}"]).stdout
        assert says in said
    person = centre.desk("trung-tam", change["mail"])
    letters = {f"<{mail}>" for mail in mails[:5]}
    found = person.wait_received("tuan-nay", letters, timedelta(seconds=60))
    assert found == dict.fromkeys(letters, 1)
    assert json.loads(centre.tram("apply", *centre.rosters, "--json").stdout)["changes"] == []
