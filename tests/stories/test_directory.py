"""The directory: one at the hub, a copy at the district that needs no line; passwords, lock-out, who reads what."""

from __future__ import annotations

import base64
import contextlib
import imaplib
import json
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tram.lab.lab import Lab
from tram.push.playbook import Recap, run_playbook

from ..conftest import REPO
from ..person import Person, queued, wait_until
from ..small_lab import own_lab, write_inventory

pytestmark = [pytest.mark.lab, pytest.mark.long]

HUB, DISTRICT, SITE = "trung-tam-hub1", "huong-khe-srv1", "huong-khe"
BASE = "dc=tinh,dc=example"
PEOPLE = {SITE: f"ou={SITE},ou=district,{BASE}", "trung-tam": f"ou=trung-tam,ou=province,{BASE}"}
ROOT = ["-Q", "-Y", "EXTERNAL", "-H", "ldapi:///"]
CUT_SECONDS = int(os.environ.get("TRAM_STORY_CUT_SECONDS", "120"))


def inventory_in(folder: Path) -> Path:
    """Hub and one district of the lab, both with the directory and mail; the district runs Debian 13."""
    hosts = {
        "trung-tam": [{"functions": ["hub_cache", "dns", "pki", "directory", "mail"]}],
        SITE: [{"functions": ["dns", "directory", "mail"], "suite": "trixie"}],
    }
    inventory = write_inventory(folder, hosts)
    (inventory / "group_vars/directory.yml").write_text("---\nmail_directory: true\n", encoding="utf-8")
    return inventory


BOOKS = ("base", "pki", "dns", "directory", "mail")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The two hosts with names, certificates, directory and mail."""
    with own_lab(inventory_in(tmp_path_factory.mktemp("province")), "dir", *BOOKS) as found:
        yield found


@pytest.fixture(scope="module")
def inventory(lab: Lab) -> Path:
    return lab.province.folder


@pytest.fixture(autouse=True)
def two_officials(lab: Lab) -> Iterator[None]:
    """An of the district and Bình of the hub, with passwords of their own; nobody afterwards, and the line mended."""
    forget(lab)
    for user, site, domain in (("an.nv", SITE, f"{SITE}.tinh.example"), ("binh.tt", "trung-tam", "tinh.example")):
        change(
            lab,
            f"dn: uid={user},{PEOPLE[site]}\nchangetype: add\nobjectClass: inetOrgPerson\nobjectClass: tramPerson\n"
            f"uid: {user}\ncn:: {base64.b64encode('Nguyễn Văn An'.encode()).decode()}\nsn: Nguyen\ngivenName: An\n"
            f"mail: {user}@{domain}\nemployeeNumber: NV-{user}\ntramAgency: {site}\ntramState: active\n"
            f"userPassword: mat khau cua {user}\n",
        )
    wait_until("the replica has both", lambda: status(lab, DISTRICT).get("people") == 2, timedelta(seconds=60))
    yield
    lab.mend(SITE)
    lab.sh(DISTRICT, ["systemctl", "start", "slapd"])
    wait_until("the replica is in step", lambda: status(lab, DISTRICT).get("in_step") is True, timedelta(seconds=180))
    forget(lab)


def forget(lab: Lab) -> None:
    lab.sh(HUB, ["sh", "-c", f"ldapdelete -c {' '.join(ROOT)} {AN} {BINH} || true"])


AN, BINH = f"uid=an.nv,{PEOPLE[SITE]}", f"uid=binh.tt,{PEOPLE['trung-tam']}"


def change(lab: Lab, ldif: str) -> None:
    """Change the directory at the hub, as the centre does: LDIF on stdin."""
    text = base64.b64encode(ldif.encode()).decode()
    lab.sh(HUB, ["sh", "-c", f"echo {text} | base64 -d | ldapmodify {' '.join(ROOT)}"])


def modify(lab: Lab, person: str, **values: str) -> None:
    parts = "-\n".join(f"replace: {name}\n{name}: {value}\n" for name, value in values.items())
    change(lab, f"dn: {person}\nchangetype: modify\n{parts}")


def status(lab: Lab, host: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(lab.sh(host, ["sh", "-c", "tram-directory-status || true"]).stdout)
    return found


def binds(lab: Lab, host: str, person: str, password: str) -> bool:
    """Whether the host's directory lets the person in."""
    command = f"ldapwhoami -x -H ldapi:/// -D '{person}' -w '{password}' >/dev/null 2>&1 && echo in || echo out"
    return lab.sh(host, ["sh", "-c", command]).stdout.strip() == "in"


def official(lab: Lab, password: str = "mat khau cua an.nv") -> Person:
    """An at his desk, who logs in with what the directory knows."""
    person = Person(lab, SITE, "kiem-tra")
    person.address, person._password = f"an.nv@{SITE}.tinh.example", password
    return person


def refused(person: Person) -> bool:
    with contextlib.suppress(imaplib.IMAP4.error):
        person.imap().logout()
        return False
    return True


def play(inventory: Path, name: str, *extra: str) -> Recap:
    return run_playbook(REPO / f"playbooks/{name}.yml", inventory, extra=list(extra))


def test_a_second_run_changes_nothing_and_a_dry_run_finds_nothing(lab: Lab, inventory: Path) -> None:
    for playbook in ("directory", "mail"):
        for extra in ((), ("--check",)):
            again = play(inventory, playbook, *extra)
            assert (playbook, extra, again.failures(), again.changed()) == (playbook, extra, [], [])


def test_people_get_in_and_strangers_see_nothing(lab: Lab, inventory: Path) -> None:
    assert play(inventory, "verify/directory").failures() == []


def test_a_replica_has_the_passwords_of_its_own_people_only_and_takes_no_change(lab: Lab) -> None:
    for host, person, expected in ((DISTRICT, AN, True), (DISTRICT, BINH, False), (HUB, BINH, True)):
        seen = lab.sh(host, ["ldapsearch", "-LLL", *ROOT, "-b", person, "userPassword", "pwdHistory", "cn"]).stdout
        assert ("userPassword" in seen, "cn:" in seen) == (expected, True), (host, person)
        assert "pwdHistory" not in seen
    asked = f"ldappasswd -x -H ldapi:/// -D '{AN}' -w 'mat khau cua an.nv' -s 'mot mat khau khac' 2>&1 || true"
    assert "ldaps://hub1.tinh.example:636" in lab.sh(DISTRICT, ["sh", "-c", asked]).stdout
    paths = {"CACERT": "ca.crt", "CERT": "host-chain.crt", "KEY": "host.key"}
    tls = "".join(f"LDAPTLS_{name}=/etc/ssl/tram/{file} " for name, file in paths.items())
    hub = "-Q -Y EXTERNAL -H ldaps://hub1.tinh.example:636"
    found = f"{tls} ldapsearch -LLL {hub} -b {BASE} '(uid=*)' userPassword pwdHistory"
    seen = lab.sh(DISTRICT, ["sh", "-c", found]).stdout
    own, others = (next(part for part in seen.split("\n\n") if user in part) for user in ("an.nv", "binh.tt"))
    assert "userPassword" in own
    assert "userPassword" not in others
    assert "pwdHistory" not in seen
    dropped = f"{tls} ldapdelete {hub} '{BINH}' 2>&1 || true"
    assert "Insufficient access" in lab.sh(DISTRICT, ["sh", "-c", dropped]).stdout


def test_ten_wrong_passwords_lock_and_a_new_password_unlocks(lab: Lab) -> None:
    attempt = f"doveadm auth test an.nv@{SITE}.tinh.example"
    lab.sh(DISTRICT, ["sh", "-c", f"for n in 0 1 2 3 4 5 6 7 8 9; do {attempt} wrong$n >/dev/null || true; done"])
    assert not binds(lab, DISTRICT, AN, "mat khau cua an.nv")
    assert refused(official(lab))
    assert status(lab, DISTRICT)["locked"] == 1
    modify(lab, AN, userPassword="mat khau dat lai")
    wait_until("the new password", lambda: binds(lab, DISTRICT, AN, "mat khau dat lai"), timedelta(seconds=60))


def test_no_two_people_have_one_address_or_one_code(lab: Lab) -> None:
    for name, value in (("mail", "an.nv@huong-khe.tinh.example"), ("employeeNumber", "NV-an.nv")):
        ldif = f"dn: {BINH}\\nchangetype: modify\\nreplace: {name}\\n{name}: {value}\\n"
        said = lab.sh(HUB, ["sh", "-c", f"printf '{ldif}' | ldapmodify {' '.join(ROOT)} 2>&1 || true"]).stdout
        assert "non-unique" in said


@pytest.mark.timeout(CUT_SECONDS + 900)
def test_a_district_cut_off_logs_in_and_reads_mail_and_catches_up_by_itself(lab: Lab) -> None:
    clerk, an = Person(lab, SITE, "van-thu"), official(lab)
    lab.cut(SITE)
    began = time.monotonic()
    clerk.submit(an.address, "Giấy mời chuyen-cat", message_id="<cat.1@story.example>")
    assert an.wait_received("chuyen-cat", {"<cat.1@story.example>"}, timedelta(seconds=60))
    an.submit(clerk.address, "Trả lời chuyen-cat", message_id="<cat.2@story.example>")
    assert clerk.wait_received("chuyen-cat", {"<cat.2@story.example>"}, timedelta(seconds=60))
    modify(lab, AN, userPassword="mat khau moi cua an")
    while time.monotonic() - began < CUT_SECONDS:
        time.sleep(min(30, CUT_SECONDS))
        assert binds(lab, DISTRICT, AN, "mat khau cua an.nv")
    official(lab).imap().logout()
    assert status(lab, DISTRICT)["in_step"] is None, "unknown is not green"
    cut = time.monotonic() - began
    lab.mend(SITE)
    mended = time.monotonic()
    wait_until("the new password", lambda: binds(lab, DISTRICT, AN, "mat khau moi cua an"), timedelta(seconds=180))
    after = time.monotonic() - mended
    print(f"cut for {cut:.0f} s: a password changed at the hub was the district's {after:.0f} s after the return")
    assert not binds(lab, DISTRICT, AN, "mat khau cua an.nv")
    clerk.forget("chuyen-cat")


def test_who_is_disabled_while_the_line_is_cut_is_refused_after_its_return(lab: Lab) -> None:
    official(lab).imap().logout()
    lab.cut(SITE)
    modify(lab, AN, tramState="disabled")
    time.sleep(min(60, CUT_SECONDS))
    assert binds(lab, DISTRICT, AN, "mat khau cua an.nv")
    lab.mend(SITE)
    mended = time.monotonic()
    wait_until("the replica knows", lambda: not binds(lab, DISTRICT, AN, "mat khau cua an.nv"), timedelta(seconds=180))
    print(
        f"a person disabled at the hub was disabled at the district {time.monotonic() - mended:.0f} s after the return"
    )
    wait_until("mail refuses him", lambda: refused(official(lab)), timedelta(seconds=90))
    print(f"and refused by the mail server {time.monotonic() - mended:.0f} s after it")
    kept = lab.sh(DISTRICT, ["doveadm", "user", f"an.nv@{SITE}.tinh.example"]).stdout
    assert "/var/vmail" in kept, "his mail is kept, and still comes"


def test_mail_waits_for_a_replica_that_was_destroyed_and_fills_itself(lab: Lab, inventory: Path) -> None:
    clerk, an = Person(lab, SITE, "van-thu"), official(lab)
    lab.cut(SITE)
    lab.sh(DISTRICT, ["sh", "-c", "systemctl stop slapd && rm -rf /var/lib/ldap/tram && systemctl start slapd"])
    lab.sh(DISTRICT, ["doveadm", "auth", "cache", "flush"])
    letter = "printf 'Subject: chuyen-mat\\nMessage-ID: <mat.1@story.example>\\n\\nchao\\n'"
    lab.sh(DISTRICT, ["sh", "-c", f"{letter} | sendmail -f van-thu@{SITE}.tinh.example {an.address}"])
    clerk.imap().logout()  # the mailboxes of posts are not the directory's
    time.sleep(10)
    assert queued(lab, DISTRICT) == 1, "nobody is unknown because the replica is empty"
    lab.mend(SITE)
    mended = time.monotonic()
    wait_until("the replica is full again", lambda: status(lab, DISTRICT).get("people") == 2, timedelta(seconds=120))
    print(f"an empty replica was full again {time.monotonic() - mended:.0f} s after the return of the line")
    assert an.wait_received("chuyen-mat", {"<mat.1@story.example>"}, timedelta(minutes=3)) == {
        "<mat.1@story.example>": 1
    }
    assert play(inventory, "directory").changed() == []


def test_a_hub_put_back_to_a_dump_is_what_every_copy_has_again(lab: Lab) -> None:
    """The copy was further than the dump, and hears of it after the hub went on: nothing of the time between stays."""
    said = lab.sh(HUB, ["tram-directory-dump"]).stdout
    dump = said.partition(":")[0]
    print(f"dump: {said.strip()}")
    modes = lab.sh(HUB, ["stat", "-c", "%a %U", dump, str(Path(dump).parent)]).stdout
    assert modes.split("\n")[:2] == ["600 root", "700 root"]
    modify(lab, AN, userPassword="mat khau sau ban sao")
    wait_until("the copy is further", lambda: binds(lab, DISTRICT, AN, "mat khau sau ban sao"), timedelta(seconds=60))
    half = f"head -c 300 {dump} > /root/nua.ldif.gz && tram-directory-dump --restore /root/nua.ldif.gz 2>&1 || true"
    assert "Nothing was changed" in lab.sh(HUB, ["sh", "-c", half]).stdout
    assert binds(lab, HUB, AN, "mat khau sau ban sao")
    lab.cut(SITE)
    print(lab.sh(HUB, ["tram-directory-dump", "--restore", dump]).stdout.strip())
    wait_until("the old password", lambda: binds(lab, HUB, AN, "mat khau cua an.nv"), timedelta(seconds=30))
    modify(lab, BINH, title="Tro ly")
    lab.mend(SITE)
    wait_until("the copy, too", lambda: binds(lab, DISTRICT, AN, "mat khau cua an.nv"), timedelta(seconds=180))
    assert not binds(lab, DISTRICT, AN, "mat khau sau ban sao")
    wait_until("the replica is in step", lambda: status(lab, DISTRICT).get("in_step") is True, timedelta(seconds=60))
    assert status(lab, DISTRICT)["people"] == 2
    lab.sh(HUB, ["sh", "-c", "rm -rf /var/lib/ldap/tram.before-* /root/nua.ldif.gz"])


def test_a_copy_that_is_ahead_of_the_hub_fills_itself_anew_and_says_so(lab: Lab) -> None:
    """An image of the hub's machine was put back: the database's own files, with the marks of then."""
    image = "rm -rf /var/lib/ldap/image; systemctl stop slapd && cp -a /var/lib/ldap/tram /var/lib/ldap/image"
    lab.sh(HUB, ["sh", "-c", f"{image}; systemctl start slapd"])
    modify(lab, AN, userPassword="mat khau sau anh may")
    wait_until("the copy is further", lambda: binds(lab, DISTRICT, AN, "mat khau sau anh may"), timedelta(seconds=60))
    back = "systemctl stop slapd && rm -r /var/lib/ldap/tram && mv /var/lib/ldap/image /var/lib/ldap/tram"
    lab.sh(HUB, ["sh", "-c", f"{back}; systemctl start slapd"])
    wait_until("it shows", lambda: status(lab, DISTRICT).get("ahead") is True, timedelta(seconds=60))
    lab.cut(SITE)
    lab.sh(DISTRICT, ["systemctl", "start", "tram-directory-heal.service"])
    assert binds(lab, DISTRICT, AN, "mat khau sau anh may"), "a hub that does not answer changes nothing"
    lab.mend(SITE)
    wait_until("the hub answers", lambda: status(lab, DISTRICT).get("ahead") is True, timedelta(seconds=120))
    lab.sh(DISTRICT, ["systemctl", "start", "tram-directory-heal.service"])
    assert status(lab, DISTRICT)["in_step"] is True
    assert (binds(lab, DISTRICT, AN, "mat khau cua an.nv"), status(lab, DISTRICT)["people"]) == (True, 2)
    said = lab.sh(DISTRICT, ["journalctl", "-u", "tram-directory-heal", "-o", "cat", "-n", "20"]).stdout
    assert "came back from an older state" in said
    print(next(line for line in said.splitlines() if line.startswith("filled anew")))
    lab.sh(DISTRICT, ["rm", "-r", "/var/lib/ldap/tram.ahead"])


def test_what_is_changed_by_hand_or_killed_is_healed(lab: Lab, inventory: Path) -> None:
    spoilt = "sed -i '/^olcDisallows: bind_anon$/d' /etc/ldap/tram/config.ldif && systemctl kill -s KILL slapd"
    lab.sh(DISTRICT, ["sh", "-c", spoilt])
    wait_until("systemd starts it again", lambda: binds(lab, DISTRICT, AN, "mat khau cua an.nv"), timedelta(seconds=30))
    assert {line.split(": ", 1)[1] for line in play(inventory, "directory").changed()} >= {
        "directory : Write schema and configuration"
    }
    ran = lab.sh(DISTRICT, ["sh", "-c", f"ldapsearch -LLL {' '.join(ROOT)} -b cn=config -s base olcDisallows"]).stdout
    assert "olcDisallows: bind_anon" in ran
    assert play(inventory, "directory").changed() == []
