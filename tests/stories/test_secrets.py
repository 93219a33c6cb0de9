"""A secret is in the vault and in root-only files, and nowhere else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tram.lab.lab import Lab

from ..conftest import FirstRun

pytestmark = [pytest.mark.lab, pytest.mark.apart]

# Certificates, requests and public keys of all kinds; the rest of the directory is secret.
PUBLIC = (".pub", ".crt", ".cert", ".csr", ".txt", "known_hosts_ca")


@pytest.fixture(scope="module")
def secrets(converged: Lab) -> set[str]:
    """Every password and private key line that the roles made on the centre's side, by content."""
    found = set()
    for file in converged.province.secrets_dir.rglob("*"):
        if file.is_file() and not file.name.endswith(PUBLIC):
            assert file.stat().st_mode & 0o077 == 0, f"{file} can be read by others"
            found |= {line for line in file.read_text().splitlines() if len(line) > 11 and "-----" not in line}
    assert found
    return found


def test_no_secret_is_in_what_ansible_printed_or_logged(first_run: FirstRun, secrets: set[str]) -> None:
    assert len(first_run.log) > 10_000
    assert [len(secret) for secret in secrets if secret in first_run.log] == []


def test_no_secret_was_ever_on_a_command_line(first_run: FirstRun, secrets: set[str]) -> None:
    assert len(first_run.argv) > 500
    lines = b"\n".join(first_run.argv).decode(errors="replace")
    assert [len(secret) for secret in secrets if secret in lines] == []


def test_no_secret_is_in_a_hosts_journal_or_in_a_file_others_can_read(converged: Lab, secrets: set[str]) -> None:
    # The patterns come by standard input into a root-only file: the search itself puts them on no command line.
    script = """umask 077; cat >/run/patterns
    journalctl --no-pager -o cat | grep -F -f /run/patterns | sed 's/.*/journal/'
    find /etc /var /home /opt /srv /usr/local /tmp -xdev -type f -perm /004 -print0 | xargs -0 grep -lF -f /run/patterns
    rm /run/patterns"""
    for host, machine in converged.machines.items():
        ran = machine.sh(["bash", "-c", script], stdin="\n".join(secrets) + "\n", timeout=timedelta(minutes=3))
        assert ran.stdout == "", f"{host}: a secret can be read in: {ran.stdout}"
