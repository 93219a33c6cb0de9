"""Pins are an ordinary known_hosts file that OpenSSH reads the same way."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko
import pytest

from tram.act.pins import Pins
from tram.act.target import Target

Aim = Callable[..., Target]


@pytest.fixture
def key() -> paramiko.PKey:
    return paramiko.RSAKey.generate(2048)


def test_openssh_finds_the_pin_by_name_and_by_address(tmp_path: Path, aim: Aim, key: paramiko.PKey) -> None:
    for port, names in ((22, ["huong-khe-srv1", "127.0.0.1"]), (2222, ["[huong-khe-srv1]:2222", "[127.0.0.1]:2222"])):
        Pins(tmp_path / str(port)).add(aim(port), key)
        for name in names:
            found = subprocess.run(
                ["ssh-keygen", "-l", "-F", name, "-f", tmp_path / str(port)], capture_output=True, text=True, check=True
            )
            assert key.fingerprint in found.stdout


def test_a_pin_is_added_once_and_other_lines_stay(tmp_path: Path, aim: Aim, key: paramiko.PKey) -> None:
    path = tmp_path / "known_hosts"
    others = "# the centre's own\n\nelse.example sk-ssh-ed25519 AAAA"
    path.write_text(others)  # its last line has no end
    pins = Pins(path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: pins.add(aim(22), key), range(8)))
    lines = path.read_text().splitlines()
    assert lines[:3] == others.splitlines()
    assert [line.split()[0] for line in lines[3:]] == ["huong-khe-srv1,127.0.0.1"]
    assert pins.check(aim(22), key)


def test_a_host_never_seen_is_not_pinned(tmp_path: Path, aim: Aim, key: paramiko.PKey) -> None:
    assert not Pins(tmp_path / "none").check(aim(22), key)


def test_the_repository_does_not_lose_the_script_sent_to_hosts() -> None:
    spec = importlib.util.find_spec("tram.act")
    assert spec is not None
    assert spec.origin is not None
    script = Path(spec.origin).parent / "operator.sh"
    subprocess.run(["sh", "-n", script], check=True)


def test_who_waits_while_a_pin_is_forgotten_writes_into_the_new_file(
    tmp_path: Path, aim: Aim, key: paramiko.PKey
) -> None:
    pins = Pins(tmp_path / "known_hosts")
    with ThreadPoolExecutor(1) as pool:
        with pins._alone():
            waits = pool.submit(pins.add, aim(22), key)
            (tmp_path / "new").touch()
            (tmp_path / "new").replace(pins.path)  # as `forget` does
        waits.result(timeout=10)
    assert key in pins.of(aim(22))
    pins.forget(aim(22))
    assert pins.of(aim(22)) == []
