"""Firewall and sandboxes: only declared doors answer, services still work, what runs is on disk, undo is exact."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tram.lab.lab import Lab
from tram.push.playbook import Recap, run_playbook

from ..conftest import LAB, REPO

HOST = "huong-khe-srv1"
CONTROLS = [
    control["id"]
    for file in ("services.yml", "network.yml")
    for control in yaml.safe_load((REPO / "security/baselines" / file).read_text(encoding="utf-8"))["controls"]
    if control.get("fix", {}).get("role") in ("firewall", "sandbox")
    and control["id"].startswith(("firewall-", "sandbox-"))
]
OFF = ["-e", yaml.safe_dump({"control_off": CONTROLS}, default_flow_style=True, width=10**6).strip()]
# A daemon on the network may be left with this much of 10 (systemd-analyze security).
MOST_EXPOSED = 4.0
FAULTS = {
    "the table was removed": "nft delete table inet tram",
    "every table was removed": "nft flush ruleset",
    "a rule that lets everything in": "nft insert rule inet tram input accept",
    "a door opened by hand": "nft insert rule inet tram input tcp dport 3306 accept",
    "an address in a set": "nft add element inet tram centre4 '{ 198.18.0.7 }'",
    "a chain without its policy": "nft chain inet tram input '{ policy accept; }'",
    "the unit stopped": "systemctl stop nftables",
    "not there after a boot": "systemctl disable nftables",
    "another file, not loaded": "sed -i 's/policy drop/policy accept/' /etc/nftables.conf",
    "a file that is gone": "rm /etc/nftables.d/tram-forward.nft",
    "a drop-in that is gone": "rm /etc/systemd/system/dovecot.service.d/60-tram-*.conf; systemctl restart dovecot",
    "a drop-in nobody read": "touch /etc/systemd/system/named.service.d/60-tram-sandbox-dns.conf",
}


def run(folder: Path, roles: list[str], *extra: str, verify: bool = False, limit: str = "all") -> Recap:
    """Both roles on the hosts, or what proves them."""
    proofs = [{"ansible.builtin.include_role": {"name": role, "tasks_from": "verify"}} for role in roles]
    play = {"hosts": "all", "become": True, "gather_facts": False} | ({"tasks": proofs} if verify else {"roles": roles})
    playbook = folder / "play.yml"
    playbook.write_text(yaml.safe_dump([play]), encoding="utf-8")
    return run_playbook(playbook, LAB, extra=["--limit", limit, *extra])


def exposure(lab: Lab, host: str) -> dict[str, float]:
    """How much each daemon may still do, by systemd's own count."""
    said = lab.sh(host, ["systemd-analyze", "security", "--no-pager"]).stdout
    names = r"postfix(?:@-)?|dovecot|rspamd|redis-server|nginx|php\S+-fpm|named|chrony|apt-cacher-ng"
    units = rf"^((?:{names})\.service) +([0-9.]+)"
    return {name: float(level) for name, level in re.findall(units, said, re.MULTILINE)}


def etc(lab: Lab, host: str) -> str:
    """A name for /etc as it stands, in its own history."""
    done = "etckeeper commit test >/dev/null 2>&1; git -C /etc rev-parse HEAD^{tree}"
    return lab.sh(host, ["sh", "-c", done]).stdout.strip()


def tables(lab: Lab, host: str, which: str = "ruleset") -> str:
    """What is loaded, whatever was counted meanwhile."""
    loaded = lab.sh(host, ["sh", "-c", f"command -v nft >/dev/null && nft --stateless list {which}; true"]).stdout
    return re.sub(r"counter packets \d+ bytes \d+", "counter", loaded)


def ours(lab: Lab) -> str:
    """Our own table as it is loaded; the bans of fail2ban come and go beside it."""
    return tables(lab, HOST, "table inet tram")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plays")


@pytest.fixture(scope="module")
def shut(hardened: Lab, folder: Path) -> Lab:
    """Every host with both roles, as hardening left it."""
    assert run(folder, ["sandbox", "firewall"]).failures() == []
    for host in hardened.machines:
        for unit, level in sorted(exposure(hardened, host).items()):
            print(f"{host}: {unit}: exposure {level}")
    return hardened


def test_daemons_may_do_little_else_than_their_work(shut: Lab) -> None:
    for host in shut.machines:
        assert {unit: level for unit, level in exposure(shut, host).items() if level > MOST_EXPOSED} == {}


def test_only_declared_doors_answer_and_all_of_them(shut: Lab, folder: Path) -> None:
    assert run(folder, ["sandbox", "firewall"], verify=True).failures() == []


@pytest.mark.long
def test_what_was_changed_by_hand_or_left_half_done_is_healed_and_others_tables_stay(shut: Lab, folder: Path) -> None:
    good = ours(shut)
    for fault, command in FAULTS.items():
        shut.sh(HOST, ["sh", "-c", command])
        shut.sh(HOST, ["nft", "add", "table", "inet", "theirs"])
        healed = run(folder, ["sandbox", "firewall"], limit=HOST)
        assert healed.failures() == [], fault
        assert healed.changed() != [], fault
        assert "table inet theirs" in tables(shut, HOST), fault
        shut.sh(HOST, ["nft", "delete", "table", "inet", "theirs"])
        assert ours(shut) == good, fault
    assert run(folder, ["sandbox"], verify=True, limit=HOST).failures() == []
    assert run(folder, ["sandbox", "firewall"], limit=HOST).changed() == []


@pytest.mark.long
def test_a_ruleset_that_stood_there_before_is_put_aside_and_comes_back(shut: Lab, folder: Path) -> None:
    """Alone on one host, from and to the state without our firewall."""
    assert run(folder, ["firewall"], *OFF, limit=HOST).failures() == []
    theirs = 'flush ruleset\\ntable inet filter {\\n chain input {\\n tcp dport 9999 drop comment "theirs"\\n }\\n}\\n'
    install = f"apt-get -qq install -y nftables >/dev/null 2>&1; printf '{theirs}' >/etc/nftables.conf"
    # As on a host that never had ours: what was kept of a control that was put back is no news of what stands now.
    shut.sh(HOST, ["sh", "-c", f"rm -f /var/lib/tram/controls/firewall-*; {install}; systemctl enable --now nftables"])
    before, tree = tables(shut, HOST), etc(shut, HOST)
    assert "theirs" in before
    assert run(folder, ["firewall"], limit=HOST).failures() == []
    assert "theirs" not in tables(shut, HOST)
    assert run(folder, ["firewall"], *OFF, limit=HOST).failures() == []
    assert (tables(shut, HOST), etc(shut, HOST)) == (before, tree)
    gone = "systemctl disable --now nftables; apt-get -qq purge -y nftables >/dev/null 2>&1"
    shut.sh(HOST, ["sh", "-c", f"{gone}; rm -f /var/lib/tram/controls/firewall-*"])
    assert run(folder, ["firewall"], limit=HOST).failures() == []
