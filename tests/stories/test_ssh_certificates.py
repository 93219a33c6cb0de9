"""Nobody answers yes to a fingerprint: hosts are known by the certificate the province gave their key, and no other."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tram.lab.lab import Lab
from tram.push.playbook import Recap, run_playbook

from ..small_lab import own_lab, write_inventory

pytestmark = [pytest.mark.lab, pytest.mark.apart]

HOST, OTHER = "so-noi-vu-srv1", "trung-tam-hub1"
KEY = "/etc/ssh/ssh_host_ed25519_key"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The hub and one site that runs Debian 13, with role ssh on both."""
    hosts: dict[str, list[dict[str, str]]] = {"trung-tam": [{}], "so-noi-vu": [{"suite": "trixie"}]}
    inventory = write_inventory(tmp_path_factory.mktemp("province"), hosts)
    with own_lab(inventory, "cert") as found:
        assert converge(inventory, inventory.parent).failures() == []
        yield found


def converge(inventory: Path, folder: Path, *extra: str) -> Recap:
    """Role ssh on every host, as `ansible-playbook` runs it."""
    play = {"hosts": "all", "become": True, "gather_facts": False, "roles": [{"role": "ssh"}]}
    playbook = folder / "ssh.yml"
    playbook.write_text(yaml.safe_dump([play]), encoding="utf-8")
    return run_playbook(playbook, inventory, extra=list(extra))


def ssh(lab: Lab, known: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Log in to HOST as the centre does, on a connection of its own, with these known hosts and no others."""
    path = folder / "known"
    path.write_text(known, encoding="utf-8")
    options = ["BatchMode=yes", "ControlPath=none", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={path}"]
    words = [word for option in (*options, "GlobalKnownHostsFile=/dev/null") for word in ("-o", option)]
    argv = ["ssh", "-F", str(lab.paths.state / "ssh_config"), *words, HOST, "true"]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


def authority(lab: Lab) -> str:
    """What the centre's ssh knows of the province's authority."""
    return (lab.province.secrets_dir / "ssh/known_hosts_ca").read_text(encoding="utf-8")


def test_the_certificate_alone_is_enough(lab: Lab, tmp_path: Path) -> None:
    assert ssh(lab, authority(lab), tmp_path).returncode == 0


def test_without_pin_and_authority_nobody_is_believed(lab: Lab, tmp_path: Path) -> None:
    assert "Host key verification failed" in ssh(lab, "", tmp_path).stderr


def test_a_revoked_key_is_refused_whatever_its_certificate_says(lab: Lab, tmp_path: Path) -> None:
    key = " ".join(lab.sh(HOST, ["cat", f"{KEY}.pub"]).stdout.split()[:2])
    seen = ssh(lab, f"{authority(lab)}@revoked * {key}\n", tmp_path)
    assert seen.returncode != 0
    assert "revoked" in seen.stderr.lower()


def test_another_hosts_key_and_certificate_open_nothing(lab: Lab, tmp_path: Path) -> None:
    stolen = {end: lab.sh(OTHER, ["cat", KEY + end]).stdout for end in ("", ".pub", "-cert.pub")}
    own = {end: lab.sh(HOST, ["cat", KEY + end]).stdout for end in stolen}
    try:
        install(lab, stolen)
        seen = ssh(lab, authority(lab), tmp_path)
        assert seen.returncode != 0
        assert "Host key verification failed" in seen.stderr
    finally:
        install(lab, own)
    assert ssh(lab, authority(lab), tmp_path).returncode == 0


def test_a_host_set_up_anew_is_trusted_only_with_a_new_certificate(lab: Lab, tmp_path: Path) -> None:
    certificate = lab.sh(HOST, ["cat", f"{KEY}-cert.pub"]).stdout
    lab.sh(HOST, ["sh", "-c", f"rm -f {KEY} {KEY}.pub && ssh-keygen -q -t ed25519 -N '' -f {KEY}"])
    install(lab, {"-cert.pub": certificate})
    assert "Host key verification failed" in ssh(lab, authority(lab), tmp_path).stderr

    # Whoever set it up read its new key at the console and pinned it, as bootstrap does; the rest follows by itself.
    pins = lab.paths.state / "known_hosts"
    kept = [line for line in pins.read_text(encoding="utf-8").splitlines() if not line.startswith(HOST)]
    new = " ".join(lab.sh(HOST, ["cat", f"{KEY}.pub"]).stdout.split()[:2])
    pins.write_text("\n".join([*kept, f"{HOST},198.51.100.10 {new}", ""]), encoding="utf-8")
    assert converge(lab.province.folder, tmp_path, "--limit", HOST).failures() == []
    assert ssh(lab, authority(lab), tmp_path).returncode == 0


def install(lab: Lab, files: dict[str, str]) -> None:
    """Put host keys there and have sshd read them; sessions live on."""
    for end, content in files.items():
        lab.sh(HOST, ["sh", "-c", f"umask 077 && printf %s '{content}' >{KEY}{end}"])
    lab.sh(HOST, ["systemctl", "reload", "ssh"])
