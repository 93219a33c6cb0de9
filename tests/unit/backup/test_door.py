"""The keys by which hosts come to the hub's door: what a host hands in lets it reach its own repository, no more."""

from __future__ import annotations

from pathlib import Path

import jinja2
from ansible.plugins.filter.core import regex_search

from ...role_module import ROLES

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHon"
HOST = "huong-khe-srv1"


def authorized(keys: Path) -> list[str]:
    """The lines that let somebody in."""
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined)  # as Ansible has it
    environment.filters |= {"comment": "# {}".format, "regex_search": regex_search}
    environment.tests["exists"] = lambda path: Path(path).exists()
    file = ROLES / "backup_hub/templates/etc/tram-backup-hub/authorized_keys.j2"
    text = environment.from_string(file.read_text(encoding="utf-8")).render(
        ansible_managed="managed", groups={"backup": [HOST]}, __backup_hub_lets_in=[HOST], tram_secrets_dir=str(keys),
        backup_hub_directory="/var/lib/tram-backup", backup_hub_quota_bytes=1,
        lookup=lambda _plugin, path: Path(path).read_text(encoding="utf-8").rstrip(),
    )  # fmt: skip
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_a_host_that_hands_in_two_keys_is_let_in_by_one(tmp_path: Path) -> None:
    (tmp_path / "backup/keys").mkdir(parents=True)
    handed = tmp_path / f"backup/keys/{HOST}.pub"
    handed.write_text(f"{KEY}\nssh-ed25519 AAAAunbound\n", encoding="utf-8")
    (line,) = authorized(tmp_path)
    assert line.startswith('restrict,command="borg serve --append-only --restrict-to-repository ')
    assert line.endswith(f'/{HOST} --storage-quota 1" {KEY} {HOST}')
    handed.write_text(f'command="sh" {KEY}\n', encoding="utf-8")
    assert authorized(tmp_path) == []
