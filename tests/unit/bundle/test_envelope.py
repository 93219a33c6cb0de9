"""A stick opens at the host it is for, and nowhere else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tram.bundle.envelope
from tram.bundle.envelope import pinned_key, seal
from tram.core.errors import BadInput
from tram.register.connection import Connection

from .bench import Bench


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host's key."""
    path = tmp_path_factory.mktemp("etc") / "ssh_host_ed25519_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "root@srv1", "-f", path], check=True)
    return path


def opened(sealed: bytes, key: Path) -> bytes:
    """What the host with this key reads."""
    return bytes(pyrage.decrypt(sealed, [pyrage.ssh.Identity.from_buffer(key.read_bytes())]))


@settings(max_examples=20)
@given(data=st.binary(max_size=200))
def test_the_host_it_is_for_reads_it(key: Path, data: bytes) -> None:
    sealed = seal(data, key.with_suffix(".pub").read_text())
    assert opened(sealed, key) == data
    assert sealed.startswith(b"age-encryption.org/v1\n-> ssh-ed25519 ")


def test_another_host_does_not(key: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    sealed = seal(b"mat khau", key.with_suffix(".pub").read_text())
    with pytest.raises(pyrage.DecryptError):
        opened(sealed, other)
    assert b"mat khau" not in sealed


def test_a_damaged_one_does_not_open(key: Path) -> None:
    sealed = seal(b"x" * 1000, key.with_suffix(".pub").read_text())
    with pytest.raises(pyrage.DecryptError):
        opened(sealed[:-1] + bytes([sealed[-1] ^ 1]), key)


def test_a_key_of_another_kind_is_refused() -> None:
    with pytest.raises(BadInput) as refused:
        seal(b"", "ssh-dss AAAA")
    assert refused.value.message == '"ssh-dss AAAA" is not an ed25519 key of ssh'


def test_the_key_is_the_one_that_was_pinned(
    bench: Bench, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = tmp_path / "known_hosts"
    way = Connection(None, pins, tmp_path, tmp_path, tmp_path)
    monkeypatch.setattr(tram.bundle.envelope, "connection", lambda _: way)
    with pytest.raises(BadInput) as refused:
        pinned_key(bench.province, bench.host())
    assert refused.value.message == f"{pins}: no ed25519 key of huong-khe-srv1 is pinned"
    public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
    pins.write_text(f"other-srv1 ssh-ed25519 AAAA\nhuong-khe-srv1,203.0.113.10 {public}\n")
    assert pinned_key(bench.province, bench.host()) == public
