"""The hub burns down: districts work on, a new hub comes from its backup elsewhere, and they go on with that one."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest

from tram.lab.lab import Lab

from ..person import Person, queued
from .test_backup import DOMAIN, HOST, HUB, SITE, back_up, digest, listed, on, tram, write_mail
from .test_replace import kept_lab, told

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(5400)]

ELSEWHERE = "so-noi-vu-srv1"
HUB_DOMAIN = "tinh.example"
MAILS = 300
BOX = f"/var/vmail/{DOMAIN}/chuyen-vien"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A district whose mail is kept at the hub, and a department that keeps the hub's own."""
    with kept_lab(tmp_path_factory.mktemp("province"), "hublost") as found:
        write_mail(found, "chuyen-vien", MAILS)
        back_up(found)
        yield found


def test_what_the_hub_has_is_kept_elsewhere_and_nobody_there_can_read_it(lab: Lab) -> None:
    first = json.loads(on(lab, HUB, "tram-backup run --now 2>/dev/null"))["hub"]
    again = json.loads(on(lab, HUB, "tram-backup run --now 2>/dev/null"))["hub"]
    print(
        f"to elsewhere: {first['bytes_on_line'] / 1e6:.2f} MB, then {again['bytes_on_line'] / 1e3:.0f} kB without news"
    )
    archive = json.loads(tram(lab, "backup", "list", HUB, "--json").stdout)[0]["said"][-1]
    assert {"host", "backups", "mail"} <= set(json.loads(archive["comment"]))
    # Neither what districts handed in nor the hub's own mail is there in plain; no key of the hub's is.
    on(lab, ELSEWHERE, "! grep -rlq 'Cong van 1' /var/lib/tram-backup; ! ls /etc/tram-backup/passphrase 2>/dev/null")
    on(lab, ELSEWHERE, f"tram-backup-hub status | grep -q {HUB}")


def test_a_hub_that_burnt_down_is_a_new_one_and_nothing_is_lost(lab: Lab) -> None:
    letters, had = digest(lab, BOX), {one["name"] for one in listed(lab)["said"]}
    hub_clerk = Person(lab, "trung-tam", "van-thu")
    hub_clerk.submit(f"lanh-dao@{HUB_DOMAIN}", "Hop truoc chay", message_id="<truoc@story.example>")
    boss = Person(lab, "trung-tam", "lanh-dao")
    assert boss.wait_received("truoc", {"<truoc@story.example>"}, timedelta(minutes=2))
    on(lab, HUB, "tram-backup run --now >/dev/null 2>&1")
    people = on(lab, HUB, "slapcat -n 1 -F /run/slapd/config | grep '^dn' | sort")
    # The district hands in once more: of that, the copy elsewhere knows nothing.
    back_up(lab)

    fingerprint = lab.renew(HUB)
    clerk, leader = Person(lab, SITE, "van-thu"), Person(lab, SITE, "lanh-dao")
    clerk.submit(leader.address, "Noi bo khichay", message_id="<noi-bo@story.example>")
    assert leader.wait_received("khichay", {"<noi-bo@story.example>"}, timedelta(seconds=30))
    clerk.submit(f"lanh-dao@{HUB_DOMAIN}", "Bao cao khichay", message_id="<cho@story.example>")
    assert queued(lab, HOST) >= 1

    began = time.monotonic()
    said = told(lab, "replace", "trung-tam/hub1", "--address", "192.0.2.10", "--fingerprint", fingerprint)
    told_of = {"whole_seconds": round(time.monotonic() - began), "steps_seconds": said["steps_seconds"]}
    print("figures", json.dumps({"what": "hub", **told_of, "compared": said["compared"]}))
    assert said["not_told"] == []

    # What it kept of the district is there and whole; the district's next night goes on.
    assert {one["name"] for one in listed(lab)["said"]} == had
    tram(lab, "backup", "check", SITE)
    back_up(lab)
    assert len(listed(lab)["said"]) == len(had) + 1
    tram(lab, "backup", "restore", HOST, "--path", BOX, "--to", "/var/tmp/back")
    assert digest(lab, f"/var/tmp/back{BOX}") == letters
    assert on(lab, HUB, "slapcat -n 1 -F /run/slapd/config | grep '^dn' | sort") == people
    # Mail of the hub is back, and what waited for it comes.
    on(lab, HOST, "postqueue -f")
    assert boss.wait_received("khichay", {"<cho@story.example>"}, timedelta(minutes=5)) == {"<cho@story.example>": 1}
    assert boss.received("truoc") == {"<truoc@story.example>": 1}


def test_the_centres_secrets_come_back_from_the_safe(lab: Lab, tmp_path: Path) -> None:
    """Taken away from the centre, `tram` can open no backup; brought back from the sealed file, it can."""
    safe = pyrage.x25519.Identity.generate()
    tram(lab, "backup", "centre", "--to", str(tmp_path), "--recipient", str(safe.to_public()))
    (sealed,) = tmp_path.glob("*.age")
    secrets = lab.province.secrets_dir
    aside = secrets.rename(secrets.with_name("lost"))
    try:
        assert "the centre has no key" in tram(lab, "backup", "list", SITE, code=2).stderr
        # By pyrage, because this machine has no age: the same format (ADR 10).
        with tarfile.open(fileobj=io.BytesIO(pyrage.decrypt(sealed.read_bytes(), [safe]))) as tar:
            tar.extractall(tmp_path)
        shutil.copytree(tmp_path / "secrets", secrets)
        listed(lab)
    finally:
        shutil.rmtree(secrets, ignore_errors=True)
        aside.rename(secrets)
