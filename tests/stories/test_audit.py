"""The audit looks at a lab: it changes nothing, finds what was planted by hand; one odd host is no other's business."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tram.core.run import Ran, run
from tram.lab.cgroup import hierarchies
from tram.lab.lab import Lab, down, up
from tram.push.playbook import run_playbook
from tram_audit.loading import load_rules

from ..conftest import LAB, REPO, take_over

NAME = f"audit{os.getpid() % 100000}"
DISTRICT, DEPARTMENT, HUB = "huong-khe-srv1", "so-noi-vu-srv1", "trung-tam-hub1"

ALL_FIXED = "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y upgrade"

FAULTS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "audit_faults.yml").read_text(encoding="utf-8"))[
    "faults"
]
# What a lab's host cannot have right, each with the reason.
NOT_HERE: dict[str, str] = {}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Three hosts the centre has taken over, with no role applied."""
    try:
        found = up(LAB, NAME, print)
        take_over(found)
        yield found
    finally:
        down(NAME)


def audit(home: Path, *words: str) -> tuple[Ran, dict[str, Any]]:
    """`tram audit --json`, as an operator types it."""
    environment = {**os.environ, "TRAM_LAB": NAME, "LC_ALL": "en", "XDG_STATE_HOME": str(home)}
    argv = [REPO / ".venv/bin/tram", "audit", "-i", LAB, "--security", REPO / "security", "--json", *words]
    ran = run(argv, check=False, timeout=timedelta(minutes=3), env=environment)
    assert ran.code in (0, 1), ran.stderr
    return ran, json.loads(ran.stdout)


def standing(found: dict[str, Any], host: str, status: str) -> set[str]:
    (one,) = [one for one in found["hosts"] if one["host"] == host]
    return {verdict["control"] for verdict in one["verdicts"] if verdict["status"] == status}


def failing(found: dict[str, Any], host: str) -> set[str]:
    return standing(found, host, "fail")


def fingerprint(lab: Lab, host: str) -> dict[str, str]:
    """Mode, owner, times and content of every file of the host but its logs and /run, where each login is noted."""
    look = (
        "find / -xdev ! -path '/var/log/*' ! -path /run -printf '%p\\t%m %U:%G %s %T@ %C@\\n';"
        "find /etc /var /root /home /srv /opt -xdev -type f ! -path '/var/log/*' -exec sha256sum {} + |"
        " sed 's/^\\([^ ]*\\)  \\(.*\\)/# \\2\\t\\1/'"
    )
    said = lab.sh(host, ["sh", "-c", look]).stdout
    return dict(line.split("\t", 1) for line in said.splitlines() if "\t" in line)


def cpu_seconds(lab: Lab, host: str) -> float:
    """What a host and everything on it has used."""
    stats = [hierarchy / lab.machine(host).tag / "cpu.stat" for hierarchy in hierarchies()]
    words = next((stat.read_text().split() for stat in stats if stat.exists()), None)
    return int(words[words.index("usage_usec") + 1]) / 1e6 if words else float("nan")


def test_the_audit_changes_nothing_and_knows_everything_about_a_bare_host(lab: Lab, tmp_path: Path) -> None:
    before, line, cpu = fingerprint(lab, DISTRICT), lab.link("huong-khe"), cpu_seconds(lab, DISTRICT)
    ran, found = audit(tmp_path, "--limit", DISTRICT)
    cost, used, after = lab.link("huong-khe"), cpu_seconds(lab, DISTRICT) - cpu, fingerprint(lab, DISTRICT)
    carried = {way: getattr(cost, way)["bytes"] - getattr(line, way)["bytes"] for way in ("down", "up")}
    packets = sum(getattr(cost, way)["packets"] - getattr(line, way)["packets"] for way in ("down", "up"))
    print(f"{carried['down']} bytes down, {carried['up']} up, {packets} packets, {ran.stderr.strip()},", end=" ")
    print(f"{used:.2f} CPU seconds")
    assert {path for path in before | after if before.get(path) != after.get(path)} == set()
    assert found["hosts"][0]["counts"]["unknown"] == 0
    assert found["hosts"][0]["error"] == ""
    assert "updates-security" in failing(found, DISTRICT)
    assert sum(carried.values()) <= 60_000


def apply(*playbooks: str) -> None:
    """On the two hosts that are hardened."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAM_LAB", NAME)
        for playbook in playbooks:
            recap = run_playbook(REPO / f"playbooks/{playbook}.yml", LAB, extra=["--limit", f"{HUB},{DISTRICT}"])
            assert recap.failures() == []


@pytest.fixture(scope="module")
def hardened(lab: Lab) -> Lab:
    """The district's host, with every fix there is and started since, and the hub that keeps its records: hardened."""
    lab.set_link("huong-khe", down_bps=100_000_000, up_bps=100_000_000, rtt=0.002, loss=0.0)
    apply("base", "pki")
    fixed = lab.sh(DISTRICT, ["sh", "-c", ALL_FIXED], timeout=timedelta(minutes=15))
    assert fixed.code == 0, fixed.stderr
    lab.power_cut(DISTRICT)
    lab.power_on(DISTRICT)
    apply("harden")
    return lab


def test_every_planted_fault_is_found_and_nothing_else(hardened: Lab, tmp_path: Path) -> None:
    lab = hardened
    _, clean = audit(tmp_path, "--limit", DISTRICT)
    assert failing(clean, DISTRICT) == set(NOT_HERE), "false findings on a host nobody touched"
    assert clean["hosts"][0]["counts"]["unknown"] == 0
    right = standing(clean, DISTRICT, "pass")
    planted: set[str] = set()
    for fault in FAULTS:
        controls = {fault["control"]} if isinstance(fault["control"], str) else set(fault["control"])
        assert controls <= right, f"{controls - right}: nothing to break on this host"
        done = lab.sh(DISTRICT, ["sh", "-c", fault["plant"]])
        assert done.code == 0, f"{fault}: {done.stderr}"
        planted |= controls
    ran, found = audit(tmp_path, "--limit", DISTRICT, "--html", str(tmp_path / "bao-cao.html"))
    assert failing(found, DISTRICT) - failing(clean, DISTRICT) == planted
    assert {change["control"] for change in found["changes"] if change["now"] == "fail"} == planted
    assert found["hosts"][0]["counts"]["unknown"] == 0
    assert "/usr/local/bin/lau-la" in (tmp_path / "bao-cao.html").read_text(encoding="utf-8")
    assert len(FAULTS) >= 40
    print(f"{len(FAULTS)} faults planted, {len(planted)} controls failed for them, no other; exit {ran.code}")


def test_refused_sudo_a_banner_and_a_hanging_look_are_one_clear_word_each_and_the_rest_is_audited(
    lab: Lab, tmp_path: Path
) -> None:
    rules = load_rules(REPO / "security").controls.values()
    lab.sh(DEPARTMENT, ["sh", "-c", "mv /etc/sudoers.d/90-tram /root/"])
    lab.sh(HUB, ["sh", "-c", "sed -i '1i echo Chào mừng quý khách' /home/tram/.bashrc || exit 1"])
    hang = "printf '#!/bin/sh\\nexec sleep 600\\n' > /usr/local/bin/cvtsudoers; chmod 0755 /usr/local/bin/cvtsudoers"
    lab.sh(HUB, ["sh", "-c", hang])
    ran, found = audit(tmp_path)
    hosts = {one["host"]: one for one in found["hosts"]}
    assert ran.code == 1
    assert hosts[DEPARTMENT]["error"] == (
        "sudo is refused: its operator needs sudo without a password (tram host bootstrap)"
    )
    by_handshake = {control.id for control in rules if {check.look for check in control.check} == {"wire"}}
    assert standing(found, DEPARTMENT, "pass") <= by_handshake
    assert hosts[HUB]["error"] == ""
    unknown = [one for one in hosts[HUB]["verdicts"] if one["status"] == "unknown"]
    assert {one["control"] for one in unknown} == {
        control.id for control in rules if "sudo" in {check.look for check in control.check}
    }
    assert {line for one in unknown for line in one["evidence"]} == {"sudo: it did not end in time"}
    assert hosts[DISTRICT]["counts"]["unknown"] == 0
