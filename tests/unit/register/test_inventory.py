"""Ansible and pyinfra see the register: the same groups, hosts and variables, through their own programs."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tram.core.run import Ran, run
from tram.register import load
from tram.register.ansible import everywhere, hosts
from tram.register.inventory import all_groups
from tram.register.pyinfra import groups

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
LAB, HA_TINH = ROOT / "inventories" / "lab", ROOT / "inventories" / "ha-tinh"
BIN = Path(sys.executable).parent


def ansible_inventory(inventory: Path, *words: str, check: bool = True, **env: str) -> Ran:
    return run([BIN / "ansible-inventory", "-i", inventory, *words], cwd=ROOT, env={**os.environ, **env}, check=check)


@pytest.fixture(scope="module")
def listed() -> dict[str, Any]:
    done = ansible_inventory(LAB, "--list", TRAM_LAB="t1", TRAM_SECRETS="/run/secrets")
    assert done.stderr == ""
    # Ansible marks text that comes from outside, so that it is never taken for a template.
    listed: dict[str, Any] = json.loads(done.stdout, object_hook=lambda found: found.get("__ansible_unsafe", found))
    return listed


def test_ansible_sees_the_groups_of_the_contract(listed: dict[str, Any]) -> None:
    members = {group: found.get("hosts", []) for group, found in listed.items() if group != "_meta"}
    every = ["huong-khe-srv1", "so-noi-vu-srv1", "trung-tam-hub1"]
    assert {group: sorted(found) for group, found in members.items() if found} == {
        "hub": ["trung-tam-hub1"],
        "tier_province": ["trung-tam-hub1"],
        "tier_department": ["so-noi-vu-srv1"],
        "tier_district": ["huong-khe-srv1"],
        "site_trung_tam": ["trung-tam-hub1"],
        "site_so_noi_vu": ["so-noi-vu-srv1"],
        "site_huong_khe": ["huong-khe-srv1"],
        "hub_cache": ["trung-tam-hub1"],
        "dns": every,
        "antivirus": every,
        "mirror": ["trung-tam-hub1"],
        "antivirus_mirror": ["trung-tam-hub1"],
        "pki": ["trung-tam-hub1"],
        "mail": every,
        "webmail": ["so-noi-vu-srv1", "trung-tam-hub1"],
        "pilot": ["so-noi-vu-srv1"],
        "link_fibre": ["so-noi-vu-srv1"],
        "link_adsl": ["huong-khe-srv1"],
        "suite_bookworm": every,
    }


def test_ansible_sees_the_variables_of_the_contract(listed: dict[str, Any]) -> None:
    found = dict(listed["_meta"]["hostvars"]["huong-khe-srv1"])
    sites = found.pop("tram_sites")
    accounts = found.pop("mail_accounts")
    assert found == {
        "ansible_host": "203.0.113.10",
        "ansible_user": "tram",
        "ansible_ssh_common_args": "-F /var/lib/tram/lab/t1/ssh_config",
        "ansible_control_path_dir": "/run/tram/lab/t1/cp",
        "tram_province": "lab",
        "tram_province_name": "Tỉnh trong hộp",
        "tram_lab": True,
        "tram_domain": "tinh.example",
        "tram_secrets_dir": "/run/secrets",
        "tram_site": "huong-khe",
        "tram_site_name": "Huyện Hương Khê",
        "tram_tier": "district",
        "tram_site_domain": "huong-khe.tinh.example",
        "tram_site_network": "203.0.113.0/28",
        "tram_site_networks": ["192.0.2.0/24", "198.51.100.0/26", "203.0.113.0/28"],
        "tram_is_hub": False,
        "tram_fqdn": "srv1.huong-khe.tinh.example",
        "tram_ram_mb": 2048,
        "tram_cores": 2,
        "tram_year": 2007,
        "tram_suite": "bookworm",
        "tram_functions": ["dns", "antivirus", "mail"],
        "tram_hub_host": "trung-tam-hub1",
        "tram_hub_address": "192.0.2.10",
        "tram_hub_fqdn": "hub1.tinh.example",
        "tram_link": {"class": "adsl", "down_bps": 4000000, "up_bps": 512000, "rtt_ms": 60.0, "loss_percent": 0.5},
    }
    assert [site["code"] for site in sites] == ["trung-tam", "so-noi-vu", "huong-khe"]
    assert sites[2] == {
        "code": "huong-khe",
        "name": "Huyện Hương Khê",
        "tier": "district",
        "parent": "trung-tam",
        "provider": "Nhà mạng địa phương",
        "domain": "huong-khe.tinh.example",
        "network": "203.0.113.0/28",
        "mail_host": "huong-khe-srv1",
        "mail_address": "203.0.113.10",
        "mail_fqdn": "srv1.huong-khe.tinh.example",
        "is_hub": False,
    }
    assert [account["user"] for account in accounts] == ["van-thu", "lanh-dao", "chuyen-vien"]
    assert all(set(account) == {"user", "name", "quota_bytes"} for account in accounts)


def test_a_host_of_a_real_province_must_be_the_one_that_was_pinned() -> None:
    province = load(HA_TINH)
    authority = province.secrets_dir / "ssh/known_hosts_ca"  # or one whose certificate the province's ssh CA signed
    assert everywhere(province)["ansible_ssh_common_args"].startswith(
        f"-o 'UserKnownHostsFile={HA_TINH}/known_hosts {authority}' -o StrictHostKeyChecking=yes -o IdentityFile="
    )


def test_the_graph_of_ha_tinh_has_thirty_two_sites() -> None:
    done = ansible_inventory(HA_TINH, "--graph")
    assert done.stdout.count("|--@site_") == 32
    assert done.stderr == ""


def test_ansible_fails_with_every_error_of_a_bad_register(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    shutil.copytree(LAB, bad)
    site = bad / "sites" / "huong-khe.yml"
    site.write_text(site.read_text(encoding="utf-8").replace("district", "distrct").replace("adsl", "asdl"), "utf-8")
    done = ansible_inventory(bad, "--graph", check=False)
    assert done.code != 0
    assert 'sites/huong-khe.yml:3: unknown tier "distrct"; did you mean "district"?' in done.stderr
    assert 'unknown link class "asdl"; did you mean "adsl"?' in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_pyinfra_sees_the_same_groups() -> None:
    province = load(LAB)
    found = groups(LAB)
    assert set(found) == {*all_groups(province), "all"}
    assert found["webmail"] == ["trung-tam-hub1", "so-noi-vu-srv1"]
    by_name = {name: names for name, names, _ in hosts(province)}
    for group in all_groups(province):
        assert found[group] == [name for name, names in by_name.items() if group in names]


def test_pyinfra_itself_reads_the_door() -> None:
    done = run([BIN / "pyinfra", LAB / "pyinfra_inventory.py", "debug-inventory"], cwd=ROOT)
    text = done.stdout + done.stderr
    assert "[huong-khe-srv1]" in text
    assert '"ssh_strict_host_key_checking": "yes"' in text
    assert '"ssh_hostname": "203.0.113.10"' in text


def test_pyinfra_fails_with_every_error_and_no_traceback(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    shutil.copytree(LAB, bad)
    (bad / "sites" / "huong-khe.yml").write_text("code: huong-khe\n", encoding="utf-8")
    done = run([BIN / "pyinfra", bad / "pyinfra_inventory.py", "debug-inventory"], cwd=ROOT, check=False)
    text = done.stdout + done.stderr
    assert done.code != 0
    assert '"name" is missing' in text
    assert '"network" is missing' in text
    assert "Traceback" not in text


def test_the_doors_are_thin() -> None:
    for door in [*ROOT.glob("inventories/plugins/*.py"), *ROOT.glob("inventories/*/pyinfra_inventory.py")]:
        assert len(door.read_text(encoding="utf-8").splitlines()) <= 60, door
