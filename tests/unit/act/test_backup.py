"""What the hub and a host are told about backups, and what is made of their answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tram.act.backup import Tampered, Wish, ask_hub, keeper, mailbox_path, passphrase, restore
from tram.act.outcome import StepFailed
from tram.act.session import Session
from tram.core.errors import BadInput
from tram.register import Province, load

from ...conftest import LAB

pytestmark = pytest.mark.slow

HOST = "huong-khe-srv1"


def test_the_passphrase_is_handed_over_in_no_command_line(hub: Any, session: Session, tmp_path: Path) -> None:
    (tmp_path / "backup/passphrases").mkdir(parents=True)
    (tmp_path / "backup/passphrases" / HOST).write_text("secret words\n", encoding="utf-8")
    hub.programs["tram-backup-hub"] = (0, json.dumps([{"name": "a"}]), "")
    with session:
        assert ask_hub(session, ["list", HOST], passphrase(tmp_path, HOST)) == [{"name": "a"}]
    assert hub.commands[-1] == f"sudo -n tram-backup-hub list {HOST}"


def test_a_host_without_a_passphrase_at_the_centre_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"{HOST}: the centre has no passphrase of its backup"):
        passphrase(tmp_path, HOST)


def keeping(**functions: str) -> Province:
    """The lab's province, these hosts with these functions."""
    lab = load(LAB)
    sites = [
        replace(site, hosts=tuple(replace(host, functions=tuple(functions[site.group].split())) for host in site.hosts))
        for site in lab.sites
    ]
    return replace(lab, sites=tuple(sites), hub=next(site for site in sites if site.is_hub))


def test_the_hub_keeps_everybodys_and_a_host_elsewhere_the_hubs() -> None:
    groups = {site.group: "backup" for site in load(LAB).sites}
    hub, department = load(LAB).hub.group, next(site.group for site in load(LAB).sites if site.code == "so-noi-vu")
    one = keeping(**groups | {hub: "backup backup_hub"})
    assert keeper(one, HOST) == "trung-tam-hub1"
    with pytest.raises(BadInput, match="trung-tam-hub1: keeps the others' backups, and nobody keeps its own"):
        keeper(one, "trung-tam-hub1")
    two = keeping(**groups | {hub: "backup backup_hub", department: "backup backup_hub"})
    assert keeper(two, "trung-tam-hub1") == "so-noi-vu-srv1"
    assert {keeper(two, host) for host in (HOST, "so-noi-vu-srv1")} == {"trung-tam-hub1"}
    with pytest.raises(BadInput, match="no host of the hub has the function backup_hub"):
        keeper(keeping(**groups), HOST)


@pytest.mark.parametrize(("code", "kind"), [(3, Tampered), (1, StepFailed), (127, StepFailed)])
def test_missing_history_is_told_from_what_merely_failed(hub: Any, session: Session, code: int, kind: type) -> None:
    hub.programs["tram-backup-hub"] = (code, "", "tram-backup-hub: x: 2 archives are gone\n")
    with session, pytest.raises(StepFailed, match=r"x: 2 archives are gone$") as raised:
        ask_hub(session, ["check", HOST], "s")
    assert type(raised.value) is kind


def test_a_restore_says_who_wants_it_and_what_stands_in_the_way(hub: Any, session: Session) -> None:
    hub.programs["tram-backup"] = (2, "", "tram-backup: /a is there already: say --overwrite. Nothing was changed\n")
    wish = Wish(services=("mail",), paths=("/etc/a b",), in_place=True, dry=True, who="lan@centre")
    with session, pytest.raises(BadInput, match=r"hub1: /a is there already: say --overwrite\.$"):
        restore(session, wish)
    assert hub.commands[-1] == (
        "sudo -n tram-backup restore --archive latest --by lan@centre --service mail --path '/etc/a b' "
        "--in-place --dry-run"
    )


def test_a_mailbox_is_found_by_its_address() -> None:
    assert mailbox_path("van-thu@so-noi-vu.tinh.example") == "/var/vmail/so-noi-vu.tinh.example/van-thu"


@pytest.mark.parametrize("address", ["van-thu", "@x", "a@", "../a@x", "a@../x", ".a@x", ""])
def test_what_is_no_mailbox_is_refused(address: str) -> None:
    with pytest.raises(BadInput, match="is no address of a mailbox"):
        mailbox_path(address)
