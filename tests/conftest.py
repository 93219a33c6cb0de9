"""The lab that role tests and stories share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tram.act.bootstrap import Entry, bootstrap
from tram.act.key import make_key
from tram.act.outcome import Outcome
from tram.act.target import targets
from tram.lab.lab import Lab, down, up
from tram.push.playbook import Recap, run_playbook

from .watch import ArgvWatch

# The same examples each time, and no failure because a machine is busy.
settings.register_profile("tram", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tram")

REPO = Path(__file__).parent.parent
LAB = REPO / "inventories/lab"


@pytest.fixture(scope="session")
def repo() -> Path:
    """The checkout."""
    return REPO


@pytest.fixture(autouse=True)
def mask() -> Iterator[None]:
    """What a program of ours narrows for its own process (tram.site) stays with the test that called it."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(scope="session")
def province_lab() -> Iterator[Lab]:
    """The default province in a box, bare hosts, for the whole session.

    $TRAM_TEST_LAB names a lab of yours that is up already: it is used as it is and left standing.
    """
    if mine := os.environ.get("TRAM_TEST_LAB"):
        os.environ["TRAM_LAB"] = mine
        yield up(LAB, mine, print)
        return
    name = f"test{os.getpid() % 100000}"
    os.environ["TRAM_LAB"] = name
    try:
        yield up(LAB, name, print)
    finally:
        down(name)


def take_over(lab: Lab) -> None:
    """Bootstrap every host of a lab, as `tram host bootstrap --all` does."""
    province = lab.province
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAM_LAB", lab.paths.name)
        key = make_key(province.secrets_dir, f"tram@{province.code}")
        results = bootstrap(targets(province, [], every=True), Entry(agent=False), key)
    assert [result for result in results if result.outcome is not Outcome.DONE] == []


@pytest.fixture(scope="session")
def managed(province_lab: Lab) -> Lab:
    """The lab with every host taken over by the centre."""
    take_over(province_lab)
    return province_lab


@dataclass(frozen=True, slots=True)
class FirstRun:
    """playbooks/site.yml on bare hosts; what could be read while it made and used every secret: its log (as of -v) and
    all command lines."""

    recap: Recap
    log: str
    argv: set[bytes]


@pytest.fixture(scope="session")
def first_run(managed: Lab, tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    """Every role on every host, the way `ansible-playbook` runs them, without `tram`."""
    log = tmp_path_factory.mktemp("log") / "ansible.log"
    with ArgvWatch() as watch:
        recap = run_playbook(REPO / "playbooks/site.yml", LAB, extra=["-v"], env={"ANSIBLE_LOG_PATH": str(log)})
    return FirstRun(recap, log.read_text(), watch.seen)


@dataclass(frozen=True, slots=True)
class SiteRuns:
    """playbooks/site.yml three times on one lab, from bare hosts on; what the dry run on bare hosts touched."""

    dry_on_bare: Recap
    touched_by_dry: list[str]
    first: Recap
    second: Recap


@pytest.fixture(scope="session")
def site_runs(managed: Lab, request: pytest.FixtureRequest) -> SiteRuns:
    """A dry run before the first run, and a run after it."""
    site = REPO / "playbooks/site.yml"
    before = _fingerprints(managed)
    dry = run_playbook(site, LAB, extra=["--check"])
    after = _fingerprints(managed)
    first: FirstRun = request.getfixturevalue("first_run")
    return SiteRuns(
        dry_on_bare=dry,
        touched_by_dry=[host for host in before if before[host] != after[host]],
        first=first.recap,
        second=run_playbook(site, LAB),
    )


@pytest.fixture(scope="session")
def converged(managed: Lab, request: pytest.FixtureRequest) -> Lab:
    """The lab with every role applied; one of yours ($TRAM_TEST_LAB) is taken for that as it is."""
    if "TRAM_TEST_LAB" not in os.environ:
        first: FirstRun = request.getfixturevalue("first_run")
        assert first.recap.failures() == []
    return managed


@dataclass(frozen=True, slots=True)
class HardenRuns:
    """playbooks/harden.yml run four times on a lab with every service; then a dry run of site.yml, which must find
    nothing of its own undone."""

    dry_before: Recap
    touched_by_dry: list[str]
    first: Recap
    second: Recap
    dry_after: Recap
    site_dry_after: Recap


@pytest.fixture(scope="session")
def harden_runs(converged: Lab) -> HardenRuns:
    """The baseline on every host, the way `ansible-playbook` runs it, without `tram`."""
    harden, before = REPO / "playbooks/harden.yml", _fingerprints(converged)
    dry = run_playbook(harden, LAB, extra=["--check"])
    after = _fingerprints(converged)
    return HardenRuns(
        dry_before=dry,
        touched_by_dry=[host for host in before if before[host] != after[host]],
        first=run_playbook(harden, LAB),
        second=run_playbook(harden, LAB),
        dry_after=run_playbook(harden, LAB, extra=["--check"]),
        site_dry_after=run_playbook(REPO / "playbooks/site.yml", LAB, extra=["--check"]),
    )


@pytest.fixture(scope="session")
def hardened(converged: Lab, request: pytest.FixtureRequest) -> Lab:
    """The lab with every role applied and hardened; one of yours ($TRAM_TEST_LAB) is taken for that as it is."""
    if "TRAM_TEST_LAB" not in os.environ:
        runs: HardenRuns = request.getfixturevalue("harden_runs")
        assert runs.first.failures() == []
    return converged


def _fingerprints(lab: Lab) -> dict[str, str]:
    """What a run may change on each host: files of /etc, packages, units."""
    look = "find /etc -type f -exec sha256sum {} + | sort; dpkg -l; systemctl list-unit-files --no-pager"
    return {host: lab.sh(host, ["sh", "-c", look]).stdout for host in lab.machines}
