"""A site's mail is at the hub each night, over a line that breaks; who breaks into the site cannot take that away."""

from __future__ import annotations

import json
import os
import random
import shlex
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from tram.core.run import Ran, run
from tram.lab.lab import Lab
from tram.ledger import Ledger, Outcome
from tram.push.playbook import run_playbook

from ..conftest import REPO
from ..person import wait_until
from ..small_lab import MINE, own_lab, write_inventory
from .test_delivered_roles import deliver
from .test_site_cache import crossed

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(5400)]

SITE, HUB, HOST = "huong-khe", "trung-tam-hub1", "huong-khe-srv1"
DOMAIN = "huong-khe.tinh.example"
MAILS = 1500
"""In each mailbox: about 3 kB each, of which a good two thirds travel."""
NEW = 3500
"""For the nights that are compared: 8 MB, three minutes of an ADSL line."""
CUTS = 10
QUIET_BYTES = 50_000
OVER = 1.1
FALSE_KEY = f"AAAAC3NzaC1lZDI1NTE5AAAAI{'A' * 43}"
REPOSITORY = f"/var/lib/tram-backup/repositories/{HOST}"

WRITE_MAIL = """
import base64, pathlib, random, sys
user, count = sys.argv[1], int(sys.argv[2])
dice = random.Random(user)
box = pathlib.Path("/var/vmail/%s/%s/Maildir/cur" % (sys.argv[3], user))
box.mkdir(parents=True, exist_ok=True)
for n in range(count):
    text = base64.encodebytes(dice.randbytes(2200)).decode()
    name = "17637%05d.M%dP%d.srv1:2,S" % (n, n, n)
    (box / name).write_text("From: so-noi-vu@tinh.example\\nSubject: Cong van %d\\n\\n%s" % (n, text))
(box / ".." / "dovecot.index.log").resolve().write_bytes(b"made anew")
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The hub, which keeps backups, and a district behind an ADSL line with maildirs as role mail lays them. The roles
    came by delivery."""
    hosts = {
        "trung-tam": [{"functions": ["hub_cache", "dns", "backup_hub"]}],
        SITE: [{"functions": ["mail", "backup"]}],
    }
    with own_lab(write_inventory(tmp_path_factory.mktemp("province"), hosts), "backup", "base") as found:
        if not MINE:
            ledger = Ledger(f"sqlite:///{found.paths.state / 'story-ledger.db'}")
            ledger.belong("lab")
            came = deliver(found, ledger, "backup.yml")
            assert [(one.host, one.ended) for one in came if one.ended.outcome is not Outcome.DONE] == []
        on(found, HOST, "useradd -r -u 990 vmail 2>/dev/null; mkdir -p /var/vmail; rm -rf /var/vmail/*")
        yield found


def on(lab: Lab, host: str, command: str, *, code: int = 0, within: timedelta = timedelta(minutes=15)) -> str:
    """A shell command on a host, past the network; what it printed."""
    ran = lab.sh(host, ["sh", "-c", command], timeout=within)
    assert ran.code == code, ran
    return ran.stdout + ran.stderr


def tram(lab: Lab, *words: str, code: int = 0) -> Ran:
    """The command, as an operator types it."""
    ran = run(
        [REPO / ".venv/bin/tram", *words, "-i", lab.province.folder],
        env={**os.environ, "LC_ALL": "en"}, check=False, timeout=timedelta(minutes=45),
    )  # fmt: skip
    assert ran.code == code, ran
    return ran


def write_mail(lab: Lab, user: str, count: int = MAILS) -> None:
    """A mailbox full of mail."""
    on(lab, HOST, f"python3 -c {shlex.quote(WRITE_MAIL)} {user} {count} {DOMAIN} && chown -R vmail: /var/vmail")


def digest(lab: Lab, folder: str) -> str:
    """Of every file below, its name and owner."""
    return on(
        lab,
        HOST,
        f"cd {folder} && find . -type f -name '*srv1*' -printf '%p %u\\n' -exec sha256sum {{}} + | sort | sha256sum",
    )


def back_up(lab: Lab) -> tuple[dict[str, Any], int, float]:
    """What a run says, what the line carried, and how long it took."""
    before, began = crossed(lab), time.monotonic()
    said = on(lab, HOST, "tram-backup run --now 2>/run/said || { cat /run/said >&2; exit 1; }")
    return json.loads(said), crossed(lab) - before, time.monotonic() - began


def listed(lab: Lab, code: int = 0) -> dict[str, Any]:
    """What `tram backup list` says of the site."""
    found: dict[str, Any] = json.loads(tram(lab, "backup", "list", SITE, "--json", code=code).stdout)[0]
    return found


def test_what_was_delivered_changes_nothing_when_it_is_pushed(lab: Lab) -> None:
    again = run_playbook(REPO / "playbooks/backup.yml", lab.province.folder)
    assert again.failures() == []
    assert again.changed() == []


def test_by_day_the_line_is_left_to_people(lab: Lab) -> None:
    edited = (
        'sed -i \'s/"since": .*/"since": "00:00",/; s/"until": .*/"until": "00:01",/\' /etc/tram-backup/settings.json'
    )
    on(lab, HOST, f"cp /etc/tram-backup/settings.json /run/kept; {edited}")
    try:
        assert "it is not the hour" in on(lab, HOST, "tram-backup run", code=2)
    finally:
        on(lab, HOST, "cp /run/kept /etc/tram-backup/settings.json")


def test_a_site_with_mail_is_backed_up_and_the_centre_sees_it(lab: Lab) -> None:
    write_mail(lab, "van-thu")
    on(lab, HOST, "mkdir -p /var/lib/prometheus/node-exporter")
    _said, carried, seconds = back_up(lab)
    print(f"first backup: {MAILS} mails and /etc, {carried / 1e6:.2f} MB on the line in {seconds:.0f} s")
    archive = listed(lab)["said"][-1]
    assert set(json.loads(archive["comment"])) == {"host", "mail"}
    metrics = on(lab, HOST, "cat /var/lib/prometheus/node-exporter/tram_backup.prom")
    assert 'tram_backup_last_success_timestamp_seconds{service="mail"} 1' in metrics
    assert 'tram_exporter_last_success_timestamp_seconds{exporter="backup"} 1' in metrics


def test_a_night_without_news_costs_next_to_nothing(lab: Lab) -> None:
    # The first one after a large night sends the list of files anew: checkpoints had cut it elsewhere.
    carried = [back_up(lab)[1] for _ in range(2)]
    print(f"no change: {carried[0] / 1e3:.1f} kB on the line the first time, then {carried[1] / 1e3:.1f} kB")
    assert carried[1] <= QUIET_BYTES


def test_cut_at_random_it_resumes_and_sends_little_twice(lab: Lab) -> None:
    write_mail(lab, "lanh-dao", NEW)
    _said, uncut, seconds = back_up(lab)
    # As many new ones beside as much that is known: the list of files, sent anew with each, is as long.
    on(lab, HOST, f"rm -r /var/vmail/{DOMAIN}/lanh-dao")
    write_mail(lab, "chuyen-vien", NEW)
    dice, cuts = random.Random(8), 0
    with ThreadPoolExecutor(1) as pool:
        night = pool.submit(back_up, lab)
        while cuts < CUTS and not night.done():
            time.sleep(dice.uniform(2, max(2.5, seconds / (CUTS + 3) * 2 - 2)))
            if night.done():
                break
            lab.cut(SITE)
            time.sleep(dice.uniform(1, 20))
            lab.mend(SITE)
            cuts += 1
        said, carried, took = night.result(timeout=900)
    print(
        f"uncut {uncut / 1e6:.2f} MB in {seconds:.0f} s; cut {cuts} times: {carried / 1e6:.2f} MB "
        f"({carried / uncut:.3f} of it) in {took:.0f} s, {said['hub']['tries']} tries"
    )
    assert cuts >= CUTS - 3
    assert carried <= OVER * uncut


def test_killed_in_the_middle_the_next_run_goes_on(lab: Lab) -> None:
    write_mail(lab, "mot-cua")
    before = crossed(lab)
    with ThreadPoolExecutor(1) as pool:
        night = pool.submit(lab.sh, HOST, ["sh", "-c", "tram-backup run --now"], timeout=timedelta(minutes=10))
        wait_until("half of it is on the line", lambda: crossed(lab) - before > 1_700_000, timedelta(minutes=5))
        lab.sh(HOST, ["sh", "-c", "kill -9 $(pgrep -x borg) $(pgrep -f 'tram-backup run')"])
        night.result(timeout=120)
    first = crossed(lab) - before
    _said, second, _seconds = back_up(lab)
    write_mail(lab, "ke-toan")
    _said, whole, _seconds = back_up(lab)
    twice = first + second - whole
    print(f"killed after {first / 1e6:.2f} MB, then {second / 1e6:.2f} MB; as much in one go: {whole / 1e6:.2f} MB")
    # What came after the last checkpoint (backup_resend_bytes), what the kernel still had in hand, the list of files.
    assert twice <= 3 * 160_000


def test_one_mailbox_comes_back_beside_and_in_place_only_when_told(lab: Lab) -> None:
    box = f"/var/vmail/{DOMAIN}/van-thu"
    wanted = digest(lab, box)
    words = ("backup", "restore", HOST, "--mailbox", f"van-thu@{DOMAIN}")
    plan = json.loads(tram(lab, *words, "--dry-run", "--json").stdout)["restored"][0]
    assert plan["files"] == MAILS
    on(lab, HOST, "test ! -e /var/lib/tram-backup-site/restored")
    tram(lab, *words)
    assert digest(lab, f"/var/lib/tram-backup-site/restored{box}") == wanted
    on(lab, HOST, f"rm -r {box}/Maildir/cur && echo mine >{box}/Maildir/new-one")
    assert "is there already: say --overwrite" in tram(lab, *words, "--in-place", code=2).stderr
    aside = json.loads(tram(lab, *words, "--in-place", "--overwrite", "--json").stdout)["restored"][0]["aside"]
    assert digest(lab, box) == wanted
    assert on(lab, HOST, f"cat {aside}/Maildir/new-one") == "mine\n"


def test_what_stands_in_the_way_is_said_and_nothing_is_changed(lab: Lab) -> None:
    words = ("backup", "restore", HOST, "--service", "mail")
    # Two at once: the second is told who is at it.
    hold = "flock -x 9; echo -n 'lan@centre, mail, since 09:00 UTC' >&9; sleep 60"
    with ThreadPoolExecutor(1) as pool:
        pool.submit(
            lab.sh,
            HOST,
            ["sh", "-c", f"({hold}) 9>/var/lib/tram-backup-site/restore.lock"],
            timeout=timedelta(minutes=2),
        )
        time.sleep(2)
        assert "another restore is under way: lan@centre, mail" in tram(lab, *words, code=2).stderr
        on(lab, HOST, "pkill -x sleep; true")
    on(lab, HOST, "mkdir -p /run/small && mount -t tmpfs -o size=100k tmpfs /run/small")
    assert "bytes are needed" in tram(lab, *words, "--to", "/run/small/mail", code=2).stderr
    assert on(lab, HOST, "ls /run/small; umount /run/small") == ""
    assert (
        "has no documents; it has: host, mail"
        in tram(lab, "backup", "restore", HOST, "--service", "documents", code=2).stderr
    )
    assert "no such archive" in tram(lab, *words, "--archive", "yesterday", code=2).stderr
    assert (
        "has nothing at /var/vmail/x" in tram(lab, "backup", "restore", HOST, "--path", "/var/vmail/x", code=2).stderr
    )


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("echo another >/etc/tram-backup/passphrase", "the passphrase does not open this backup: wrong key"),
        (f"sed -i 's,repositories/{HOST},repositories/so-noi-vu-srv1,' /etc/tram-backup/settings.json",
         "this is the backup of another host"),
        (f"sed -i 's/ AAAA[^ ]*/ {FALSE_KEY}/' /etc/tram-backup/known_hosts",
         "the hub shows another key than the centre knows"),
    ],
    ids=["wrong key", "another host's backup", "a false hub"],
)  # fmt: skip
def test_a_wrong_key_or_place_has_its_own_words(lab: Lab, spoil: str, says: str) -> None:
    on(lab, HOST, f"rm -rf /run/kept.d; cp -a /etc/tram-backup /run/kept.d; {spoil}")
    try:
        assert says in on(lab, HOST, "tram-backup list", code=1)
    finally:
        on(lab, HOST, "rm -rf /etc/tram-backup; cp -a /run/kept.d /etc/tram-backup")


def test_root_of_the_site_deletes_all_it_can_and_the_hub_has_its_history(lab: Lab) -> None:
    # The last one the centre has not seen yet; the hub's history has.
    had = {one["name"] for one in listed(lab)["said"]} | {back_up(lab)[0]["archive"]}
    on(lab, HUB, "tram-backup-hub record")
    state = json.loads(on(lab, HUB, "tram-backup-hub status"))[0]["states"][-1]
    wanted = digest(lab, f"/var/vmail/{DOMAIN}/chuyen-vien")
    spite = f"""
import os, subprocess, sys, json
sys.path.insert(0, "/usr/local/lib/tram-backup")
from tram_backup.nightly import places
repository = places(json.load(open("/etc/tram-backup/settings.json")))[-1]
surely = repository.environment() | dict(BORG_DELETE_I_KNOW_WHAT_I_AM_DOING="YES", BORG_NEW_PASSPHRASE="mine now",
                                         BORG_CHECK_I_KNOW_WHAT_I_AM_DOING="YES")
for words in (["delete", "--force", "--glob-archives", "*"], ["compact"], ["check", "--repair"], ["delete"],
              ["key", "change-passphrase"]):
    print(words, subprocess.run(["borg", *words], env=surely, capture_output=True).returncode)
ssh = surely["BORG_RSH"].split() + ["tram-backup@192.0.2.10"]
for command in ("rm -rf {REPOSITORY}", "sh", "borg serve", "cat /etc/shadow"):
    subprocess.run([*ssh, command], input=b"rm -rf {REPOSITORY}", capture_output=True, timeout=60)
"""
    print(on(lab, HOST, f"python3 -c {shlex.quote(spite)}; rm -rf /var/vmail"))
    told = listed(lab, code=1)
    assert told["tampered"] or "key" in told["error"], told
    assert tram(lab, "backup", "prune", SITE, code=1)
    on(lab, HUB, "tram-backup-hub record")
    assert json.loads(on(lab, HUB, "tram-backup-hub status"))[0]["tampered"]
    on(lab, HUB, f"tram-backup-hub rollback {HOST} --to {state}")
    assert {one["name"] for one in listed(lab)["said"]} == had
    tram(lab, "backup", "check", SITE)
    on(lab, HOST, "tram-backup forget")
    tram(lab, "backup", "restore", HOST, "--service", "mail", "--in-place")
    assert digest(lab, f"/var/vmail/{DOMAIN}/chuyen-vien") == wanted
    back_up(lab)


def test_a_damaged_repository_is_found_and_pruning_leaves_what_is_young(lab: Lab) -> None:
    pruned = json.loads(tram(lab, "backup", "prune", SITE, "--json").stdout)[0]["said"]
    assert pruned["left"]
    segment = on(lab, HUB, f"ls -S {REPOSITORY}/data/*/* | head -1").strip()
    on(lab, HUB, f"cp -p {segment} /root/whole; cp -p {segment} {segment}.x")
    spoil = f"printf XXXX | dd of={segment}.x bs=1 seek=2000 conv=notrunc 2>/dev/null"
    on(lab, HUB, f"{spoil}; mv {segment}.x {segment}")
    found = json.loads(tram(lab, "backup", "check", SITE, "--json", code=1).stdout)[0]
    assert "the repository is damaged" in found["error"], found
    on(lab, HUB, f"mv /root/whole {segment}")
    tram(lab, "backup", "check", SITE)


def test_the_first_backup_comes_by_stick_and_the_line_carries_the_rest(lab: Lab) -> None:
    """Last in this file: the hub forgets all it had of the host."""
    on(lab, HUB, f"rm -r {REPOSITORY} /var/lib/tram-backup/history/{HOST} /var/lib/tram-backup/records/{HOST}.json")
    on(lab, HOST, "rm -rf /var/vmail/* /media/usb; mkdir -p /media/usb")
    write_mail(lab, "van-thu")
    before = crossed(lab)
    seeded = json.loads(on(lab, HOST, "tram-backup seed /media/usb"))
    assert crossed(lab) - before < 10_000
    assert "is there already: take another stick" in on(lab, HOST, "tram-backup seed /media/usb", code=2)
    carried = on(lab, HOST, "tar -C /media -cz usb | base64 -w 0")
    lab.machine(HUB).sh(["sh", "-c", "base64 -d | tar -C /media -xz"], stdin=carried)
    assert "is no backup of" in tram(lab, "backup", "seed", HOST, "--from", "/media", code=1).stderr
    tram(lab, "backup", "seed", HOST, "--from", "/media/usb")
    assert "has handed in already" in tram(lab, "backup", "seed", HOST, "--from", "/media/usb", code=1).stderr
    assert [one["name"] for one in listed(lab)["said"]] == [seeded["archive"]]
    _said, line, _seconds = back_up(lab)
    print(f"by stick {seeded['bytes'] / 1e6:.2f} MB; the first night on the line then {line / 1e3:.0f} kB")
    assert line < 0.15 * seeded["bytes"]
    assert len(listed(lab)["said"]) == 2
    tram(lab, "backup", "check", SITE)
