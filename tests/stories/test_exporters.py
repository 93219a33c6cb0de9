"""What hosts tell about themselves, read as Prometheus would, on Debian 12 and 13: healthy, dying, cut off."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tram.lab.lab import Lab
from tram.push.playbook import Recap, run_playbook

from ..conftest import REPO
from ..person import wait_until
from ..small_lab import own_lab, write_inventory

pytestmark = [pytest.mark.lab, pytest.mark.long]

HUB, HOST = "trung-tam-hub1", "so-noi-vu-srv1"
BOOK = REPO / "playbooks/exporter.yml"
READINGS = REPO / "tests/unit/exporters/smart"
STUB = "/usr/local/sbin/smartctl"
HOSTS = {
    "trung-tam": [{"functions": ["hub_cache", "dns", "pki", "watch_hub"]}],
    "so-noi-vu": [{"functions": ["watch_site"], "suite": "trixie"}],
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A hub on Debian 12 and one department on Debian 13, both to be watched."""
    inventory = write_inventory(tmp_path_factory.mktemp("province"), HOSTS)
    with own_lab(inventory, "exp", "base", "pki", "dns") as found:
        yield found


@pytest.fixture(scope="module")
def inventory(lab: Lab) -> Path:
    return lab.province.folder


@pytest.fixture(scope="module")
def applied(lab: Lab, inventory: Path) -> tuple[Recap, Recap, Recap]:
    """A dry run on bare hosts, the first run, the second."""
    assert lab
    return (
        run_playbook(BOOK, inventory, extra=["--check"]),
        run_playbook(BOOK, inventory),
        run_playbook(BOOK, inventory),
    )


def told(lab: Lab, host: str) -> str:
    """What node_exporter says on a host, after what is due has run."""
    lab.sh(host, ["systemctl", "start", "tram-exporters.service"])
    said = lab.sh(
        host,
        [
            "python3",
            "-c",
            "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9100/metrics').read().decode())",
        ],
    )
    return said.stdout


def flags(text: str) -> set[str]:
    found = (one for family in text_string_to_metric_families(text) for one in family.samples)
    return {one.labels["signal"] for one in found if one.name == "tram_hardware_flag_ratio"}


def value(text: str, name: str, **labels: str) -> float | None:
    """One value, or None when it is absent."""
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if one.name == name and labels.items() <= one.labels.items():
                return one.value
    return None


def test_the_role_converges_and_a_second_run_changes_nothing(applied: tuple[Recap, Recap, Recap]) -> None:
    dry, first, second = applied
    assert (dry.failures(), first.failures(), second.failures()) == ([], [], [])
    assert second.changed() == []


def test_the_role_proves_itself(applied: tuple[Recap, Recap, Recap], inventory: Path) -> None:
    assert applied
    assert run_playbook(REPO / "playbooks/verify/exporter.yml", inventory).failures() == []


@pytest.mark.parametrize("host", [HUB, HOST])
def test_what_is_told_has_no_finding_of_promtool(lab: Lab, applied: tuple[Recap, Recap, Recap], host: str) -> None:
    assert applied
    ours = "\n".join(re.findall(r"^(?:# (?:HELP|TYPE) )?tram_.*$", told(lab, host), re.MULTILINE)) + "\n"
    said = subprocess.run(["promtool", "check", "metrics"], input=ours, capture_output=True, text=True, check=False)
    assert said.stdout + said.stderr == ""


def test_without_a_disk_the_hardware_is_unknown_and_not_good(lab: Lab, applied: tuple[Recap, Recap, Recap]) -> None:
    assert applied
    text = told(lab, HOST)
    assert value(text, "tram_host_risk_unknown", reason="no_disks") == 1
    assert value(text, "tram_host_risk_ratio") is None


def inject(lab: Lab, reading: str) -> None:
    """Give the host a disk: a smartctl that says this."""
    scan = json.dumps({"smartctl": {"exit_status": 0}, "devices": [{"name": "/dev/sda", "type": "sat"}]})
    script = f"#!/bin/sh\ncase $1 in --scan-open) echo '{scan}';; *) cat <<'END'\n{reading}\nEND\nesac\n"
    there = Path(f"/proc/{lab.machines[HOST].init_pid()}/root{STUB}")
    there.write_text(script, encoding="utf-8")
    there.chmod(0o755)
    lab.sh(HOST, ["rm", "-f", "/var/lib/prometheus/node-exporter/tram_hardware.prom"])


def test_a_dying_disk_is_told_and_garbage_is_unknown(lab: Lab, applied: tuple[Recap, Recap, Recap]) -> None:
    assert applied
    try:
        inject(lab, (READINGS / "scrutiny--smart-ata-date2.json").read_text(encoding="utf-8"))
        text = told(lab, HOST)
        assert flags(text) == {"pending_sectors", "offline_uncorrectable"}
        assert 0.6 < (value(text, "tram_host_risk_ratio") or 0) < 0.8
        inject(lab, '{"smartctl": {"exit_')
        text = told(lab, HOST)
        assert value(text, "tram_disk_readable", disk="sda") == 0
        assert value(text, "tram_host_risk_unknown", reason="no_json") == 1
        assert value(text, "tram_exporter_readings_failed", reading="smart sda") == 1
        assert value(text, "tram_host_risk_ratio") is None
    finally:
        lab.sh(HOST, ["rm", "-f", STUB])


def test_a_cut_is_kept_at_the_site_under_its_cause(lab: Lab, applied: tuple[Recap, Recap, Recap]) -> None:
    assert applied
    assert value(told(lab, HOST), "tram_link_up", target="hub") == 1
    before = value(told(lab, HOST), "tram_link_outage_seconds_total", cause="link") or 0
    lab.cut("so-noi-vu")
    try:
        wait_until(
            "the outage is counted",
            lambda: (value(told(lab, HOST), "tram_link_outage_seconds_total", cause="link") or 0) > before,
            within=timedelta(minutes=4),
        )
        assert value(told(lab, HOST), "tram_link_up", target="hub") == 0
        assert value(told(lab, HOST), "tram_link_rtt_seconds", target="hub") is None
    finally:
        lab.mend("so-noi-vu")
