"""Server certificates are renewed before they expire, and what people connect to shows the new one."""

from __future__ import annotations

import pytest

from tram.lab.lab import Lab
from tram.push.playbook import run_playbook

from ..conftest import LAB, REPO
from ..person import Person

pytestmark = [pytest.mark.lab, pytest.mark.apart]

HOST, SITE = "so-noi-vu-srv1", "so-noi-vu"


def serial(lab: Lab) -> str:
    """Serial number of the certificate that IMAP presents, verified against the province's root."""
    with Person(lab, SITE, "van-thu").imap() as session:
        shown = session.sock.getpeercert()
    assert shown is not None
    return str(shown["serialNumber"])


def test_a_certificate_near_its_end_is_renewed_and_taken_up_and_a_fresh_one_is_left_alone(converged: Lab) -> None:
    playbook, only = REPO / "playbooks/pki.yml", ["--limit", HOST]
    before = serial(converged)
    assert run_playbook(playbook, LAB, extra=only).changed() == []
    assert serial(converged) == before
    # The one it has lasts 90 days: with this bound it is near its end.
    near = "{pki_certificate_days: 200, pki_renew_days: 100}"
    renewed = run_playbook(playbook, LAB, extra=[*only, "-e", near])
    assert renewed.failures() == []
    assert renewed.changed() != []
    assert serial(converged) != before
