"""What counts as a change that can cut the site off, and what units are told when it is taken back."""

from __future__ import annotations

import pytest

from tram.site.snapshot import Entry, Snapshot
from tram.site.touched import cutting, difference


def host(
    files: dict[str, str], *, active: tuple[str, ...] = (), ruleset: str | None = "", mode: int = 0o644
) -> Snapshot:
    entries = {path: Entry("file", mode, 0, 0, content, ()) for path, content in files.items()}
    return Snapshot(entries, active=list(active), ruleset=ruleset)


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("etc/ssh/sshd_config.d/10-x.conf", "sshd"),
        ("home/tram/.ssh/authorized_keys", "sshd"),
        ("root/.ssh/authorized_keys", "sshd"),
        ("etc/nftables.conf", "firewall"),
        ("etc/iptables/rules.v4", "firewall"),
        ("etc/network/interfaces", "network"),
        ("etc/systemd/network/10-lan.network", "network"),
        ("etc/resolv.conf", "resolver"),
        ("etc/hosts", "resolver"),
        ("etc/shadow", "users"),
        ("etc/sudoers.d/90-tram", "users"),
        ("etc/pam.d/common-auth", "users"),
    ],
)
def test_what_can_cut_a_site_off_is_called_by_its_name(path: str, word: str) -> None:
    assert cutting(host({path: "old"}), host({path: "new"})) == {word: [path]}
    assert cutting(host({}), host({path: "new"})) == {word: [path]}
    assert cutting(host({path: "old"}), host({})) == {word: [path]}


@pytest.mark.parametrize("path", ["etc/motd", "etc/nginx/nginx.conf", "etc/pam.d/dovecot", "etc/postfix/main.cf"])
def test_what_cannot_cut_a_site_off_waits_for_nobody(path: str) -> None:
    assert cutting(host({path: "old"}), host({path: "new"})) == {}


def test_postfix_counts_on_a_host_that_runs_it() -> None:
    path, active = "etc/postfix/main.cf", ("postfix.service",)
    assert cutting(host({path: "old"}, active=active), host({path: "new"}, active=active)) == {"mail": [path]}


def test_an_sshd_that_no_longer_runs_counts_without_any_file() -> None:
    assert cutting(host({}, active=("ssh.service",)), host({})) == {"units": ["ssh.service"]}


def test_rules_in_the_kernel_count_whoever_loaded_them() -> None:
    assert cutting(host({}), host({}, ruleset="table inet filter {}")) == {"firewall": ["the kernel's rules"]}
    assert cutting(host({}), host({}, ruleset=None)) == {}


def test_a_mode_is_a_difference_and_a_time_is_none() -> None:
    assert difference(host({"etc/shadow": "x"}, mode=0o640), host({"etc/shadow": "x"})).changed == ("etc/shadow",)
    old = Snapshot({"etc/motd": Entry("file", 0o644, 0, 0, "x", (1, 2))})
    assert difference(old, Snapshot({"etc/motd": Entry("file", 0o644, 0, 0, "x", (1, 9))})).every == ()
