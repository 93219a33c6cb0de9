"""An office's documents: taken in by a hub and one host of 4 GB, used, killed under load, upgraded in vain."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from tram.core.run import run
from tram.lab.lab import Lab
from tram.push.playbook import Recap, run_playbook

from ..conftest import REPO
from ..person import wait_until
from ..rosters import add_agencies
from ..small_lab import MINE, own_lab, write_inventory

pytestmark = [pytest.mark.lab, pytest.mark.long]

HUB, SITE, HOST = "trung-tam-hub1", "so-noi-vu", "so-noi-vu-srv1"
BOOK = REPO / "playbooks/documents.yml"
BROUGHT = "/srv/wheels"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything the role installs, brought by hand; $TRAM_TEST_WHEELS names a directory that has it."""
    if there := os.environ.get("TRAM_TEST_WHEELS"):
        return Path(there)
    folder = tmp_path_factory.mktemp("wheels")
    run([REPO / "scripts/documents-wheels", folder, "bookworm"], timeout=timedelta(minutes=20))
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A hub with the directory and a department with all that documents stand on, wheels on its disk; four agencies
    without servers."""
    hosts = {
        "trung-tam": [
            {"functions": ["hub_cache", "dns", "pki", "mirror", "antivirus_mirror", "directory", "backup_hub"]}
        ],
        SITE: [{"functions": ["antivirus", "documents", "backup"]}],
    }
    inventory = write_inventory(tmp_path_factory.mktemp("province"), hosts)
    add_agencies(inventory)
    urls = {"documents_wheels_url": f"file://{BROUGHT}/", "documents_scripts_url": f"file://{BROUGHT}/npm/"}
    (inventory / "group_vars/documents.yml").write_text(yaml.safe_dump(urls), encoding="utf-8")
    with own_lab(inventory, "docs", "base", "pki", "dns", "directory", "antivirus") as found:
        if not MINE:
            brought = request.getfixturevalue("wheels")
            there = f"/proc/{found.machines[HOST].init_pid()}/root{BROUGHT}"
            shutil.copytree(brought, there, dirs_exist_ok=True)
        yield found


@pytest.fixture(scope="module")
def inventory(lab: Lab) -> Path:
    return lab.province.folder


@pytest.fixture(scope="module")
def first(lab: Lab, inventory: Path) -> Recap:
    """The role's first run, on a bare host."""
    dry = run_playbook(BOOK, inventory, extra=["--check", "--limit", HOST])
    assert dry.failures() == []
    return run_playbook(BOOK, inventory, extra=["--limit", HOST])


def sh(lab: Lab, command: str, minutes: int = 9) -> str:
    """A shell command on the host with the documents."""
    ran = lab.sh(HOST, ["sh", "-c", command], timeout=timedelta(minutes=minutes))
    assert ran.code == 0, ran
    return ran.stdout.strip()


def prove(inventory: Path, folder: Path) -> list[str]:
    """Log in, upload, read, find, be refused malware, delete; what was not proven."""
    words = ["-e", f"verify_results_dir={folder}", "--limit", f"{HOST},localhost"]
    run_playbook(REPO / "playbooks/verify/documents.yml", inventory, extra=words)
    proofs = json.loads((folder / "documents.json").read_text(encoding="utf-8"))
    return [proof["proof"] for proof in proofs if not proof["ok"] and proof["site"] == SITE]


def test_a_bare_host_gets_documents_and_a_second_run_changes_nothing(first: Recap, inventory: Path) -> None:
    assert first.failures() == []
    second = run_playbook(BOOK, inventory, extra=["--limit", HOST])
    assert second.failures() == []
    assert second.changed() == []
    assert run_playbook(BOOK, inventory, extra=["--check", "--limit", HOST]).changed() == []


def test_a_document_is_taken_read_found_and_malware_is_refused(first: Recap, inventory: Path, tmp_path: Path) -> None:
    assert first.failures() == []
    assert prove(inventory, tmp_path) == []


def test_the_tables_are_those_the_models_ask_for(first: Recap, lab: Lab) -> None:
    assert first.failures() == []
    assert "No changes detected" in sh(lab, "tram-mayan manage makemigrations --check --dry-run tram_practice")


@pytest.mark.parametrize(("module", "unit"), [("wsgi", "mayan-web"), ("celery", "mayan-worker-slow")])
def test_what_cannot_load_fails_the_role_with_the_reason(
    first: Recap, lab: Lab, inventory: Path, module: str, unit: str
) -> None:
    assert first.failures() == []
    file = f"$(echo /opt/mayan/current/venv/lib/python3*/site-packages/mayan/{module}.py)"
    sh(lab, f"cp -a {file} /var/tmp/kept.py && echo 'raise RuntimeError(\"broken on purpose\")' >>{file}")
    sh(lab, f"systemctl kill --signal=KILL {unit}")
    try:
        began = time.monotonic()
        failed = [str(one) for one in run_playbook(BOOK, inventory, extra=["--limit", HOST]).failures()]
        print(f"{unit} that cannot load: the role fails after {time.monotonic() - began:.0f} s")
    finally:
        sh(lab, f"cp -a /var/tmp/kept.py {file}")
    assert len(failed) == 1
    assert unit in failed[0]
    assert "broken on purpose" in failed[0]
    healed = run_playbook(BOOK, inventory, extra=["--limit", HOST])
    assert healed.failures() == []


def test_memory_at_rest_is_within_its_bounds(first: Recap, lab: Lab) -> None:
    assert first.failures() == []
    command = (
        "for pid in $(pgrep -u mayan); do grep -h ^Pss: /proc/$pid/smaps_rollup; done | awk '{s+=$2} END {print s}'"
    )
    pss = int(sh(lab, command)) // 1024
    print(f"Mayan with web, workers and Redis at rest, host of 4 GB: {pss} MB PSS")
    assert pss < 2000


@pytest.mark.parametrize("process", ["mayan-web", "mayan-worker-fast", "mayan-worker-slow", "mayan-redis"])
def test_a_process_that_is_killed_comes_back_and_works(
    first: Recap, lab: Lab, inventory: Path, tmp_path: Path, process: str
) -> None:
    assert first.failures() == []
    sh(lab, f"systemctl kill --kill-whom=all --signal=KILL {process}")
    wait_until(
        f"{process} runs again",
        lambda: lab.sh(HOST, ["systemctl", "is-active", "--quiet", process]).code == 0,
        timedelta(minutes=3),
    )
    assert prove(inventory, tmp_path) == []


def test_without_the_scanner_nothing_is_taken(first: Recap, lab: Lab, inventory: Path, tmp_path: Path) -> None:
    assert first.failures() == []
    sh(lab, "systemctl stop tram-antivirus-watch clamav-daemon.socket clamav-daemon.service")
    try:
        missing = prove(inventory, tmp_path)
    finally:
        sh(lab, "systemctl start clamav-daemon.service tram-antivirus-watch")
    assert len(missing) == 1
    assert "503" in missing[0]
    assert "không quét được mã độc lúc này" in missing[0]


def test_an_upgrade_that_fails_is_taken_back_and_nothing_is_lost(
    first: Recap, lab: Lab, inventory: Path, tmp_path: Path
) -> None:
    """It breaks half way: a table is there that was not, another is gone."""
    assert first.failures() == []
    before = sh(lab, "tram-mayan state")
    release = before.split("wanted ")[1].split()[0]
    sh(
        lab,
        "cat >/tmp/upgrade.py <<'X'\n"
        "import sys\nsys.path.insert(0, '/usr/local/lib/tram-mayan')\n"
        "from tram_documents import database, place\n"
        "real = place.manage\n"
        "def broken(name, *words, **more):\n"
        "    database.psql('CREATE TABLE half (a int); DROP TABLE auth_group CASCADE', 'mayan')\n"
        "    raise place.Trouble('broken on purpose')\n"
        "database.manage = broken\n"
        f"try:\n    database.upgrade('{release}', 'next')\n"
        "except place.Trouble as error:\n    print(error)\nX\n"
        "python3 -B /tmp/upgrade.py",
    )
    assert (
        sh(lab, "runuser -u postgres -- psql -Atc \"SELECT count(*) FROM pg_tables WHERE tablename='half'\" mayan")
        == "0"
    )
    again = run_playbook(BOOK, inventory, extra=["--limit", HOST])
    assert again.failures() == []
    assert sh(lab, "tram-mayan state") == before
    assert prove(inventory, tmp_path) == []
