"""roles/intrusion, as Ansible templates it: what is watched, and on which ports a ban is in force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).parents[3] / "roles/intrusion"


def ports(**given: Any) -> dict[str, str]:
    """The port of each jail in jail.local."""
    loader = DataLoader()
    variables = {
        **loader.load_from_file(str(ROLE / "vars/main.yml"), trusted_as_template=True),
        **loader.load_from_file(str(ROLE / "defaults/main.yml"), trusted_as_template=True),
        "intrusion_never": ["192.0.2.0/24"],
        "tram_functions": [],
        **given,
    }
    text = trust_as_template((ROLE / "templates/jail.local.j2").read_text())
    jail, found = "", {}
    for line in Templar(loader, variables=variables).template(text).splitlines():
        jail = line[1:-1] if line.startswith("[") else jail
        if line.startswith("port = "):
            found[jail] = line.removeprefix("port = ")
    return found


@pytest.mark.parametrize(("given", "port"), [({}, "22"), ({"firewall_ssh_port": 2222}, "2222")])
def test_a_ban_from_sshd_is_in_force_where_sshd_listens(given: dict[str, int], port: str) -> None:
    assert ports(**given) == {"sshd": port}
