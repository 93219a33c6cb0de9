"""A real host's answer, judged: what is wrong is found, what is right is left alone, what is not seen is unknown."""

from __future__ import annotations

import json

import pytest

from tram.look import Looked, Seen
from tram_audit.facts import facts_of
from tram_audit.facts_accounts import sudo
from tram_audit.judging import Status, profile_for

from .bare import HOST, flipped, judged, lab, looked, rules


def test_a_bare_host_fails_what_debian_leaves_open_and_nothing_else() -> None:
    found = judged()
    failing = {code for code, verdict in found.items() if verdict.status is Status.FAIL}
    assert failing == {
        *("ssh-no-passwords", "ssh-no-root", "ssh-groups", "ssh-kex", "ssh-macs", "ssh-no-forwarding", "ssh-idle"),
        *(
            "ssh-few-tries",
            "ssh-x11",
            "password-lock",
            "password-quality",
            "password-no-null",
            "su-restricted",
            "umask",
        ),
        *("password-history", "password-age", "account-inactive", "account-logins-logged", "sudo-log", "sudo-timeout"),
        *("sudo-environment", "shell-idle", "login-banner", "cron-users"),
        *("net-no-redirects", "net-no-source-route", "net-rp-filter", "net-martians", "firewall-default-drop"),
        *("net-arp", "net-time-wait", "net-ports", "net-no-autoconf"),
        "firewall-forward-drop",
        *("sudo-terminal", "sudo-noexec", "account-root-terminals", "kernel-values-stay", "updates-lean"),
        *("kernel-ctrl-alt-del", "file-homes", "updates-automatic", "log-bounded", "time-in-step", "integrity-watched"),
        *("log-forwarded", "log-rotated", "log-synced"),
        *("ssh-key-kinds", "ssh-certificate", "ssh-few-sessions", "ssh-banner", "intrusion-banned"),
    }
    assert not [code for code, verdict in found.items() if verdict.status is Status.UNKNOWN]


def test_a_count_of_failures_that_is_cleared_after_the_question_lets_nobody_through() -> None:
    last = "common-auth:auth\trequired\t\t\tpam_permit.so"
    with_it = looked(pam=(last, f"{last}\ncommon-auth:auth sufficient pam_faillock.so authsucc"))
    assert judged(with_it)["pam-denies"].status is Status.PASS


def test_what_a_container_cannot_have_is_not_applicable_and_says_so() -> None:
    verdict = judged()["kernel-apparmor"]
    assert verdict.status is Status.NOT_APPLICABLE
    assert verdict.reason is not None
    assert "container" in verdict.reason.en


def test_on_metal_the_same_control_is_judged() -> None:
    assert judged(looked(system=("virt systemd-nspawn", "virt none")))["kernel-apparmor"].status is Status.FAIL


@pytest.mark.parametrize(
    ("look", "old", "new", "control"),
    [
        ("files", "setid 4755 root:root /usr/bin/su\n", "setid 4755 root:root /opt/su\n", "file-setid"),
        ("modes", "640 root:shadow /etc/shadow\n", "644 root:shadow /etc/shadow\n", "file-shadow"),
        ("modes", "644 root:root /etc/passwd\n", "664 root:root /etc/passwd\n", "file-accounts"),
        ("modes", "644 root:root /etc/passwd\n", "644 tram:root /etc/passwd\n", "file-accounts"),
        ("accounts", "shadow games locked", "shadow games empty", "account-no-empty-password"),
        ("accounts", "/usr/games /usr/sbin/nologin", "/usr/games /bin/sh", "account-no-service-shell"),
        ("accounts", "shadow root set 6", "shadow root set 1", "account-strong-hash"),
        ("accounts", "sudoers valid", "sudoers invalid", "sudo-valid"),
        ("ports", "0.0.0.0:22 ", "0.0.0.0:8099 ", "ports-declared"),
        ("sysctl", "net.ipv4.ip_forward = 0", "net.ipv4.ip_forward = 1", "net-no-forwarding"),
        ("sshd", "changed_since_start none", "changed_since_start /etc/ssh/sshd_config", "ssh-in-effect"),
        ("sshd", "loglevel INFO", "loglevel QUIET", "ssh-pam"),
        ("pam", "sudo:@include common-auth", "sudo:auth sufficient pam_faillock.so authsucc\nsudo:@include common-auth",
         "pam-denies"),
        ("pam", "sudo:@include common-auth", "sudo:auth sufficient pam_permit.so\nsudo:@include common-auth",
         "pam-denies"),
        ("sudo", '{ "username": "tram" }', '{ "username": "mai" }', "sudo-nopasswd sudo-everything"),
        ("units", "NeedDaemonReload=no", "NeedDaemonReload=yes", "service-units-loaded"),
        ("packages", "un  nis", "ii  nis", "service-unwanted"),
        ("apt", "lists_age_days 0", "lists_age_days 30", "updates-security"),
        ("apt", "lists_age_days 0\n", "", "updates-security"),
        ("apt", "reboot no", "security openssl 3.0.17-1\nreboot no",
         "updates-security"),
        ("apt", "AllowInsecureRepositories 0", "AllowInsecureRepositories true", "updates-signed"),
        ("logs", "storage persistent", "storage volatile", "log-kept"),
    ],
)  # fmt: skip
def test_one_fault_fails_its_control_and_no_other(look: str, old: str, new: str, control: str) -> None:
    assert flipped(looked(**{look: (old, new)})) == dict.fromkeys(control.split(), "fail")


@pytest.mark.parametrize(
    ("look", "old", "new"),
    [
        ("ports", "0.0.0.0:22 ", "127.0.0.1:5432 "),
        ("ports", "0.0.0.0:22 ", "198.51.100.10:993 "),
        ("sysctl", "net.ipv4.tcp_syncookies = 1", "net.ipv4.tcp_syncookies = 1\nkernel.other = 5"),
    ],
)
def test_what_is_right_raises_nothing(look: str, old: str, new: str) -> None:
    assert flipped(looked(**{look: (old, new)})) == {}


@pytest.mark.parametrize("look", sorted(looked().seen))
def test_a_look_without_an_answer_makes_its_controls_unknown_and_never_right(look: str) -> None:
    found = flipped(looked(**{look: Seen("", 124, "it did not end in time")}))
    controls = rules().controls
    asked = {code for code, control in controls.items() if look in {check.look for check in control.check}}
    before = judged()
    assert {code for code, status in found.items() if status == "pass"} == set()
    for code in asked & set(before):
        if before[code].status is Status.PASS:
            assert found[code] == "unknown", code


@pytest.mark.parametrize("look", sorted(set(looked().seen) - {"certificates"}))
def test_an_empty_answer_is_never_right(look: str) -> None:
    found = judged(looked(**{look: Seen("", 0)}))
    asked = {code: {check.look for check in control.check} for code, control in rules().controls.items()}
    assert [code for code, one in found.items() if asked[code] == {look} and one.status is Status.PASS] == []
    assert [code for code in flipped(looked(**{look: Seen("", 0)})) if found[code].status is Status.PASS] == []


def test_a_host_that_was_not_reached_is_unknown_in_everything_that_could_apply() -> None:
    silent = Looked(HOST, "it does not answer", {name: Seen("", -1, "broke off") for name in looked().seen}, {}, 1.0)
    found = judged(silent)
    assert {verdict.status for verdict in found.values()} <= {Status.UNKNOWN, Status.NOT_APPLICABLE}
    assert found["ssh-no-root"].reason is not None
    assert "it does not answer" in found["ssh-no-root"].reason.en


def test_the_loaded_ruleset_counts_and_not_that_there_is_one() -> None:
    hook = '"type": "filter", "hook": "input", "prio": 0, "policy": "drop"'
    chain = f'{{"chain": {{"family": "inet", "table": "f", "name": "in", {hook}}}}}'
    rule = '{"rule": {"family": "inet", "table": "f", "chain": "in", "expr": [{"accept": null}]}}'
    good = looked(firewall=Seen(f'{{"nftables": [{chain}]}}', 0))
    open_all = looked(firewall=Seen(f'{{"nftables": [{chain}, {rule}]}}', 0))
    only_old = looked(firewall=Seen(f'{{"nftables": [{chain.replace("inet", "ip")}]}}', 0))
    statuses = [judged(one)["firewall-default-drop"].status for one in (good, open_all, only_old)]
    assert statuses == [Status.PASS, Status.FAIL, Status.FAIL]


def test_a_stack_is_read_with_its_includes_in_order() -> None:
    stack = facts_of(looked()).known["pam"]["sudo auth"]
    assert any("pam_unix" in line for line in stack)


def test_no_hash_of_a_password_leaves_the_host() -> None:
    assert "$" not in looked().seen["accounts"].text


def test_each_kind_of_host_has_its_profile() -> None:
    province = lab()
    named = {
        host.inventory_name: profile_for(rules(), site, host).name for site in province.sites for host in site.hosts
    }
    assert named == {"trung-tam-hub1": "hub", "so-noi-vu-srv1": "mail", "huong-khe-srv1": "old-machine"}


def test_what_an_old_machine_cannot_bear_is_named_with_its_reason() -> None:
    verdict = judged(profile="old-machine")["log-audit"]
    assert verdict.status is Status.NOT_APPLICABLE
    assert verdict.reason is not None
    assert "old CPU" in verdict.reason.en


def test_a_host_that_names_a_file_to_command_a_terminal_is_only_read() -> None:
    evil = "/opt/\x1b]0;owned\x07\x9b2J\u202egnp.exe"
    answer = looked(files=("setid 4755 root:root /usr/bin/su\n", f"setid 4755 root:root {evil}\n"))
    words = "".join(judged(answer)["file-setid"].evidence)
    assert "/opt/\ufffd]0;owned\ufffd\ufffd2J\ufffdgnp.exe" in words
    assert not set(words) & set("\x1b\x07\x9b\u202e")


def test_of_sudos_settings_for_all_the_last_one_counts_and_what_is_for_some_is_theirs() -> None:
    given = {
        "Defaults": [
            {"Options": [{"noexec": True}]},
            {"Options": [{"requiretty": True}]},
            {"Binding": [{"username": "tram"}, {"username": "root"}], "Options": [{"requiretty": False}]},
            {"Options": [{"noexec": False}]},
        ]
    }
    found = sudo(json.dumps(given))
    assert found["default requiretty"] == ("True",)
    assert found["default requiretty for tram for root"] == ("False",)
    assert found["default noexec"] == ("False",)
