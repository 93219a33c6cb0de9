"""A district's server is rebuilt from the register, the roles and its backup: as a drill on a spare, and for good."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tram.act.pins import Pins
from tram.act.target import targets
from tram.core.run import run
from tram.lab.lab import Lab

from ..person import Person
from ..small_lab import own_lab, write_inventory
from .test_backup import DOMAIN, HOST, HUB, SITE, back_up, digest, listed, on, tram, write_mail
from .test_site_cache import crossed

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(5400)]

SPARE = "huong-khe-srv2"
ADDRESS = "203.0.113.10"
MAILS = 5000
BOX = f"/var/vmail/{DOMAIN}/van-thu"
NEAR = 0.25
"""How far a forecast of bytes may be off; of minutes bench/replace tells, on a machine with nothing else to do."""
BOOKS = ("base", "pki", "dns", "directory", "mail", "backup")
METRICS = "/var/lib/prometheus/node-exporter"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A district with mail and a backup of it, and a spare that has no work."""
    with kept_lab(tmp_path_factory.mktemp("province"), "replace") as found:
        yield ready(found)


@contextmanager
def kept_lab(folder: Path, name: str) -> Iterator[Lab]:
    """The hub with names, certificates, mail and the backups of a district; a department that keeps the hub's own."""
    hosts = {
        "trung-tam": [{"functions": ["hub_cache", "dns", "pki", "directory", "mail", "backup_hub", "backup"]}],
        "so-noi-vu": [{"functions": ["backup_hub"]}],
        SITE: [{"functions": ["mail", "backup"]}, {"functions": []}],
    }
    with own_lab(write_inventory(folder, hosts), name, *BOOKS) as found:
        yield found


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


def figures(what: str, lab: Lab, before: int, said: dict[str, Any]) -> int:
    """Print what a rebuild took beside its forecast, for bench/replace; all bytes of it on the line."""
    carried = crossed(lab) - before
    wanted = ("line_bytes", "forecast_bytes", "restore_seconds", "forecast_seconds", "whole_seconds")
    kept = {name: said[name] for name in (*wanted, "forecast_whole_seconds", "forecast_whole_bytes", "steps_seconds")}
    print("figures", json.dumps({"what": what, "carried_bytes": carried, **kept}))
    return carried


def test_a_drill_on_a_spare_gives_a_certificate_that_anybody_can_check(lab: Lab, tmp_path: Path) -> None:
    # Bare, as a spare is: what it lacks is what a new machine lacks.
    fingerprint = lab.renew(SPARE)
    machine = targets(lab.province, [SPARE])[0]
    Pins(machine.pins).forget(machine)
    before = crossed(lab)
    said = told(lab, "drill", "restore", SITE, "--spare", SPARE, "--fingerprint", fingerprint, "--out", str(tmp_path))
    figures("drill", lab, before, said)
    file = Path(said["certificate"])
    proof = json.loads(file.read_bytes())
    assert proof["host"] == HOST
    assert proof["services"]["mail"][0]["files"] >= MAILS
    assert proof["machine_then"] == "destroyed"
    turns = {
        one["host"]: one
        for one in json.loads(tram(lab, "drill", "due", "--out", str(tmp_path), "--json", code=1).stdout)
    }
    assert not turns[HOST]["due"]
    assert turns[HUB]["overdue"], "it was never proven"
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
    # What is written to it meanwhile waits at the hub.
    clerk, waits = Person(lab, "trung-tam", "van-thu"), "<cho-may-moi@story.example>"
    clerk.submit(f"lanh-dao@{DOMAIN}", "Công văn cho máy mới", message_id=waits)
    words = ("replace", f"{SITE}/srv1", "--address", ADDRESS, "--fingerprint")
    # A machine that is not the one delivered is told nothing; the same command goes on with the right one.
    assert "is not the host you mean" in tram(lab, *words, f"SHA256:{'A' * 43}", code=1).stderr
    before = crossed(lab)
    said = told(lab, *words, fingerprint)
    carried = figures("replace", lab, before, said)
    assert digest(lab, BOX) == letters
    assert on(lab, HOST, "cut -d: -f1,2 /etc/dovecot/users") == people
    on(lab, HOST, "systemctl is-active postfix dovecot tram-backup.timer")
    on(lab, HUB, "postqueue -f")
    leader = Person(lab, SITE, "lanh-dao")
    assert leader.wait_received("cho", {waits}, timedelta(minutes=5)) == {waits: 1}
    # Its backups go on where the dead one's ended, and the dead one's key opens nothing any more.
    had = len(listed(lab)["said"])
    back_up(lab)
    assert len(listed(lab)["said"]) == had + 1
    door = "ssh -F none -i /run/old -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no -p 8422"
    on(lab, SPARE, f"umask 077; echo {shlex.quote(old_key)} >/run/old")
    assert "Permission denied" in on(lab, SPARE, f"{door} tram-backup@192.0.2.10 true", code=255)
    assert said["forecast_like"].startswith(HOST), "the drill was measured"
    assert abs(said["line_bytes"] / said["forecast_bytes"] - 1) <= NEAR
    assert abs(carried / said["forecast_whole_bytes"] - 1) <= NEAR
