"""A bare host becomes a managed one; one that is not what it was is refused; one that is silent is named."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tram.core.run import Ran, run
from tram.lab.lab import Lab, down, up

from ..conftest import LAB, REPO

pytestmark = [pytest.mark.lab, pytest.mark.apart]

NAME = f"bare{os.getpid() % 100000}"
DISTRICT, DEPARTMENT, HUB = "huong-khe-srv1", "so-noi-vu-srv1", "trung-tam-hub1"


@pytest.fixture(scope="module")
def bare() -> Iterator[Lab]:
    """A lab nobody has touched yet."""
    try:
        yield up(LAB, NAME, print)
    finally:
        down(NAME)


def bootstrap(*arguments: str) -> Ran:
    """`tram host bootstrap`, as an operator types it."""
    argv = [REPO / ".venv/bin/tram", "host", "bootstrap", "--inventory", LAB, *arguments]
    return run(argv, check=False, timeout=timedelta(minutes=3), env={**os.environ, "TRAM_LAB": NAME, "LC_ALL": "en"})


def outcomes(ran: Ran) -> dict[str, dict[str, Any]]:
    return {row["host"]: row for row in json.loads(ran.stdout)}


def test_a_dry_run_says_what_would_change_and_changes_nothing(bare: Lab) -> None:
    ran = bootstrap(DISTRICT, "--dry-run", "--json")
    assert ran.code == 0
    assert outcomes(ran)[DISTRICT]["changes"]
    assert bare.sh(DISTRICT, ["id", bare.province.operator]).code != 0


def test_a_host_reachable_by_root_password_only_is_taken_over_and_the_password_is_nowhere_to_be_seen(bare: Lab) -> None:
    bare.sh(DISTRICT, ["rm", "/root/.ssh/authorized_keys"])
    password_file = bare.paths.state / "root_password"
    ran = bootstrap(DISTRICT, "--password-file", str(password_file), "--json")
    assert ran.code == 0, ran.stdout + ran.stderr
    assert outcomes(ran)[DISTRICT]["outcome"] == "done"
    password = password_file.read_text().strip()
    assert password not in ran.stdout + ran.stderr
    assert password not in bare.sh(DISTRICT, ["journalctl", "--no-pager"]).stdout
    ssh = ["ssh", "-F", bare.paths.state / "ssh_config", DISTRICT, "sudo", "-n", "id", "-u"]
    assert run(ssh).stdout == "0\n"


def test_a_second_run_finds_nothing_to_do(bare: Lab) -> None:
    assert bootstrap(DISTRICT, "--json").code == 0
    ran = bootstrap(DISTRICT, "--json")
    assert ran.code == 0
    assert outcomes(ran)[DISTRICT]["changes"] == []


def test_a_host_whose_identity_changed_is_refused_and_nothing_is_sent_to_it(bare: Lab) -> None:
    key = "/etc/ssh/ssh_host_ed25519_key"
    bare.sh(DEPARTMENT, ["sh", "-c", f"rm {key}*; ssh-keygen -q -t ed25519 -N '' -f {key}; systemctl restart ssh"])
    ran = bootstrap(DEPARTMENT, "--json", "--accept-new")
    assert ran.code == 1
    problem = outcomes(ran)[DEPARTMENT]["problem"]
    assert problem["kind"] == "IdentityChanged"
    assert problem["message"].count("SHA256:") == 2
    assert problem["hint"]
    assert bare.sh(DEPARTMENT, ["id", bare.province.operator]).code != 0


def test_a_host_that_does_not_answer_is_named_and_the_others_go_on(bare: Lab) -> None:
    bare.power_cut(DISTRICT)
    try:
        ran = bootstrap("--all", "--json")
    finally:
        bare.power_on(DISTRICT)
    assert ran.code == 1
    assert outcomes(ran)[DISTRICT]["outcome"] == "not reached"
    assert outcomes(ran)[HUB]["outcome"] == "done"


def test_the_example_province_passes_and_its_graph_shows_32_sites() -> None:
    ha_tinh = REPO / "inventories/ha-tinh"
    assert run([REPO / ".venv/bin/tram", "sites", "check", ha_tinh], cwd=REPO).code == 0
    graph = run([REPO / ".venv/bin/ansible-inventory", "-i", ha_tinh, "--graph"], cwd=REPO).stdout
    assert graph.count("@site_") == 32


def test_pyinfra_sees_the_same_hosts_as_ansible() -> None:
    listed = run([REPO / ".venv/bin/ansible-inventory", "-i", LAB, "--list"], cwd=REPO).stdout
    door = Path("inventories/lab/pyinfra_inventory.py")
    seen = run(
        [REPO / ".venv/bin/pyinfra", "-y", door, "debug-inventory"], cwd=REPO, env={**os.environ, "TRAM_LAB": NAME}
    )
    for host in json.loads(listed)["_meta"]["hostvars"]:
        assert host in seen.stdout + seen.stderr
