"""The audit looks at a lab: it changes nothing, finds what was planted by hand; one odd host is no other's business."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tram.core.run import Ran, run
from tram.lab.cgroup import hierarchies
from tram.lab.lab import Lab, down, up

from ..conftest import LAB, REPO, take_over

NAME = f"audit{os.getpid() % 100000}"
DISTRICT, DEPARTMENT, HUB = "huong-khe-srv1", "so-noi-vu-srv1", "trung-tam-hub1"

SECURITY_LIST = "/var/lib/apt/lists/hub_debian-security_dists_bookworm-security"
"""The lab's image has none: a host that was never told of fixes fails for that alone."""
ALL_FIXED = (
    f"printf 'Label: Debian-Security\\n' > {SECURITY_LIST}_InRelease;"
    f"printf 'Package: bash\\nVersion: 1.0\\n' > {SECURITY_LIST}_main_binary-amd64_Packages"
)

# What is planted by shell, and the controls that must fail for it, and only they.
FAULTS = {
    "install -m 4755 /bin/true /usr/local/bin/lau-la": ["file-setid"],
    "touch /usr/local/etc/chung && chmod 0666 /usr/local/etc/chung": ["file-world-writable"],
    "touch /srv/vo-chu && chown 4242:4242 /srv/vo-chu": ["file-owned"],
    "chmod 0777 /var/tmp": ["file-sticky"],
    "chmod 0644 /etc/shadow": ["file-shadow"],
    "chmod 0664 /etc/passwd": ["file-accounts"],
    "useradd --non-unique --uid 0 --no-create-home toor": ["account-one-root", "account-unique-ids"],
    "useradd --no-create-home -s /usr/sbin/nologin trong && passwd -q -d trong": ["account-no-empty-password"],
    "usermod -s /bin/sh games": ["account-no-service-shell"],
    "gpasswd -a games disk": ["account-powerful-groups"],
    "umask 337 && echo 'games ALL=(root) NOPASSWD: /bin/ls' > /etc/sudoers.d/choi": ["sudo-nopasswd"],
    "umask 337 && echo 'news ALL=(ALL) ALL' > /etc/sudoers.d/tin": ["sudo-everything"],
    "umask 337 && echo 'irc ALL=(root) /bin/ls, !/bin/sh' > /etc/sudoers.d/cam": ["sudo-no-negation"],
    "sed -i '1i auth sufficient pam_permit.so' /etc/pam.d/sudo": ["pam-denies"],
    "printf 'Match User tram\\n LogLevel QUIET\\n' > /etc/ssh/sshd_config.d/99-im.conf": ["ssh-pam", "ssh-in-effect"],
    "chmod 0775 /etc/cron.d": ["file-cron"],
    "systemd-run -q --unit=la python3 -m http.server 8099": ["ports-declared"],
    "systemd-run -q --unit=hong --property=RemainAfterExit=yes false; true": ["service-none-failed"],
    "mkdir -p /etc/systemd/system/dbus.service.d && "
    "echo '[Service]' > /etc/systemd/system/dbus.service.d/sua.conf": ["service-units-loaded"],
    "echo 'Acquire::AllowInsecureRepositories \"true\";' > /etc/apt/apt.conf.d/99la": ["updates-signed"],
    f"printf 'Package: bash\\nVersion: 99.0\\n' > {SECURITY_LIST}_main_binary-amd64_Packages": ["updates-security"],
}  # fmt: skip


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


def failing(found: dict[str, Any], host: str) -> set[str]:
    (one,) = [one for one in found["hosts"] if one["host"] == host]
    return {verdict["control"] for verdict in one["verdicts"] if verdict["status"] == "fail"}


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


def test_every_planted_fault_is_found_and_nothing_else(lab: Lab, tmp_path: Path) -> None:
    assert lab.sh(DISTRICT, ["sh", "-c", ALL_FIXED]).code == 0
    _, clean = audit(tmp_path, "--limit", DISTRICT)
    assert "updates-security" not in failing(clean, DISTRICT)
    for fault in FAULTS:
        done = lab.sh(DISTRICT, ["sh", "-c", fault])
        assert done.code == 0, f"{fault}: {done.stderr}"
    ran, found = audit(tmp_path, "--limit", DISTRICT, "--html", str(tmp_path / "bao-cao.html"))
    planted = {control for controls in FAULTS.values() for control in controls}
    assert failing(found, DISTRICT) - failing(clean, DISTRICT) == planted
    assert failing(clean, DISTRICT) <= failing(found, DISTRICT)
    assert {change["control"] for change in found["changes"]} == planted
    assert found["hosts"][0]["counts"]["unknown"] == 0
    assert "/usr/local/bin/lau-la" in (tmp_path / "bao-cao.html").read_text(encoding="utf-8")
    print(f"{len(FAULTS)} faults planted, {len(planted)} controls failed for them, no other; exit {ran.code}")


def test_refused_sudo_a_banner_and_a_hanging_look_are_one_clear_word_each_and_the_rest_is_audited(
    lab: Lab, tmp_path: Path
) -> None:
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
    assert hosts[DEPARTMENT]["counts"]["pass"] == 1  # ssh-ciphers: the handshake alone shows it
    assert hosts[HUB]["error"] == ""
    unknown = [one for one in hosts[HUB]["verdicts"] if one["status"] == "unknown"]
    assert {one["control"] for one in unknown} == {"sudo-nopasswd", "sudo-everything", "sudo-no-negation", "sudo-pty"}
    assert {line for one in unknown for line in one["evidence"]} == {"sudo: it did not end in time"}
    assert hosts[DISTRICT]["counts"]["unknown"] == 0
