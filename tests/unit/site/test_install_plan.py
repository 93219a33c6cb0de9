"""What an installation puts on a host."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tram.core.errors import BadInput
from tram.site.install.plan import install_plan
from tram.site.place import Place

SIGNERS = 'centre@lab namespaces="tram-order" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDdNbFqiY6Bk0mXp1mGcDXMFcGvTrYtb\n'


def plan(operator: str = "tram", signers: str = SIGNERS) -> dict[str, bytes]:
    puts = install_plan(
        "lab",
        "huong-khe",
        "huong-khe-srv1",
        operator=operator,
        allowed_signers=signers,
        probes=[("192.0.2.10", 22)],
    )
    return {put.path: put.content for put in puts}


def test_the_host_is_told_who_it_is_as_the_runner_reads_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(plan()["/var/lib/tram/site/config.json"])
    config = Place(tmp_path).config()
    assert (config.signer, config.host, config.probes) == ("centre@lab", "huong-khe-srv1", (("192.0.2.10", 22),))
    assert json.loads(plan()["/var/lib/tram/site/config.json"]).keys() == {"province", "site", "host", "probes"}


@pytest.mark.skipif(shutil.which("visudo") is None, reason="no sudo here")
def test_sudo_accepts_the_rule_and_it_allows_one_command(tmp_path: Path) -> None:
    rule = tmp_path / "rule"
    rule.write_bytes(plan()["/etc/sudoers.d/91-tram-site"])
    rule.chmod(0o440)
    assert subprocess.run(["visudo", "-c", "-f", rule], capture_output=True, check=False).returncode == 0
    assert rule.read_text().splitlines()[-1] == "tram ALL=(root) NOPASSWD: /usr/local/sbin/tram-site exchange"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for name in ("tram-site.service", "tram-site.path"):
        text = plan()[f"/etc/systemd/system/{name}"].replace(b"/usr/local/sbin/tram-site", b"/bin/true")
        (tmp_path / name).write_bytes(text)
    ran = subprocess.run(
        ["systemd-analyze", "verify", *tmp_path.iterdir()], capture_output=True, check=False, text=True
    )
    assert "tram-site" not in ran.stderr, ran.stderr


@pytest.mark.parametrize("operator", ["tram ALL", "ALL\nroot", "%admin", ""])
def test_an_operator_that_sudo_would_read_otherwise_is_refused(operator: str) -> None:
    with pytest.raises(BadInput, match="is not the name of an account"):
        plan(operator)


@pytest.mark.parametrize("signers", ["", SIGNERS.replace("centre@lab", "centre@ha-tinh")])
def test_a_centre_without_a_key_of_its_own_is_refused(signers: str) -> None:
    with pytest.raises(BadInput, match="no public key of the centre of lab"):
        plan(signers=signers)
