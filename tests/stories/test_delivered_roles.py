"""The province's own roles, delivered: as good as pushed, keys stay where they were made, public halves get around."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tram.cli.carrying import begin, carry, put_together
from tram.cli.deliver_view import View
from tram.delivery.host import Delivered, Way
from tram.lab.lab import Lab
from tram.ledger import Ledger, Outcome
from tram.rollout.targets import targets

from ..conftest import REPO

pytestmark = [pytest.mark.lab, pytest.mark.apart]

NEAR, HUB = "so-noi-vu-srv1", "trung-tam-hub1"
DOMAIN = "so-noi-vu.tinh.example"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    found = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    found.belong("lab")
    return found


def deliver(lab: Lab, ledger: Ledger, playbook: str, *only: str) -> list[Delivered]:
    """As `tram deliver PLAYBOOK`, to all hosts or to some."""
    file = REPO / "playbooks" / playbook
    hosts = [host for _site, host in targets(file, lab.province).hosts if host.inventory_name in only or not only]
    contents = put_together(lab.province, file, hosts)
    with View(Console(quiet=True)) as view:
        jobs = begin(ledger, lab.province, file, hosts)
        return carry(ledger, lab.province, jobs, view, contents=contents, way=Way())


def result(ledger: Ledger, found: Delivered) -> dict[str, Any]:
    """What the host itself said of its run."""
    return dict(ledger.events(found.run, found.host, kind="result")[-1].body)


def public_key(lab: Lab, *words: str) -> str:
    """Of a key or a certificate at the near site, as OpenSSL prints it."""
    return lab.sh(NEAR, ["openssl", *words]).stdout


def test_what_was_pushed_changes_nothing_when_it_is_delivered_and_each_role_proves_itself(
    converged: Lab, ledger: Ledger
) -> None:
    found = deliver(converged, ledger, "site.yml")
    assert [(one.host, one.ended) for one in found if one.ended.outcome is not Outcome.DONE] == []
    for one in found:
        told = result(ledger, one)
        tasks = [event.body for event in ledger.events(one.run, one.host, kind="task")]
        assert [task for task in tasks if task.get("status") == "changed"] == [], one.host
        assert told["stats"]["changed"] == 0, one.host
        assert told["verify"], one.host
        assert [proof for proof in told["verify"] if not proof["ok"]] == [], one.host


def test_a_machine_set_up_anew_is_asked_for_its_key_and_the_key_stays_there(converged: Lab, ledger: Ledger) -> None:
    kept = converged.province.secrets_dir / "pki" / f"{NEAR}.csr"
    converged.sh(NEAR, ["rm", "/etc/ssl/tram/host.key"])
    kept.unlink()  # as `tram host bootstrap` does when it takes a machine over
    [found] = deliver(converged, ledger, "pki.yml", NEAR)
    assert found.ended.outcome is Outcome.DONE, found.ended.reason
    asked = [run for run in ledger.runs() if run.playbook.endswith("ops/certificate-request.yml")]
    assert [run.run for run in asked] != [], "a run of its own"
    own = public_key(converged, "pkey", "-pubout", "-in", "/etc/ssl/tram/host.key")
    assert own == public_key(converged, "x509", "-noout", "-pubkey", "-in", "/etc/ssl/tram/host.crt")
    assert not any(b"PRIVATE KEY" in path.read_bytes() for path in kept.parent.iterdir())


@pytest.mark.long
def test_a_new_signing_key_of_a_site_is_published_by_the_hub_without_anybody_asking(
    converged: Lab, ledger: Ledger
) -> None:
    lookup = ["dig", "+short", "+time=3", "TXT", f"tram._domainkey.{DOMAIN}", "@127.0.0.1"]
    before = converged.sh(HUB, lookup).stdout
    assert "v=DKIM1" in before
    converged.sh(NEAR, ["sh", "-c", "rm /var/lib/rspamd/dkim/*"])
    found = deliver(converged, ledger, "mail.yml", NEAR, HUB)
    assert [one.ended.outcome for one in found] == [Outcome.DONE] * len(found)
    assert [one.host for one in found] == [HUB, NEAR, HUB], "the hub again, because of what came back"
    after = converged.sh(HUB, lookup).stdout
    assert "v=DKIM1" in after
    assert after != before
