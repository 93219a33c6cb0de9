"""An office's documents come back from the backup: all of them in their place, or one of them beside it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from tram.lab.lab import Lab
from tram.push.playbook import run_playbook

from ..conftest import REPO
from ..desk import Desk, Unexpected, page_with
from ..person import wait_until
from .test_backup import tram
from .test_documents import BOOK, HOST, first, inventory, lab, sh, wheels  # noqa: F401
from .test_documents_faults import boss, ids, kind  # noqa: F401

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(3600)]

NAMES = [f"Quyết định {number}-QĐ-SNV.pdf" for number in range(1, 6)]
PAGES = [f"Tram TRANG{number}" for number in range(1, 6)]
DUMP = "/var/lib/tram-backup-site/dumps/documents/mayan.sql"


@pytest.fixture(scope="module")
def kept(lab: Lab, boss: Desk, kind: int) -> dict[str, int]:  # noqa: F811
    """Five documents that were read, and a backup; their numbers by name."""
    done = run_playbook(REPO / "playbooks/backup.yml", lab.province.folder)
    assert done.failures() == []
    for number, name in enumerate(NAMES, 1):
        assert boss.send(kind, name, page_with(f"TRANG{number}"))[0] == 201
    numbers = ids(boss, kind)
    wait_until("all are read", lambda: texts(boss, numbers.values()) == PAGES, timedelta(minutes=5))
    said: dict[str, Any] = json.loads(sh(lab, "tram-backup run --now 2>/run/said || { cat /run/said >&2; exit 1; }"))
    assert {"documents", "host"} <= set(json.loads(archives(lab)[-1]["comment"]))
    print(f"backup with {len(NAMES)} documents: {said}")
    return numbers


def archives(lab: Lab) -> list[dict[str, Any]]:  # noqa: F811
    found: list[dict[str, Any]] = json.loads(tram(lab, "backup", "list", HOST, "--json").stdout)[0]["said"]
    return found


def texts(boss: Desk, numbers: Iterable[int]) -> list[str]:  # noqa: F811
    """What Mayan has read on the one page of each, sorted; of one that is not read yet there is none."""
    found = []
    for number in numbers:
        (file,) = boss.api("GET", f"documents/{number}/files/")["results"]
        for page in boss.api("GET", f"documents/{number}/files/{file['id']}/pages/")["results"]:
            with contextlib.suppress(Unexpected):
                where = f"documents/{number}/files/{file['id']}/pages/{page['id']}/content/"
                found.append(str(boss.api("GET", where)["content"]).strip())
    return sorted(found)


def sums(lab: Lab) -> str:  # noqa: F811
    return sh(lab, "cd /var/lib/mayan/document_storage && find . -type f -exec sha256sum {} + | sort")


def test_one_document_comes_back_by_its_name_beside_what_is_there(
    lab: Lab,  # noqa: F811
    kept: dict[str, int],
) -> None:
    words = ("backup", "restore", HOST, "--document", "quyết định 3-qđ", "--to", "/var/tmp/back", "--json")
    before = sums(lab)
    (one,) = json.loads(tram(lab, *words).stdout)["restored"]
    assert one["files"] == 1
    assert "TRANG3" in sh(lab, f"pdftotext {one['target']} -")
    assert sums(lab) == before
    several = tram(lab, "backup", "restore", HOST, "--document", "QĐ-SNV", code=2).stderr
    assert "of several documents" in several
    assert "no document in" in tram(lab, "backup", "restore", HOST, "--document", "không có", code=2).stderr


def test_all_that_was_lost_comes_back_with_texts_and_logins_and_the_role_finds_nothing_to_do(
    lab: Lab,  # noqa: F811
    kept: dict[str, int],
    boss: Desk,  # noqa: F811
    kind: int,  # noqa: F811
) -> None:
    before = sums(lab)
    assert boss.send(kind, "sau sao lưu.pdf", page_with("came after the backup"))[0] == 201
    sh(lab, "systemctl stop mayan-web 'mayan-worker-*'; rm -rf /var/lib/mayan/document_storage")
    sh(lab, "runuser -u postgres -- psql -qc 'DROP TABLE documents_document CASCADE' mayan; systemctl start mayan-web")
    said = json.loads(
        tram(lab, "backup", "restore", HOST, "--service", "documents", "--in-place", "--overwrite", "--json").stdout
    )
    print(f"documents back: {[(one['path'], one['files'], one['bytes']) for one in said['restored']]}")
    boss.wait("it answers", lambda: boss.log_in("quan-tri")[0] == 200)
    assert ids(boss, kind) == kept
    assert texts(boss, kept.values()) == PAGES
    assert sums(lab) == before
    # Work goes on, and the role finds nothing to mend but what the restore had stopped.
    healed = run_playbook(BOOK, lab.province.folder, extra=["--limit", HOST])
    assert healed.failures() == []
    assert run_playbook(BOOK, lab.province.folder, extra=["--limit", HOST]).changed() == []
    assert boss.send(kind, "tiếp tục.pdf", page_with("goes on"))[0] == 201


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ("sed '1s/release .*/release 99.1-0123/'", "newer than"),
        ("head -c -3000", "is cut off"),
        ("tail -n +2", "no dump"),
    ],
    ids=["newer", "cut off", "another's"],
)
def test_a_dump_that_cannot_be_used_is_refused_and_nothing_stops(
    lab: Lab,  # noqa: F811
    kept: dict[str, int],
    spoil: str,
    why: str,
) -> None:
    before = sh(lab, "systemctl show -P ActiveEnterTimestamp mayan-web mayan-worker-fast")
    ran = lab.sh(HOST, ["sh", "-c", f"{spoil} {DUMP} >/var/tmp/spoilt && tram-mayan load </var/tmp/spoilt"])
    assert ran.code == 1
    assert why in ran.stderr
    assert sh(lab, "systemctl show -P ActiveEnterTimestamp mayan-web mayan-worker-fast") == before


def test_a_dump_of_an_older_release_is_upgraded(lab: Lab, kept: dict[str, int], boss: Desk, kind: int) -> None:  # noqa: F811
    """By Mayan's own upgrade; that the tables are not old is the one thing that is not as it would be."""
    sh(lab, f"sed '1s/release .*/release 4.0-older/' {DUMP} >/var/tmp/older && tram-mayan load </var/tmp/older")
    state = dict(line.split(" ", 1) for line in sh(lab, "tram-mayan state").splitlines())
    assert state["database"] == state["current"] == state["wanted"]
    assert "4.0-older" in sh(lab, "ls /var/lib/tram-mayan/dumps"), "dumped before the upgrade, as any is"
    assert run_playbook(BOOK, lab.province.folder, extra=["--limit", HOST]).failures() == []
    boss.wait("it answers", lambda: boss.log_in("quan-tri")[0] == 200)
    assert ids(boss, kind) == kept
