"""A district's server is rebuilt from the register, the roles and its backup: as a drill on a spare, and for good."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tram.core.run import run
from tram.lab.lab import Lab, down, open_lab, up
from tram.push.playbook import run_playbook

from ..conftest import LAB, REPO, take_over
from .test_backup import DOMAIN, HOST, HUB, SITE, back_up, digest, listed, on, tram, write_mail
from .test_site_cache import crossed, functions

pytestmark = [pytest.mark.lab, pytest.mark.long]

MINE = os.environ.get("TRAM_TEST_LAB")
NAME = MINE or f"replace{os.getpid() % 100000}"
SPARE = "huong-khe-srv2"
ADDRESS = "203.0.113.10"
MAILS = 600
BOX = f"/var/vmail/{DOMAIN}/van-thu"
METRICS = "/var/lib/prometheus/node-exporter"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The hub with names, certificates and backups; a district with mail, and a spare that has no work.

    $TRAM_TEST_LAB names such a lab that is up and has every role: it is used as it is and left standing.
    """
    if MINE:
        yield ready(open_lab(MINE))
        return
    inventory = tmp_path_factory.mktemp("province") / "lab"
    shutil.copytree(LAB, inventory)
    (inventory / "sites/so-noi-vu.yml").unlink()
    (inventory / "group_vars/site_so_noi_vu.yml").unlink()
    functions(inventory / "sites/trung-tam.yml", ["hub_cache", "dns", "pki", "backup_hub"])
    functions(inventory / f"sites/{SITE}.yml", ["mail", "backup"], [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAM_LAB", NAME)
        try:
            found = up(inventory, NAME, print)
            take_over(found)
            for book in ("base", "pki", "dns", "mail", "backup"):
                assert run_playbook(REPO / f"playbooks/{book}.yml", inventory).failures() == [], book
            yield ready(found)
        finally:
            down(NAME)


def ready(lab: Lab) -> Lab:
    """The district has mail, and a backup of it."""
    write_mail(lab, "van-thu", MAILS)
    on(lab, HOST, f"mkdir -p {METRICS}")
    back_up(lab)
    return lab


def told(lab: Lab, *words: str) -> dict[str, Any]:
    """What a command says at its end, as JSON."""
    found: dict[str, Any] = json.loads(tram(lab, *words, "--json").stdout)
    return found


def test_a_drill_on_a_spare_gives_a_certificate_that_anybody_can_check(lab: Lab, tmp_path: Path) -> None:
    before = crossed(lab)
    said = told(lab, "drill", "restore", SITE, "--spare", SPARE, "--accept-new", "--out", str(tmp_path))
    print(f"drill: {said}; {(crossed(lab) - before) / 1e6:.1f} MB on the line in all")
    file = Path(said["certificate"])
    proof = json.loads(file.read_bytes())
    assert proof["host"] == HOST
    assert proof["services"]["mail"][0]["files"] >= MAILS
    assert proof["machine_then"] == "destroyed"
    signers = ["-f", tmp_path / "allowed_signers", "-I", "centre@lab", "-n", "tram-restore-proof"]
    run(["ssh-keygen", "-Y", "verify", *signers, "-s", f"{file}.sig"], stdin=file.read_text(encoding="utf-8"))
    # The living host knows; the spare is bare again and no longer let in.
    assert "tram_backup_last_restore_proof_timestamp_seconds 1" in on(lab, HOST, f"cat {METRICS}/tram_backup.prom")
    on(lab, SPARE, "test ! -e /etc/tram-backup && test ! -e /var/vmail")
    assert on(lab, HUB, "grep -c '^restrict' /etc/tram-backup-hub/authorized_keys") == "1\n"
    assert listed(lab)["said"]
    on(lab, HOST, "tram-backup list")


def test_a_host_that_lives_is_not_replaced(lab: Lab) -> None:
    ran = tram(lab, "replace", f"{SITE}/srv1", "--address", ADDRESS, "--accept-new", code=2)
    assert "it is not dead" in ran.stderr


def test_a_dead_server_is_a_new_one_with_every_mail_and_account(lab: Lab) -> None:
    letters, people = digest(lab, BOX), on(lab, HOST, "cut -d: -f1,2 /etc/dovecot/users")
    old_key = on(lab, HOST, "cat /etc/tram-backup/id_ed25519")
    fingerprint = lab.renew(HOST)
    words = ("replace", f"{SITE}/srv1", "--address", ADDRESS, "--fingerprint")
    # A machine that is not the one delivered is told nothing; the same command goes on with the right one.
    assert "is not the host you mean" in tram(lab, *words, f"SHA256:{'A' * 43}", code=1).stderr
    before, began = crossed(lab), time.monotonic()
    said = told(lab, *words, fingerprint)
    print(
        f"replace: {(time.monotonic() - began) / 60:.1f} min, {(crossed(lab) - before) / 1e6:.1f} MB on the line; "
        f"the backup {said['line_bytes'] / 1e6:.2f} MB (forecast {said['forecast_bytes'] / 1e6:.2f}) in "
        f"{said['restore_seconds']:.0f} s (forecast {said['forecast_seconds']}); steps {said['steps_seconds']}"
    )
    assert abs(said["line_bytes"] / said["forecast_bytes"] - 1) <= 0.25
    assert digest(lab, BOX) == letters
    assert on(lab, HOST, "cut -d: -f1,2 /etc/dovecot/users") == people
    on(lab, HOST, "systemctl is-active postfix dovecot tram-backup.timer")
    # Its backups go on where the dead one's ended, and the dead one's key opens nothing any more.
    had = len(listed(lab)["said"])
    back_up(lab)
    assert len(listed(lab)["said"]) == had + 1
    door = "ssh -F none -i /run/old -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no -p 8422"
    on(lab, SPARE, f"umask 077; echo {shlex.quote(old_key)} >/run/old")
    assert "Permission denied" in on(lab, SPARE, f"{door} tram-backup@192.0.2.10 true", code=255)
