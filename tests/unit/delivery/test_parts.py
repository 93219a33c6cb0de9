"""The small promises: hours, pauses, what may come back, what is remembered, what ssh's last words mean."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from tram.core.errors import BadInput, TramError
from tram.delivery import returned
from tram.delivery.line import Barred, LineLost, NoRunner
from tram.delivery.memory import HostMemory, TreeMemory
from tram.delivery.policy import Hours, Policy, policy_for
from tram.delivery.ssh import SshCarrier
from tram.register import Province, load

from .bench import REPO, Bench


@pytest.fixture(scope="module")
def province() -> Province:
    return load(REPO / "inventories/lab")


def test_hours_over_night_are_open_on_both_sides_of_midnight() -> None:
    night = Hours(time(18), time(6, 30))
    assert night.opens(datetime(2026, 11, 21, 16, 0, tzinfo=UTC)) is None  # 23:00 in Viet Nam
    assert night.opens(datetime(2026, 11, 21, 23, 29, tzinfo=UTC)) is None  # 06:29
    assert night.opens(datetime(2026, 11, 21, 23, 30, tzinfo=UTC)) == datetime(2026, 11, 22, 11, 0, tzinfo=UTC)


def test_hours_by_day_open_the_same_day_or_the_next() -> None:
    day = Hours(time(9), time(17))
    assert day.opens(datetime(2026, 11, 21, 1, 0, tzinfo=UTC)) == datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
    assert day.opens(datetime(2026, 11, 21, 9, 59, tzinfo=UTC)) is None
    assert day.opens(datetime(2026, 11, 21, 10, 0, tzinfo=UTC)) == datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


def test_pauses_double_and_differ_and_are_bounded() -> None:
    policy, chance = Policy(first_pause=timedelta(seconds=2), longest_pause=timedelta(seconds=30)), random.Random(1)
    for attempt, whole in ((1, 2), (2, 4), (4, 16), (5, 30), (500, 30)):
        pauses = {policy.pause(attempt, chance).total_seconds() for _ in range(50)}
        assert len(pauses) > 40
        assert whole / 2 <= min(pauses) <= max(pauses) <= whole


def test_a_worse_line_gets_more_patience_in_everything(province: Province) -> None:
    lines = {site.code: site.link for site in province.sites}
    fibre, adsl = policy_for(lines["so-noi-vu"]), policy_for(lines["huong-khe"])
    for name in ("connect", "alive_every", "first_pause", "longest_pause", "reach", "stall", "answer", "confirm"):
        assert getattr(policy_for(None), name) <= getattr(adsl, name)
        assert getattr(fibre, name) <= getattr(adsl, name), name


def test_the_provinces_rules_give_hours_and_cap_to_a_class_of_lines(province: Province, tmp_path: Path) -> None:
    rules = "links: {adsl: {hours: {since: '18:00', until: '06:00'}, cap_bytes: 2000000}}\nutc_offset: 8 h\n"
    (tmp_path / "rollout.yml").write_text(rules)
    there = replace(province, folder=tmp_path)
    lines = {site.code: site.link for site in province.sites}
    adsl = policy_for(lines["huong-khe"], there)
    assert adsl.cap_bytes == 2_000_000
    assert adsl.hours is not None
    assert adsl.hours.opens(datetime(2026, 11, 21, 9, 0, tzinfo=UTC)) == datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
    assert policy_for(lines["so-noi-vu"], there).hours is None
    (tmp_path / "rollout.yml").write_text("links: [\n")
    with pytest.raises(BadInput, match=r"rollout\.yml: cannot be read"):
        policy_for(lines["huong-khe"], there)


@pytest.mark.parametrize(
    ("path", "size", "taken"),
    [
        ("pki/csr/huong-khe-srv1.csr", 1000, True),
        ("dkim/huong-khe.txt", 500, True),
        ("pki/csr/huong-khe-srv1.csr", 100_000, False),
        ("pki/csr/../../centre/id_ed25519.csr", 10, False),
        ("/etc/pki/csr/x.csr", 10, False),
        ("pki/csr/.hidden.csr", 10, False),
        ("pki/csr/deep/x.csr", 10, False),
        ("pki/csr/x.key", 10, False),
        ("centre/id_ed25519", 10, False),
        ("mail/x.txt", 10, False),
    ],
)
def test_only_what_was_agreed_on_may_come_back(path: str, size: int, taken: bool) -> None:
    assert returned.acceptable(path, size, ["pki/csr/*.csr", "dkim/*.txt", "mail/*.txt", "*"]) is taken


def test_a_name_no_role_declared_is_not_taken() -> None:
    assert not returned.acceptable("dkim/x.txt", 10, ["pki/csr/*.csr"])
    own = ["ssh-hosts/huong-khe-srv1.pub"]
    assert returned.acceptable("ssh-hosts/huong-khe-srv1.pub", 96, own)
    assert not returned.acceptable("ssh-hosts/trung-tam-hub1.pub", 96, own)
    assert not returned.acceptable("ssh-hosts/huong-khe-srv1.cert", 96, ["ssh-hosts/*"])


def test_what_comes_back_follows_no_link_and_replaces_files_only(tmp_path: Path) -> None:
    assert returned.put(tmp_path, "pki/csr/a.csr", b"one")
    assert not returned.put(tmp_path, "pki/csr/a.csr", b"one")
    assert returned.put(tmp_path, "pki/csr/a.csr", b"two")
    assert (tmp_path / "pki/csr/a.csr").stat().st_mode & 0o777 == 0o600
    (tmp_path / "key").write_text("secret")
    (tmp_path / "pki/csr/b.csr").symlink_to(tmp_path / "key")
    (tmp_path / "pki/csr/c.csr").mkdir()
    assert not returned.put(tmp_path, "pki/csr/b.csr", b"x")
    assert not returned.put(tmp_path, "pki/csr/c.csr", b"x")
    (tmp_path / "dkim").symlink_to("/tmp")
    assert not returned.put(tmp_path, "dkim/d.txt", b"x")
    assert (tmp_path / "key").read_text() == "secret"


def test_a_tree_is_remembered_by_what_is_in_it(bench: Bench, tmp_path: Path) -> None:
    memory, given = TreeMemory(tmp_path / "memory"), bench.content(ballast=100)
    assert memory.objects([given.tree.digest]) == set()
    memory.keep(given)
    assert memory.objects([given.tree.digest]) == {given.tree.digest, *given.objects}
    (tmp_path / "memory" / given.tree.digest).write_bytes(b"{}")
    assert memory.objects([given.tree.digest]) == set()


def test_a_hosts_runtimes_are_remembered(tmp_path: Path) -> None:
    memory = HostMemory("lab", tmp_path)
    assert memory.runtimes("a") == ()
    memory.keep("a", ["0123456789abcdef"])
    assert HostMemory("lab", tmp_path).runtimes("a") == ("0123456789abcdef",)


@pytest.mark.parametrize(
    ("code", "words", "kind", "said"),
    [
        (255, "ssh: connect to host 203.0.113.10 port 22: Connection timed out", LineLost, "Connection timed out"),
        (255, "tram@203.0.113.10: Permission denied (publickey).", Barred, "Permission denied"),
        (255, "Host key verification failed.", Barred, "Host key verification failed"),
        (1, "sudo: a password is required", Barred, "a password is required"),
        (1, "sudo: /usr/local/sbin/tram-site: command not found", NoRunner, "has no runner yet"),
        (2, "tram-site: config.json: bad", Barred, "its runner does not start: tram-site: config.json: bad"),
        (0, "", LineLost, "the connection broke"),
        (-9, "sudo: unable to resolve host huong-khe-srv1: Temporary failure", LineLost, "the connection broke"),
    ],
)
def test_ssh_s_last_words_are_understood(
    province: Province, code: int, words: str, kind: type[TramError], said: str
) -> None:
    host = next(site for site in province.sites if site.code == "huong-khe").hosts[0]
    found = SshCarrier(province, host, Policy())._meaning(code, words, anything=False)
    assert type(found) is kind
    assert said in found.message


def test_a_host_without_the_short_list_of_methods_is_asked_with_all_of_them(province: Province) -> None:
    carrier = SshCarrier(province, province.hub_host, Policy())
    assert "KexAlgorithms=curve25519-sha256@libssh.org" in carrier._options(None)
    words = "Unable to negotiate with 192.0.2.10 port 22: no matching key exchange method found."
    assert isinstance(carrier._meaning(255, words, anything=False), LineLost)
    assert "KexAlgorithms=curve25519-sha256@libssh.org" not in carrier._options(None)
