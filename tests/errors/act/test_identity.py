"""A host that nobody vouches for gets no password, no key and no command."""

from __future__ import annotations

import subprocess
from typing import Any

import paramiko

HOST = "huong-khe-srv1"


def entry(desk: Any, host: Any) -> list[str]:
    desk.wire(host.port)
    return [HOST, "--password-file", desk.file("first-password", host.password + "\n")]


def test_first_contact_shows_the_fingerprint_and_stops(simulate: Any, desk: Any) -> None:
    host = simulate()
    seen = desk.bootstrap(*entry(desk, host))
    shown = host.keys[0].fingerprint
    assert seen.code == 1
    assert f"{HOST} (203.0.113.10) was never seen before; it shows {shown} (ssh-ed25519)" in seen.out
    assert f"--fingerprint {shown}; --accept-new takes it unseen" in seen.out
    assert host.logins == host.commands == []
    assert not (desk.state / "known_hosts").exists()


def test_another_fingerprint_than_the_one_given(simulate: Any, desk: Any) -> None:
    host = simulate()
    given = "SHA256:" + "a" * 43
    seen = desk.bootstrap(*entry(desk, host), "--fingerprint", given)
    assert seen.code == 1
    assert f"is not the host you mean: given {given}, it shows {host.keys[0].fingerprint}" in seen.out
    assert host.logins == host.commands == []
    assert not (desk.state / "known_hosts").exists()


def test_a_host_whose_identity_changed(simulate: Any, desk: Any) -> None:
    first, second = simulate(), simulate()
    assert desk.bootstrap(*entry(desk, first), "--accept-new").code == 0
    pinned = (desk.state / "known_hosts").read_text()
    for more in ([], ["--accept-new"], ["--fingerprint", second.keys[0].fingerprint]):
        seen = desk.bootstrap(*entry(desk, second), *more)
        assert seen.code == 1
        assert seen.out.count("error:") == 1
        assert (
            f"{HOST} (203.0.113.10) is not the host it was: pinned is {first.keys[0].fingerprint}, "
            f"it now shows {second.keys[0].fingerprint}"
        ) in seen.out
        assert f"ssh-keygen -f {desk.state}/known_hosts -R {HOST}" in seen.out
    assert second.logins == second.commands == []
    assert (desk.state / "known_hosts").read_text() == pinned


def test_a_host_that_lost_the_kind_of_key_that_is_pinned(simulate: Any, desk: Any) -> None:
    first, second = simulate(), simulate(paramiko.RSAKey.generate(2048))
    assert desk.bootstrap(*entry(desk, first), "--accept-new").code == 0
    seen = desk.bootstrap(*entry(desk, second), "--accept-new")
    assert seen.code == 1
    assert f"pinned is {first.keys[0].fingerprint}, it now shows {second.keys[0].fingerprint}" in seen.out
    assert second.logins == []


def test_what_the_hint_says_makes_a_reinstalled_host_known_again(simulate: Any, desk: Any) -> None:
    first, second = simulate(), simulate()
    assert desk.bootstrap(*entry(desk, first), "--accept-new").code == 0
    for name in (HOST, "203.0.113.10"):
        subprocess.run(["ssh-keygen", "-f", desk.state / "known_hosts", "-R", name], capture_output=True, check=False)
    seen = desk.bootstrap(*entry(desk, second), "--fingerprint", second.keys[0].fingerprint)
    assert (seen.code, second.logins) == (0, ["root", "tram"])


def test_a_pin_file_with_a_line_that_is_none(simulate: Any, desk: Any) -> None:
    host = simulate()
    words = entry(desk, host)
    (desk.state / "known_hosts").write_text("huong-khe-srv1 ssh-ed25519 AAAAC\n")
    seen = desk.bootstrap(*words, "--accept-new")
    assert seen.code == 1
    assert f"{desk.state}/known_hosts: no host key: huong-khe-srv1 ssh-ed25519 AAAAC" in seen.out
    assert host.transports == []
