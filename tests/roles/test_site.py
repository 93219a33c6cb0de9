"""Every role on real hosts: dry run, converge, run again, harden, dry run again, verify, refuse wrong input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tram.lab.lab import Lab
from tram.proof.results import read_proofs, verdict
from tram.push.playbook import Recap, run_playbook

from ..conftest import LAB, REPO, HardenRuns, SiteRuns

VERIFY = sorted((REPO / "playbooks/verify").glob("*.yml"))
REFUSED = [
    pytest.param(file, case, id=f"{file.stem}-{number}-{case['role']}")
    for file in sorted((REPO / "tests/errors").glob("roles-*.yml"))
    for number, case in enumerate(yaml.safe_load(file.read_text()))
]


def test_a_dry_run_on_bare_hosts_passes_and_touches_nothing(site_runs: SiteRuns) -> None:
    assert site_runs.dry_on_bare.failures() == []
    assert site_runs.dry_on_bare.code == 0
    assert site_runs.touched_by_dry == []


def test_every_role_converges_on_every_host(site_runs: SiteRuns) -> None:
    assert site_runs.first.failures() == []
    assert site_runs.first.code == 0
    print_recap("first run", site_runs.first)


def test_a_second_run_changes_nothing(site_runs: SiteRuns) -> None:
    assert site_runs.second.code == 0
    assert site_runs.second.changed() == []
    print_recap("second run", site_runs.second)


def test_hardening_says_before_what_it_would_do_and_touches_nothing(harden_runs: HardenRuns) -> None:
    assert harden_runs.dry_before.failures() == []
    assert harden_runs.touched_by_dry == []


def test_every_host_is_hardened(harden_runs: HardenRuns) -> None:
    assert harden_runs.first.failures() == []
    assert harden_runs.first.code == 0
    print_recap("hardening", harden_runs.first)


def test_hardening_again_changes_nothing(harden_runs: HardenRuns) -> None:
    assert harden_runs.second.code == 0
    assert harden_runs.second.changed() == []
    print_recap("hardening again", harden_runs.second)


def test_dry_runs_on_hardened_hosts_would_change_nothing(harden_runs: HardenRuns) -> None:
    """Neither hardening nor the services would: neither takes back what the other did."""
    for dry in (harden_runs.dry_after, harden_runs.site_dry_after):
        assert dry.failures() == []
        assert dry.changed() == []


@pytest.mark.parametrize("playbook", VERIFY, ids=lambda playbook: playbook.stem)
def test_verify_proves_the_service_as_a_user_would_on_hardened_hosts(
    hardened: Lab, playbook: Path, tmp_path: Path
) -> None:
    recap = run_playbook(playbook, LAB, extra=["-e", f"verify_results_dir={tmp_path}"])
    assert recap.failures() == []
    assert recap.code == 0
    for told in tmp_path.glob("*.json"):
        proofs = read_proofs(told)
        assert verdict(proofs) is True, [proof for proof in proofs if proof.ok is not True]


@pytest.fixture(scope="session")
def refusals(managed: Lab, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recap, list[str]]:
    """Every wrong case a play of its own in one run; what each was refused with, "" when it was not."""
    folder = tmp_path_factory.mktemp("refused")
    told = folder / "told.json"
    words = "[failed.msg | default('')] + failed.results | default([]) | map(attribute='msg', default='') | list"
    said = f"{{%- set failed = ansible_failed_result -%}}{{{{ refused | default([]) + [({words}) | join(' ')] }}}}"
    keep = {"refused": said}
    passed = {"refused": "{{ refused | default([]) + [''] }}"}
    plays = [
        {
            "hosts": "so-noi-vu-srv1",
            "gather_facts": False,
            "vars": case["vars"],
            "tasks": [
                {
                    "block": [
                        {"ansible.builtin.include_role": {"name": case["role"]}},
                        {"ansible.builtin.set_fact": passed},
                    ],
                    "rescue": [{"ansible.builtin.set_fact": keep}],
                }
            ],
        }
        for _, case in (param.values for param in REFUSED)
    ]
    tell = {"name": "Tell", "ansible.builtin.copy": {"content": "{{ refused | to_json }}", "dest": str(told)}}
    last = {"hosts": "so-noi-vu-srv1", "gather_facts": False, "tasks": [{**tell, "delegate_to": "localhost"}]}
    playbook = folder / "refused.yml"
    playbook.write_text(yaml.safe_dump([*plays, last], allow_unicode=True))
    recap = run_playbook(playbook, LAB)
    return recap, json.loads(told.read_text())


@pytest.mark.parametrize(
    ("number", "case"), [pytest.param(n, param.values[1], id=param.id) for n, param in enumerate(REFUSED)]
)
def test_wrong_variables_are_refused_before_anything_is_touched(
    refusals: tuple[Recap, list[str]], number: int, case: dict[str, Any]
) -> None:
    recap, told = refusals
    assert case["message"] in told[number]
    assert recap.changed() in ([], ["so-noi-vu-srv1: Tell"])


def print_recap(what: str, recap: Recap) -> None:
    """The figures, for whoever reads the log."""
    for host, counts in recap.stats.items():
        print(
            f"{what}: {host}: ok={counts['ok']} changed={counts['changed']} executed={recap.executions().get(host, 0)}"
        )
