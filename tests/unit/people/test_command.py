"""`tram accounts` as it is called, against a real directory: what it prints, what it ends with, what it never tells."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tram.accounts.directory import read_state
from tram.accounts.funnel import Mailbox
from tram.accounts.issuing import Slip
from tram.accounts.slips import draw_slips
from tram.act.outcome import NotReached
from tram.cli.main import app
from tram.core.errors import TramError
from tram.register import Province

from ...rosters import people, write_roster
from ..register.bad_register import GOOD
from .slapd import LocalDirectory

pytestmark = pytest.mark.slow

HERE = ("-i", str(GOOD))


class Seen:
    """What went through the door, and the passwords that were made."""

    def __init__(self) -> None:
        self.slips: list[Slip] = []


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Seen:
    """Passwords are watched, the province's secrets are this test's."""
    found = Seen()
    monkeypatch.setenv("TRAM_SECRETS", str(tmp_path / "secrets"))
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    monkeypatch.setenv("COLUMNS", "200")

    def draw(agency: str, slips: list[Slip], now: Any, **more: Any) -> bytes:
        found.slips += slips
        return draw_slips(agency, slips, now, **more)

    monkeypatch.setattr("tram.cli.accounts.draw_slips", draw)
    return found


def through(door: LocalDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def hub_directory(_: Province) -> Iterator[LocalDirectory]:
        yield door

    monkeypatch.setattr("tram.cli.accounts.hub_directory", hub_directory)


def tram(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["accounts", *map(str, words)])


def test_a_plan_changes_nothing_and_an_application_changes_once(
    door: LocalDirectory, seen: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through(door, monkeypatch)
    file = write_roster(tmp_path / "ds.xlsx", people(1, 5, "Huyện Hương Khê"))
    for _ in range(2):
        ran = tram("plan", file, *HERE)
        assert ran.exit_code == 0, ran.output
        assert "huong.tv@huong-khe.mau.example" in ran.stdout
        assert "STT, Ngày sinh" in ran.stdout
    ran = tram("apply", file, *HERE)
    assert ran.exit_code == 0, ran.output
    again = tram("apply", file, *HERE, "--json")
    said = json.loads(again.stdout)
    assert (said["changes"], said["same"], said["agencies"]) == ([], 5, ["huong-khe"])


def test_no_password_is_told_but_on_paper_and_to_the_directory(
    door: LocalDirectory, seen: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, province: Province
) -> None:
    through(door, monkeypatch)
    file = write_roster(tmp_path / "ds.xlsx", people(1, 3, "huong-khe"))
    ran = [tram("apply", file, *HERE), tram("slips", "huong-khe", *HERE), tram("plan", file, *HERE, "--json")]
    assert [one.exit_code for one in ran] == [0, 0, 0], [one.output for one in ran]
    passwords = [slip.password for slip in seen.slips]
    assert len(passwords) == 3
    told = "".join(one.output for one in ran) + "".join(map(repr, seen.slips))
    files = [path for path in (tmp_path / "secrets").rglob("*") if path.is_file()]
    assert [path.suffix for path in files] == [".pdf"]
    raw = files[0].read_bytes()
    assert raw.count(b"/Type /Page\n") == 3
    for password in passwords:
        assert password not in told
    assert files[0].stat().st_mode & 0o777 == 0o600
    assert files[0].parent.stat().st_mode & 0o777 == 0o700
    for entry, password in zip(read_state(door, province.domain).people, passwords, strict=True):
        assert door.bind(entry.dn, password)
    assert "Nobody lacks a password there." in tram("slips", "huong-khe", *HERE).stdout


def test_slips_that_are_sent_are_locked_and_go_to_the_agencys_administrators(
    door: LocalDirectory, seen: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, province: Province
) -> None:
    through(door, monkeypatch)
    sent: list[str] = []
    monkeypatch.setattr("tram.cli.accounts.hand_in", lambda _, message: sent.append(message))
    monkeypatch.setattr(LocalDirectory, "session", None, raising=False)
    tram("apply", write_roster(tmp_path / "ds.xlsx", people(1, 2, "huong-khe")), *HERE)
    ran = tram("slips", "huong-khe", *HERE, "--mail")
    assert isinstance(ran.exception, TramError)
    assert "huong-khe-admins of the directory has nobody" in str(ran.exception)
    assert seen.slips == []
    first = read_state(door, province.domain).people[0]
    dn = "cn=huong-khe-admins,ou=groups,dc=mau,dc=example"
    door.change(f"dn: {dn}\nchangetype: add\nobjectClass: groupOfNames\ncn: huong-khe-admins\nmember: {first.dn}\n\n")
    ran = tram("slips", "huong-khe", *HERE, "--mail")
    assert ran.exit_code == 0, ran.output
    (message,) = sent
    assert f"To: {first.mail}\n" in message
    assert "application/pdf" in message
    (file,) = (tmp_path / "secrets").rglob("*.pdf")
    assert b"/Encrypt" in file.read_bytes()
    assert not any(slip.password in message or slip.password in ran.output for slip in seen.slips)


@pytest.mark.usefixtures("seen")
def test_a_report_knows_what_it_does_not_know(
    door: LocalDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through(door, monkeypatch)
    rows = people(1, 2, "huong-khe") + people(3, 1, "vu-quang")
    tram("apply", write_roster(tmp_path / "ds.xlsx", rows), *HERE)
    boxes: dict[str, dict[str, Mailbox] | None] = {"huong-khe": {}, "vu-quang": None}
    silent = NotReached("vu-quang-srv1: no answer")
    monkeypatch.setattr("tram.cli.accounts._counters", lambda *_: (boxes, [silent]))
    ran = tram("report", *HERE, "--csv", "--metrics", tmp_path / "out.prom")
    assert ran.exit_code == 1
    assert ran.stdout == "agency,people,issued,activated,used,sent\nhuong-khe,2,0,0,0,0\nvu-quang,1,0,0,,\n"
    assert "vu-quang-srv1: no answer" in ran.stderr
    assert 'tram_accounts{agency="huong-khe",stage="people"} 2' in (tmp_path / "out.prom").read_text()
    ran = tram("report", *HERE)
    assert "unknown" in ran.stdout
    assert "Huyện Vũ Quang" in ran.stdout


@pytest.mark.usefixtures("seen")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["slips", *HERE], "whose slips?"),
        (["slips", "huong-kh", *HERE], "huong-kh: no such agency"),
        (["plan", "khong-co.xlsx", *HERE], "khong-co.xlsx: cannot be read"),
        (["plan", "khong-co.ods", *HERE], "not a spreadsheet we read"),
        (["report", *HERE], "the centre has no key yet"),
    ],
)
def test_wrong_words_are_named(words: list[str], says: str) -> None:
    ran = tram(*words)
    assert isinstance(ran.exception, TramError)
    assert (says in ran.exception.message, ran.exception.exit_code) == (True, 2), ran.exception.message


@pytest.mark.usefixtures("seen")
def test_300_people_of_6_agencies_are_there_soon_and_the_second_time_nothing_changes(
    large: Province, large_door: LocalDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through(large_door, monkeypatch)
    sites = large.sites[:6]
    files = [
        write_roster(tmp_path / f"{site.code}.xlsx", people(50 * number, 50, site.name))
        for number, site in enumerate(sites)
    ]
    where = ("-i", str(large.folder))
    began = time.monotonic()
    first = tram("apply", *files, *where, "--json")
    applied = time.monotonic()
    slips = tram("slips", sites[0].code, *where)
    printed = time.monotonic()
    again = tram("apply", *files, *where, "--json")
    assert [one.exit_code for one in (first, slips, again)] == [0, 0, 0], first.output + slips.output + again.output
    assert len(json.loads(first.stdout)["changes"]) == 300
    assert (json.loads(again.stdout)["changes"], json.loads(again.stdout)["same"]) == ([], 300)
    found = read_state(large_door, large.domain).people
    assert (len(found), len({one.uid for one in found}), sum(one.issued for one in found)) == (300, 300, 50)
    print(f"accounts: 300 people of 6 agencies applied in {applied - began:.1f} s, passwords and slips of 50 in "
          f"{printed - applied:.1f} s, again in {time.monotonic() - printed:.1f} s: 0 changes")  # fmt: skip
    assert applied - began < 300
