"""What a mail host counts, and the funnel that is made of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tram.accounts.directory import Entry, State
from tram.accounts.funnel import CountersUnreadable, Funnel, Mailbox, csv_lines, funnels, metrics, read_counters, total

from ...role_module import load

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
TODAY = NOW.date()


@pytest.fixture
def program() -> ModuleType:
    return load("tram_mail_counters", "mail/files/tram-mail-counters")


def said(message: object, at: datetime = NOW, cursor: str = "s=1") -> str:
    micros = str(int(at.timestamp() * 1_000_000))
    return json.dumps({"MESSAGE": message, "__REALTIME_TIMESTAMP": micros, "__CURSOR": cursor})


HANDED_IN = "4cXyZ12AbC: client=may-12.tinh.example[192.0.2.7], sasl_method=PLAIN, sasl_username={}"
NOTHING: dict[str, Any] = {"cursor": "", "until": 0, "days": {}}


def test_only_messages_handed_in_with_a_login_are_counted(program: ModuleType) -> None:
    lines = [
        said(HANDED_IN.format("An.L@Huong-Khe.tinh.example")),
        said(HANDED_IN.format("an.l@huong-khe.tinh.example"), NOW + timedelta(seconds=1), "s=2"),
        said("4cXyZ12AbC: client=hub1.tinh.example[192.0.2.10]"),
        said(
            "warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: sasl_username=an.l@huong-khe.tinh.example"
        ),
        said("4cXyZ12AbC: message-id=<x sasl_username=lua-dao@tinh.example>"),
        said([1, 2]),
    ]
    state = program.count(NOTHING, lines, TODAY, by_time=True)
    assert state["days"] == {"2026-11-22": {"an.l@huong-khe.tinh.example": 2}}
    assert "192.0.2" not in json.dumps(state)


def test_counting_twice_counts_once_also_when_the_journal_lost_the_place(program: ModuleType) -> None:
    lines = [said(HANDED_IN.format("a@x.example"), NOW - timedelta(hours=1)), said(HANDED_IN.format("a@x.example"))]
    once = program.count(NOTHING, lines, TODAY, by_time=True)
    assert once["cursor"] == "s=1"
    assert program.count(once, lines, TODAY, by_time=True) == once


def test_a_clock_that_went_back_stops_no_counting(program: ModuleType) -> None:
    once = program.count(NOTHING, [said(HANDED_IN.format("a@x.example"))], TODAY, by_time=True)
    back = [said(HANDED_IN.format("a@x.example"), NOW - timedelta(hours=3), "s=2")]
    again = program.count(once, back, TODAY, by_time=False)
    assert (again["cursor"], again["days"]) == ("s=2", {"2026-11-22": {"a@x.example": 2}})


def test_days_out_of_reach_are_forgotten(program: ModuleType) -> None:
    days = {"2026-10-23": {"a@x.example": 5}, "2026-10-24": {"a@x.example": 1}}
    assert program.count(NOTHING | {"days": days}, [], TODAY, by_time=False)["days"] == {
        "2026-10-24": {"a@x.example": 1}
    }


def test_last_logins_are_read_from_dovecots_files(program: ModuleType, tmp_path: Path) -> None:
    for name, text in {
        "an.l": "priv/last-login/an.l@huong-khe.tinh.example\n1795165200\n",
        "binh.t": "priv/last-login/binh.t@huong-khe.tinh.example\n",
        "cu": "shared/other/x\n5\nshared/last-login/cu\n1795165200\n",
    }.items():
        (tmp_path / "huong-khe.tinh.example" / name).mkdir(parents=True)
        (tmp_path / "huong-khe.tinh.example" / name / "last-login").write_text(text)
    assert program.last_logins(tmp_path) == {
        "an.l@huong-khe.tinh.example": "2026-11-20",
        "cu@huong-khe.tinh.example": "2026-11-20",
    }


def test_what_the_program_prints_is_what_the_report_reads(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "STATE", tmp_path / "state" / "days.json")
    monkeypatch.setattr(program, "MAILBOXES", tmp_path / "none")
    line = said(HANDED_IN.format("an.l@x.example"), datetime.now(UTC))
    for _ in range(2):
        assert program.main([], lambda state: ([line], True)) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == printed[1]
    assert read_counters(printed[0]) == {"an.l@x.example": Mailbox(None, 1)}
    assert (tmp_path / "state" / "days.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "state" / "days.json").write_text("half")
    assert program.main(["--quiet"], lambda state: ([], False)) == 0


@pytest.mark.parametrize(
    "text", ["", "[]", '{"version": 2, "mailboxes": {}}', '{"version": 1, "mailboxes": {"a": {}}}']
)
def test_counters_of_another_kind_are_refused(text: str) -> None:
    with pytest.raises(CountersUnreadable):
        read_counters(text)


def entry(number: int, *, issued: bool = True, own: bool = True, state: str = "active") -> Entry:
    return Entry(
        dn=f"uid=a{number}",
        uid=f"a{number}",
        name="",
        family="",
        given="",
        mail=f"a{number}@x.example",
        code=f"CB{number}",
        agency="huong-khe",
        place="huong-khe",
        title="",
        state=state,
        disabled_since=None,
        forward_to="",
        activated=None,
        issued=issued,
        password_changed=NOW if issued else None,
        must_change=not own,
    )


def test_each_stage_of_the_funnel_is_of_those_in_the_one_before() -> None:
    people = (
        entry(1),
        entry(2),
        entry(3),
        entry(4, own=False),  # reads mail with the initial password: not activated, so in no later stage
        entry(5, issued=False, own=False),
        entry(6, state="disabled"),
        replace(entry(7, own=False), activated=NOW),
    )
    boxes = {
        "a1@x.example": Mailbox(TODAY, 3),
        "a2@x.example": Mailbox(TODAY - timedelta(days=30), 0),
        "a3@x.example": Mailbox(TODAY - timedelta(days=31), 2),
        "a4@x.example": Mailbox(TODAY, 1),
        "a6@x.example": Mailbox(TODAY, 9),
    }
    state = State("dc=x", people, {}, {})
    (row,) = funnels(state, ["huong-khe"], {"huong-khe": boxes}, NOW)
    assert row == Funnel("huong-khe", 6, 5, 4, 2, 1)


def test_what_is_unknown_is_never_nought() -> None:
    state = State("dc=x", (entry(1),), {}, {})
    rows = funnels(state, ["huong-khe", "vu-quang"], {"huong-khe": None, "vu-quang": {}}, NOW)
    assert rows == [Funnel("huong-khe", 1, 1, 1, None, None), Funnel("vu-quang", 0, 0, 0, 0, 0)]
    assert total(rows) == Funnel("", 1, 1, 1, None, None)
    assert csv_lines(rows).splitlines() == [
        "agency,people,issued,activated,used,sent",
        "huong-khe,1,1,1,,",
        "vu-quang,0,0,0,0,0",
    ]
    text = metrics(rows, NOW)
    assert 'tram_accounts{agency="huong-khe",stage="activated"} 1\n' in text
    assert 'agency="huong-khe",stage="used"' not in text
    assert f"tram_accounts_measured_timestamp_seconds {int(NOW.timestamp())}\n" in text


def test_a_day_is_a_day() -> None:
    assert read_counters('{"version": 1, "mailboxes": {"A@x": {"last_login": "2026-11-20", "sent_30_days": 2}}}') == {
        "a@x": Mailbox(date(2026, 11, 20), 2)
    }
