"""Rosters into a real directory: who comes, moves, leaves; twice the same; cut off in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tram.accounts.applying import StoppedHalfway, apply_changes
from tram.accounts.directory import DirectoryFailed, Entry, read_state
from tram.accounts.issuing import Desk, Slip, due, issue
from tram.accounts.plan import Plan, Policy, TooManyLeave, make_plan
from tram.accounts.roster import RosterInvalid, read_rosters
from tram.act.outcome import NotReached
from tram.core.errors import BadInput
from tram.register import Province

from .slapd import LocalDirectory

pytestmark = pytest.mark.slow

USUAL = Policy()
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
GIVEN = ("An", "Bình", "Cường", "Dũng", "Em")
START = """\
Mã CB,Họ tên,Chức vụ,Đơn vị
CB3,Nguyễn Thị Minh Khai,Văn thư,huong-khe
CB1,Nguyễn Thị Mỹ Khai,Chuyên viên,huong-khe
CB2,Đỗ Văn Đông,Chuyên viên,huong-khe
CB9,Trần Thị Ước,Chuyên viên,vu-quang
"""


class Town:
    """A province, its directory, and rosters by their text."""

    def __init__(self, province: Province, door: LocalDirectory, folder: Path) -> None:
        self.province, self.door, self.folder = province, door, folder

    def plan(self, text: str, policy: Policy = USUAL, now: datetime = NOW) -> Plan:
        path = self.folder / "ds.csv"
        path.write_text(text, encoding="utf-8")
        roster = read_rosters([path], self.province)
        return make_plan(self.province, roster, read_state(self.door, self.province.domain), policy, now)

    def apply(self, text: str, policy: Policy = USUAL, now: datetime = NOW) -> dict[str, int]:
        plan = self.plan(text, policy, now)
        apply_changes(self.door, plan.changes)
        return plan.count()

    def people(self) -> dict[str, Entry]:
        return {entry.code: entry for entry in read_state(self.door, self.province.domain).people}

    def slips(self, agencies: Sequence[str], again: Sequence[str] = ()) -> dict[str, str]:
        """Passwords by code, of slips that were really drawn."""
        drawn: list[Slip] = []
        memory = self.folder / "memory"

        def draw(_: str, slips: Sequence[Slip]) -> bytes:
            drawn.extend(slips)
            return b"%PDF"

        people = due(read_state(self.door, self.province.domain), agencies, again, memory)
        for code, entries in people.items():
            issue(self.door, (code, code), entries, Desk(memory, self.folder / "slips", draw), NOW)
        return {slip.entry.code: slip.password for slip in drawn}


@pytest.fixture
def town(province: Province, door: LocalDirectory, tmp_path: Path) -> Town:
    return Town(province, door, tmp_path)


def test_who_joins_gets_an_address_in_the_order_of_codes_and_the_second_run_changes_nothing(town: Town) -> None:
    assert town.apply(START) == {"join": 4}
    people = town.people()
    assert {code: entry.mail for code, entry in people.items()} == {
        "CB1": "khai.ntm@huong-khe.mau.example",
        "CB2": "dong.dv@huong-khe.mau.example",
        "CB3": "khai.ntm2@huong-khe.mau.example",
        "CB9": "uoc.tt@vu-quang.mau.example",
    }
    assert (people["CB2"].name, people["CB2"].family, people["CB2"].given) == ("Đỗ Văn Đông", "Đỗ Văn", "Đông")
    again = town.plan(START)
    assert (again.changes, again.same) == ((), 4)


def test_who_moves_keeps_his_local_part_and_who_marries_his_address(town: Town) -> None:
    town.apply(START)
    moved = START.replace("Đông,Chuyên viên,huong-khe", "Đông,Trưởng phòng,vu-quang").replace("Mỹ Khai", "Mỹ Hạnh")
    plan = town.plan(moved)
    assert plan.count() == {"update": 1, "move": 1}
    assert "dong.dv@huong-khe.mau.example -> dong.dv@vu-quang.mau.example" in plan.warnings[0]
    town.apply(moved)
    people = town.people()
    assert (people["CB2"].mail, people["CB2"].place, people["CB2"].agency, people["CB2"].title) == (
        *("dong.dv@vu-quang.mau.example", "vu-quang", "vu-quang"),
        "Trưởng phòng",
    )
    assert (people["CB1"].name, people["CB1"].mail) == ("Nguyễn Thị Mỹ Hạnh", "khai.ntm@huong-khe.mau.example")
    assert town.plan(moved).changes == ()


def test_other_agencies_are_not_touched(town: Town) -> None:
    town.apply(START)
    only = START.replace("CB9,Trần Thị Ước,Chuyên viên,vu-quang\n", "")
    assert town.plan(only).changes == ()


def test_who_leaves_is_shut_out_hands_over_and_is_deleted_only_when_asked(town: Town) -> None:
    town.apply(START)
    passwords = town.slips(["huong-khe"])
    dn = town.people()["CB2"].dn
    assert town.door.bind(dn, passwords["CB2"])
    left = START.replace("Đơn vị\n", "Đơn vị,Nghỉ từ ngày,Bàn giao cho\n").replace(
        "Đông,Chuyên viên,huong-khe", "Đông,Chuyên viên,huong-khe,22/11/2026,CB3"
    )
    assert town.apply(left.replace("22/11/2026", "30/11/2026")) == {"leaving": 1}
    assert town.door.bind(dn, passwords["CB2"])
    assert town.apply(left) == {"leave": 1}
    gone = town.people()["CB2"]
    assert (gone.state, gone.forward_to, gone.disabled_since) == ("disabled", "khai.ntm2@huong-khe.mau.example", NOW)
    assert not town.door.bind(dn, passwords["CB2"])
    without = "".join(line for line in START.splitlines(keepends=True) if not line.startswith("CB2"))
    assert town.plan(without, now=NOW + timedelta(days=4000)).changes == ()
    year = Policy(delete_after=timedelta(days=365))
    assert town.plan(without, year, NOW + timedelta(days=364)).changes == ()
    assert town.apply(START) == {"return": 1}
    assert town.door.bind(dn, passwords["CB2"])
    assert town.people()["CB2"].forward_to == ""
    town.apply(left)
    assert town.apply(without, year, NOW + timedelta(days=365)) == {"delete": 1}
    assert "CB2" not in town.people()


def test_half_a_roster_is_not_believed(town: Town) -> None:
    rows = [f"CB{n:03d},Lê Văn {GIVEN[n % 5]},,huong-khe\n" for n in range(20)]
    head = "Mã CB,Họ tên,Chức vụ,Đơn vị\n"
    town.apply(head + "".join(rows))
    with pytest.raises(TooManyLeave, match="5 of 20 of huong-khe would be disabled: more than 20%"):
        town.plan(head + "".join(rows[5:]))
    assert town.plan(head + "".join(rows[4:])).count() == {"leave": 4}
    assert town.plan(head + "".join(rows[5:]), Policy(most_leavers=1)).count() == {"leave": 5}


def test_500_people_of_one_agency_come_at_once_or_the_rest_of_them_with_the_next_run(town: Town) -> None:
    rows = "".join(f"CB{n:03d},Lê Văn {GIVEN[n % 5]},,huong-khe\n" for n in range(500))
    roster = f"Mã CB,Họ tên,Chức vụ,Đơn vị\n{rows}"
    town.door.dies_after = 321
    with pytest.raises(NotReached):
        town.apply(roster)
    town.door.dies_after = None
    assert town.apply(roster) == {"join": 179}
    assert len({entry.mail for entry in town.people().values()}) == 500
    assert town.plan(roster).changes == ()


def test_a_code_of_somebody_else_is_refused(town: Town) -> None:
    town.apply(START)
    with pytest.raises(RosterInvalid) as caught:
        town.plan(
            "Mã CB,Họ tên,Đơn vị,Nghỉ từ ngày,Bàn giao cho\nCB2,Lê Thị An,vu-quang,,\nCB9,Trần Thị Ước,vu-quang,,CB77\n"
        )
    assert [str(problem) for problem in caught.value.problems] == [
        'ds.csv, row 2, column A "Mã CB": "CB2" is Đỗ Văn Đông of huong-khe in the directory, not Lê Thị An; '
        "correct the code; after a change of name and agency at once, import the name first",
        'ds.csv, row 3, column E "Bàn giao cho": hands over to "CB77", whom neither a roster nor the directory knows; '
        "write the code of one who stays",
    ]


def test_an_agency_that_the_directory_lacks_is_named(town: Town) -> None:
    state = read_state(town.door, town.province.domain)
    path = town.folder / "ds.csv"
    path.write_text(START, encoding="utf-8")
    roster = read_rosters([path], town.province)
    with pytest.raises(BadInput, match="the directory has no branch for vu-quang"):
        make_plan(town.province, roster, replace(state, agencies={"huong-khe": "x"}), Policy(), NOW)


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_run_that_is_cut_off_is_completed_by_the_next(town: Town, after: int) -> None:
    town.door.dies_after = after
    with pytest.raises(NotReached):
        town.apply(START)
    town.door.dies_after = None
    assert len(town.people()) == after
    town.apply(START)
    assert town.people()["CB3"].mail == "khai.ntm2@huong-khe.mau.example"
    assert town.plan(START).changes == ()


def test_a_move_that_is_cut_off_is_completed_by_the_next(town: Town) -> None:
    town.apply(START)
    moved = START.replace("Đông,Chuyên viên,huong-khe", "Đông,Chuyên viên,vu-quang")
    town.door.dies_after = 1
    with pytest.raises(NotReached):
        town.apply(moved)
    town.door.dies_after = None
    half = town.people()["CB2"]
    assert (half.place, half.agency) == ("vu-quang", "huong-khe")
    town.apply(moved)
    assert town.people()["CB2"].mail == "dong.dv@vu-quang.mau.example"
    assert town.plan(moved).changes == ()


def test_what_the_directory_refuses_is_named_with_the_person(town: Town) -> None:
    plan = town.plan(START)
    town.apply("Mã CB,Họ tên,Đơn vị\nCB2,Lê Văn Xuân,trung-tam\n")  # somebody else, in between
    with pytest.raises(StoppedHalfway, match=r"CB2 Đỗ Văn Đông: .*non-unique attributes.*\(1 of 4 written\)"):
        apply_changes(town.door, plan.changes)


def test_a_directory_that_is_down_is_named(province: Province) -> None:
    with pytest.raises(DirectoryFailed, match="hub1: the directory does not answer"):
        read_state(LocalDirectory("ldapi://%2Fnowhere"), province.domain)


def test_a_password_is_given_once_has_to_be_changed_and_is_a_counted_step(town: Town) -> None:
    town.apply(START)
    assert [entry.issued for entry in town.people().values()] == [False] * 4
    passwords = town.slips(["huong-khe"])
    assert sorted(passwords) == ["CB1", "CB2", "CB3"]
    assert len({*passwords.values()}) == 3
    assert town.slips(["huong-khe"]) == {}
    person = town.people()["CB1"]
    assert (person.issued, person.must_change, person.own_password) == (True, True, None)
    assert not town.door.bind(person.dn, "something-else-12")
    town.door.set_own(person.dn, passwords["CB1"], "mat-khau-cua-rieng-toi")
    assert town.people()["CB1"].own_password is not None
    assert town.apply(START) == {"activated": 1}
    assert town.people()["CB1"].activated is not None
    assert town.plan(START).changes == ()
    again = town.slips([], ["CB1"])
    assert town.door.bind(person.dn, again["CB1"])
    with pytest.raises(BadInput, match="CB77: is no employee code"):
        town.slips([], ["CB77"])


def test_who_has_a_password_from_elsewhere_keeps_it(town: Town) -> None:
    town.apply(START)
    dn = town.people()["CB1"].dn
    town.door.change(f"dn: {dn}\nchangetype: delete\n\n")
    lines = [
        f"dn: {dn}",
        "changetype: add",
        "objectClass: inetOrgPerson",
        "objectClass: tramPerson",
        "cn: A B",
        "sn: A",
    ]
    lines += ["mail: khai.ntm@huong-khe.mau.example", "employeeNumber: CB1", "tramAgency: huong-khe"]
    town.door.change("\n".join([*lines, "tramState: active", "userPassword: tu-truoc-den-nay", "\n"]))
    assert (town.people()["CB1"].issued, town.people()["CB1"].own_password) == (True, None)
    assert sorted(town.slips(["huong-khe"])) == ["CB2", "CB3"]
    assert town.door.bind(dn, "tu-truoc-den-nay")


def test_slips_that_were_cut_off_are_made_anew(town: Town) -> None:
    town.apply(START)
    town.door.dies_after = 2
    with pytest.raises(NotReached):
        town.slips(["huong-khe"])
    town.door.dies_after = None
    assert [*(town.folder / "slips").iterdir()] == []
    passwords = town.slips(["huong-khe"])
    assert sorted(passwords) == ["CB1", "CB2", "CB3"]
    assert all(town.door.bind(town.people()[code].dn, word) for code, word in passwords.items())
    assert [path.suffix for path in (town.folder / "slips").iterdir()] == [".pdf"]
    assert [*(town.folder / "memory").iterdir()] == []
    assert town.slips(["huong-khe"]) == {}
