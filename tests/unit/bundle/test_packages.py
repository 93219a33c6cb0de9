"""What a role installs is known at the centre before the role is delivered."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tram.bundle.packages import packages_of
from tram.core.errors import BadInput
from tram.register import load

REPO = Path(__file__).parents[3]
INSTALLS = re.compile(r"builtin\.apt:\n(?:\s+#.*\n)*\s+(?:name|pkg|deb):(?!.*purge)")


def test_every_role_that_installs_says_what() -> None:
    silent = []
    for role in sorted(path for path in (REPO / "roles").iterdir() if (path / "tasks").is_dir()):
        texts = [path.read_text(encoding="utf-8") for path in (role / "tasks").rglob("*.yml")]
        if any(map(INSTALLS.search, texts)):
            said = role / "meta/tram.yml"
            if not said.is_file() or "\npackages:" not in said.read_text(encoding="utf-8"):
                silent.append(role.name)
    assert silent == []


@pytest.mark.slow
def test_each_host_of_a_playbook_gets_what_its_roles_install_there(tmp_path: Path) -> None:
    province = load(REPO / "inventories/lab")
    hosts = [host for site in province.sites for host in site.hosts]
    found = packages_of(REPO / "playbooks/site.yml", province, hosts, secrets=tmp_path)
    assert "apt-cacher-ng" in found["trung-tam-hub1"]
    assert "rspamd" in found["so-noi-vu-srv1"]
    assert "rspamd" not in found["huong-khe-srv1"], "too little memory"
    assert {"postfix", "bind9", "clamav-milter", "age"} <= set(found["huong-khe-srv1"])
    assert not any(" " in name for names in found.values() for name in names)


@pytest.mark.slow
def test_what_is_no_name_of_a_package_is_an_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "roles/bad/meta").mkdir(parents=True)
    (tmp_path / "roles/bad/tasks").mkdir()
    (tmp_path / "roles/bad/tasks/main.yml").write_text("- ansible.builtin.debug: {msg: a}\n")
    (tmp_path / "roles/bad/meta/tram.yml").write_text('packages:\n  - "{{ [tram_ram_mb] }}"\n  - a;b\n')
    config = (REPO / "ansible.cfg").read_text(encoding="utf-8").replace("= inventories/", f"= {REPO}/inventories/")
    (tmp_path / "ansible.cfg").write_text(config, encoding="utf-8")
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks/bad.yml").write_text("- hosts: mail\n  gather_facts: false\n  roles: [bad]\n")
    province = load(REPO / "inventories/lab")
    with pytest.raises(BadInput) as refused:
        packages_of(tmp_path / "playbooks/bad.yml", province, province.hub.hosts, secrets=tmp_path)
    assert re.findall(r"tram\.yml:(\d)", refused.value.message) == ["2", "3"]
