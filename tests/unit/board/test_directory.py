"""People of the directory at the board, against Debian's slapd as role `directory` configures it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tram.accounts import ldif
from tram.core.errors import BadInput
from tram.register import Province
from tram_board.backoff import Backoff
from tram_board.directory import ASK_AGAIN, Directory, FirstPassword, NotAllowed, Official, Silent
from tram_board.ledger import Runs
from tram_board.people import prepare
from tram_board.session import Sessions
from tram_board.settings import DirectorySettings, read_settings
from tram_board.state import INTERVAL
from tram_board.watcher import Watcher
from tram_board.web import Board, application
from tram_board.words import VERBS

from ..people.slapd import LocalDirectory, slapd
from .conftest import NOW, Hub
from .test_web import KEY, log_in

pytestmark = pytest.mark.slow

BASE = "dc=tinh,dc=example"
SERVICE, SECRET = f"cn=board,ou=trung-tam,ou=services,{BASE}", "matkhaucuachuongtrinh"
PASSWORD = "mat khau cua toi"
ADDRESS = {name: f"{name}@tinh.example" for name in ("an.nv", "binh.tt", "chi.lt", "dung.pv")}
GROUPS = {
    "an.nv": ["board-operators"],
    "binh.tt": ["huong-khe-board", "so-noi-vu-board"],
    "dung.pv": ["huong-khe-board"],
}


def dn(name: str) -> str:
    return f"uid={name},ou=huong-khe,ou=district,{BASE}"


@pytest.fixture(scope="module")
def door(province: Province) -> Iterator[LocalDirectory]:
    """Four officials: An operates, Bình views two sites, Chi nothing, Dũng has a password of the slip."""
    with slapd(province) as found:
        service = {"objectClass": ["organizationalRole", "simpleSecurityObject"], "userPassword": [SECRET]}
        text = ldif.add(SERVICE, {**service, "cn": ["board"]})
        for name, address in ADDRESS.items():
            person = {
                "objectClass": ["inetOrgPerson", "tramPerson"],
                **{key: [name] for key in ("uid", "cn", "sn", "givenName", "employeeNumber")},
                "mail": [address],
                "tramAgency": ["huong-khe"],
                "tramState": ["active"],
                "userPassword": [PASSWORD],
            }
            text += ldif.add(dn(name), person | ({"pwdReset": ["TRUE"]} if name == "dung.pv" else {}))
        for group in sorted({one for names in GROUPS.values() for one in names}):
            members = [dn(name) for name, groups in GROUPS.items() if group in groups]
            text += ldif.add(f"cn={group},ou=groups,{BASE}", {"objectClass": ["groupOfNames"], "member": members})
        said = found.change(text)
        assert said.code == 0, said.stderr
        yield found


class Clock:
    """Time that a test moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def asked(door: LocalDirectory, province: Province, tmp_path: Path, clock: Clock) -> Directory:
    return directory(province, tmp_path, door.url, clock)


def directory(province: Province, folder: Path, url: str, clock: Clock) -> Directory:
    file = folder / "directory"
    file.write_text(SECRET + "\n")
    codes = frozenset(site.code for site in province.sites)
    return Directory(DirectorySettings(url, BASE, SERVICE, file), codes, clock)


def change(door: LocalDirectory, name: str, **values: str) -> None:
    parts = "-\n".join(f"replace: {key}\n{key}: {value}\n" for key, value in values.items())
    said = door.change(f"dn: {dn(name)}\nchangetype: modify\n{parts}\n")
    assert said.code == 0, said.stderr


def entered(asked: Directory, name: str) -> Official:
    found = asked.enter(ADDRESS[name], PASSWORD)
    assert found is not None
    return found


def test_groups_say_what_a_person_sees(asked: Directory) -> None:
    an, binh = entered(asked, "an.nv").person, entered(asked, "binh.tt").person
    assert (an.role, an.site) == ("operator", None)
    assert (binh.role, binh.site, binh.also) == ("viewer", "huong-khe", ("so-noi-vu",))
    with pytest.raises(NotAllowed):
        asked.enter(ADDRESS["chi.lt"], PASSWORD)
    with pytest.raises(FirstPassword):
        asked.enter(ADDRESS["dung.pv"], PASSWORD)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        (ADDRESS["an.nv"], "sai"),
        (ADDRESS["an.nv"], ""),
        ("khong.ai@tinh.example", PASSWORD),
        ("*@tinh.example", PASSWORD),
        ("an.nv@tinh.example)(uid=*", PASSWORD),
        ("@tinh.example", PASSWORD),
    ],
)
def test_what_is_wrong_is_refused_alike_and_not_at_once(asked: Directory, name: str, password: str) -> None:
    began = time.monotonic()
    assert asked.enter(name, password) is None
    assert time.monotonic() - began >= 0.4


def test_who_leaves_is_out_within_minutes(asked: Directory, door: LocalDirectory, clock: Clock) -> None:
    official = entered(asked, "an.nv")
    assert asked.known(ADDRESS["an.nv"], official.version) == official.person
    assert asked.known(ADDRESS["an.nv"], "another") is None
    try:
        change(door, "an.nv", tramState="disabled")
        assert asked.enter(ADDRESS["an.nv"], PASSWORD) is None
        clock.now += ASK_AGAIN - 1
        assert asked.known(ADDRESS["an.nv"], official.version) == official.person
        clock.now += 1
        assert asked.known(ADDRESS["an.nv"], official.version) is None
    finally:
        change(door, "an.nv", tramState="active")


def test_who_leaves_a_group_or_changes_his_password_is_out(
    asked: Directory, door: LocalDirectory, clock: Clock
) -> None:
    official = entered(asked, "binh.tt")
    group = f"dn: cn=so-noi-vu-board,ou=groups,{BASE}\nchangetype: modify\nreplace: member\nmember: {{}}\n\n"
    door.change(group.format(dn("an.nv")))
    try:
        clock.now += ASK_AGAIN
        person = asked.known(ADDRESS["binh.tt"], official.version)
        assert person is not None
        assert (person.site, person.also) == ("huong-khe", ())
        door.set_own(dn("binh.tt"), PASSWORD, "mat khau khac cua toi")
        clock.now += ASK_AGAIN
        assert asked.known(ADDRESS["binh.tt"], official.version) is None
    finally:
        door.change(group.format(dn("binh.tt")))
        change(door, "binh.tt", userPassword=PASSWORD, pwdReset="FALSE")


def test_ten_wrong_passwords_lock_here_too(asked: Directory, door: LocalDirectory) -> None:
    try:
        for number in range(10):
            assert asked.enter(ADDRESS["an.nv"], f"sai {number}") is None
        assert asked.enter(ADDRESS["an.nv"], PASSWORD) is None
    finally:
        change(door, "an.nv", userPassword=PASSWORD, pwdReset="FALSE")
    assert entered(asked, "an.nv")


def test_a_directory_that_is_silent_lets_nobody_in_and_throws_nobody_out(
    province: Province, door: LocalDirectory, tmp_path: Path, clock: Clock
) -> None:
    asked = directory(province, tmp_path, door.url, clock)
    official = entered(asked, "an.nv")
    silent = Directory(DirectorySettings("ldapi:///nowhere", BASE, SERVICE, tmp_path / "directory"), frozenset(), clock)
    with pytest.raises(Silent):
        silent.enter(ADDRESS["an.nv"], PASSWORD)
    assert silent.known(ADDRESS["an.nv"], official.version) is None
    asked._settings = silent._settings
    clock.now += ASK_AGAIN
    assert asked.known(ADDRESS["an.nv"], official.version) == official.person


def test_an_account_of_ours_that_is_refused_is_a_silent_directory(asked: Directory, tmp_path: Path) -> None:
    (tmp_path / "directory").write_text("khac")
    with pytest.raises(Silent, match="invalidCredentials"):
        asked.enter(ADDRESS["an.nv"], PASSWORD)


def test_logging_in_at_the_form(
    province: Province, hub: Hub, door: LocalDirectory, tmp_path: Path, clock: Clock
) -> None:
    prepare(tmp_path / "state")
    watcher = Watcher(province, hub.source(), verbs=tuple(VERBS), interval=INTERVAL, now=lambda: NOW)
    board = Board(watcher, tmp_path / "state/people.json", Sessions(KEY, plain_http=True), Runs(None))
    board.backoff = Backoff(lambda: 0.0)
    board.directory = directory(province, tmp_path, door.url, clock)
    client = TestClient(application(board), follow_redirects=False)
    assert "tài khoản tại máy" in client.get("/login").text
    assert "chưa được cấp quyền" in log_in(client, ADDRESS["chi.lt"], PASSWORD).text
    assert "đổi mật khẩu trên phiếu" in log_in(client, ADDRESS["dung.pv"], PASSWORD).text
    assert log_in(client, ADDRESS["binh.tt"].upper(), PASSWORD).status_code == 303
    seen = {one["code"] for one in client.get("/board.json").json()["list"]}
    assert seen == {"huong-khe", "so-noi-vu"}
    clock.now += ASK_AGAIN
    change(door, "binh.tt", tramState="disabled")
    assert client.get("/board.json").status_code == 401
    change(door, "binh.tt", tramState="active")
    board.directory = directory(province, tmp_path, "ldapi:///nowhere", clock)
    answer = log_in(client, ADDRESS["an.nv"], PASSWORD)
    assert (answer.status_code, "Danh bạ không trả lời" in answer.text) == (503, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('directory = "ldap://x"', "directory: must be a table of texts"),
        ('[directory]\nurl = "ldapi:///x"', "is without account, base, password_file"),
        ('[directory]\nuri = "x"', "there is no such key: uri"),
        ('[directory]\nurl="ldap://x"\nbase="b"\naccount="a"\npassword_file="p"', "do not travel in the clear"),
        ('[directory]\nurl="ldaps://x"\nbase="b"\naccount="a"\npassword_file="p"', "ldaps needs ca"),
    ],
)
def test_settings_of_a_directory_that_will_not_do_are_told(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "board.toml"
    file.write_text(f'register = "r"\nfolder = "f"\n{text}\n')
    with pytest.raises(BadInput, match=said):
        read_settings(file)
