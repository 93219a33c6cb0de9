"""A mail host says how much a mailbox is used, and nothing of what is in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tram.lab.lab import Lab

from ..person import Person, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.apart]

HOST, SITE = "huong-khe-srv1", "huong-khe"


def counted(lab: Lab, address: str) -> dict[str, Any]:
    """What the host says of one mailbox; nothing while it was never used."""
    said = json.loads(lab.sh(HOST, ["tram-mail-counters"]).stdout)
    found: dict[str, Any] = said["mailboxes"].get(address, {"last_login": None, "sent_30_days": 0})
    return found


def test_a_login_and_a_letter_are_counted_once_and_neither_its_words_nor_its_recipient_are_told(converged: Lab) -> None:
    person, other = Person(converged, SITE, "chuyen-vien"), Person(converged, SITE, "lanh-dao")
    before = counted(converged, person.address)["sent_30_days"]
    theirs = counted(converged, other.address)["sent_30_days"]
    person.imap().logout()
    person.submit(other.address, "Mật dem-thu", message_id=f"<dem-thu-{datetime.now(UTC).timestamp()}@{SITE}>")
    wait_until(
        "the letter is counted",
        lambda: counted(converged, person.address)["sent_30_days"] == before + 1,
        timedelta(seconds=30),
    )
    assert counted(converged, person.address) == {
        "last_login": datetime.now(UTC).date().isoformat(),
        "sent_30_days": before + 1,
    }
    kept = converged.sh(HOST, ["cat", "/var/lib/tram-mail-counters/days.json"]).stdout
    assert "dem-thu" not in kept
    assert counted(converged, other.address)["sent_30_days"] == theirs
    mode = converged.sh(HOST, ["stat", "-c", "%a %U", "/var/lib/tram-mail-counters/days.json"]).stdout.strip()
    assert mode == "600 root"
