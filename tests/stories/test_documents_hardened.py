"""Documents delivered, dispatch mailboxes with them, and hardened: they work as before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tram.lab.lab import Lab
from tram.ledger import Ledger, Outcome
from tram.push.playbook import run_playbook

from ..conftest import REPO
from .test_delivered_roles import deliver, ledger, result  # noqa: F401
from .test_documents import BOOK, HOST, SITE, first, inventory, lab, prove, sh, wheels  # noqa: F401

pytestmark = [pytest.mark.lab, pytest.mark.long]

WORD = "only-for-the-story"


@pytest.fixture
def box(inventory: Path, lab: Lab) -> Iterator[str]:  # noqa: F811
    """The agency's dispatch mailbox, with a password as role mail leaves it at the centre, beside a colleague's."""
    variables = inventory / "group_vars/documents.yml"
    before = variables.read_text(encoding="utf-8")
    address = f"van-thu@{SITE}.tinh.example"
    boxes = [{"agency": SITE, "address": address, "host": "mail.tinh.example"}]
    variables.write_text(yaml.safe_dump({**yaml.safe_load(before), "documents_dispatch": boxes}), encoding="utf-8")
    folder = lab.province.secrets_dir / f"mail/{SITE}.tinh.example"
    folder.mkdir(parents=True, exist_ok=True)
    for name, word in (("van-thu", WORD), ("dong-nghiep", "nobody-elses")):
        (folder / name).write_text(f"{word}\n", encoding="utf-8")
    yield address
    variables.write_text(before, encoding="utf-8")
    (folder / "van-thu").unlink()
    (folder / "dong-nghiep").unlink()


def test_what_was_pushed_is_delivered_with_its_mailboxes_and_proves_itself(
    first: object,  # noqa: F811
    lab: Lab,  # noqa: F811
    box: str,
    ledger: Ledger,  # noqa: F811
) -> None:
    for changed in (True, False):
        [found] = deliver(lab, ledger, "documents.yml", HOST)
        assert found.ended.outcome is Outcome.DONE, found.ended.reason
        told = result(ledger, found)
        assert (told["stats"]["changed"] > 0) is changed
        assert told["verify"]
        assert [proof for proof in told["verify"] if not proof["ok"]] == []
        if changed:
            boxes = json.loads(sh(lab, "cat /etc/mayan/dispatch.json"))
            assert {name: (one["user"], one["password"]) for name, one in boxes.items()} == {SITE: (box, WORD)}
    kept = sh(lab, "grep -rlE 'nobody-elses' /var/lib/tram* /etc 2>/dev/null; :")
    assert kept == "", "a colleague's password travelled"


def test_hardened_it_works_and_nothing_of_it_is_undone(
    first: object,  # noqa: F811
    inventory: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    limit = ["--limit", HOST]
    harden = REPO / "playbooks/harden.yml"
    assert run_playbook(harden, inventory, extra=limit).failures() == []
    assert prove(inventory, tmp_path) == []
    again = run_playbook(BOOK, inventory, extra=limit)
    assert (again.failures(), again.changed()) == ([], [])
    second = run_playbook(harden, inventory, extra=limit)
    assert (second.failures(), second.changed()) == ([], [])
