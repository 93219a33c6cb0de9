"""Every role on real hosts: dry run, converge, run again, harden, dry run again, verify, refuse wrong input."""

from __future__ import annotations

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


@pytest.mark.parametrize(("file", "case"), REFUSED)
def test_wrong_variables_are_refused_before_anything_is_touched(
    managed: Lab, file: Path, case: dict[str, Any], tmp_path: Path
) -> None:
    play = {
        "hosts": "so-noi-vu-srv1",
        "gather_facts": False,
        "roles": [{"role": case["role"]}],
        "vars": case["vars"],
    }
    playbook = tmp_path / "refused.yml"
    playbook.write_text(yaml.safe_dump([play], allow_unicode=True))
    recap = run_playbook(playbook, LAB)
    assert recap.code != 0
    assert case["message"] in " ".join(recap.failures())
    assert recap.changed() == []


def print_recap(what: str, recap: Recap) -> None:
    """The figures, for whoever reads the log."""
    for host, counts in recap.stats.items():
        print(
            f"{what}: {host}: ok={counts['ok']} changed={counts['changed']} executed={recap.executions().get(host, 0)}"
        )
