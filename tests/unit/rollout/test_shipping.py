"""What many hosts have in common is worked out once for all of them, and one host's mistake is its own."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from tram.bundle import BundleInvalid
from tram.ledger import Job, Ledger
from tram.register import load
from tram.rollout import shipping
from tram.rollout.policy import Policy

from .province import new_rollout

pytestmark = pytest.mark.slow

REPO = Path(__file__).parents[3]
HOSTS = ["trung-tam-hub1", "so-noi-vu-srv1", "huong-khe-srv1"]
PLAYBOOK = """
- name: Greet
  hosts: mail
  gather_facts: false
  tasks:
    - name: Say something
      ansible.builtin.debug:
        msg: "{{ greeting | default('hello') }}"
"""


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A register and a playbook of the test's own."""
    monkeypatch.setenv("TRAM_SECRETS", str(tmp_path / "secrets"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "inventory"
    shutil.copytree(REPO / "inventories/lab", folder, ignore=shutil.ignore_patterns("__pycache__"))
    config = (REPO / "ansible.cfg").read_text(encoding="utf-8")
    (tmp_path / "ansible.cfg").write_text(config.replace("= inventories/", f"= {REPO}/inventories/"), encoding="utf-8")
    (tmp_path / "greet.yml").write_text(PLAYBOOK, encoding="utf-8")
    return folder


def jobs(ledger: Ledger, inventory: Path, run: str) -> list[Job]:
    return [
        Job(run, host, host.rpartition("-")[0], str(inventory.parent / "greet.yml"), str(inventory), ledger.url)
        for host in HOSTS
    ]


def store(ledger: Ledger, inventory: Path) -> shipping._Store:
    return shipping._Store(load(inventory), ledger)


def test_the_bundles_of_a_wave_are_put_together_with_the_first_of_them(ledger: Ledger, inventory: Path) -> None:
    run = new_rollout(ledger, [HOSTS])
    first, second, _third = jobs(ledger, inventory, run)
    found = store(ledger, inventory)
    assert found.content(first).tree.files["inventory.yml"]
    assert set(found.ready) == set(HOSTS[1:])
    kept = found.ready[second.host][1]
    assert found.content(second) is kept


def test_bundles_of_a_later_wave_are_not_put_together_before_it_begins(ledger: Ledger, inventory: Path) -> None:
    run = new_rollout(ledger, [HOSTS[:2], HOSTS[2:]])
    found = store(ledger, inventory)
    found.content(jobs(ledger, inventory, run)[0])
    assert set(found.ready) == {HOSTS[1]}


def test_a_mistake_in_one_hosts_bundle_is_that_hosts_only(ledger: Ledger, inventory: Path) -> None:
    (inventory / "host_vars").mkdir()
    (inventory / f"host_vars/{HOSTS[2]}.yml").write_text("greeting: \"{{ lookup('file', '/no/such/file') }}\"\n")
    run = new_rollout(ledger, [HOSTS])
    found = store(ledger, inventory)
    first, second, third = jobs(ledger, inventory, run)
    assert found.content(first).tree != found.content(second).tree
    with pytest.raises(BundleInvalid, match="/no/such/file"):
        found.content(third)


def test_who_does_not_answer_is_called_for_as_long_as_the_rules_say(ledger: Ledger, inventory: Path) -> None:
    run = new_rollout(ledger, [HOSTS], Policy(reach=timedelta(seconds=20)))
    found = store(ledger, inventory)
    assert {found.policy(job).reach for job in jobs(ledger, inventory, run)} == {timedelta(seconds=20)}
    ledger.begin("beside", province="lab", playbook="greet.yml", hosts=[(HOSTS[2], "huong-khe")])
    (job,) = [job for job in jobs(ledger, inventory, "beside") if job.host == HOSTS[2]]
    assert found.policy(job).reach == timedelta(seconds=30), "inventories/lab/rollout.yml"


def test_a_register_that_changed_is_read_again(ledger: Ledger, inventory: Path) -> None:
    before = shipping._stamp(inventory)
    assert shipping._stamp(inventory) == before
    path = inventory / "sites/huong-khe.yml"
    path.write_text(path.read_text())
    assert shipping._stamp(inventory) > before
