"""An order's signature is OpenSSH's own, checked here by the program a site checks it with."""

from __future__ import annotations

import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tram.bundle import allowed_signers, centre_key, sign
from tram.core.errors import BadInput
from tram.register import Province, load

from .bench import REPO
from .test_order import ORDER


@pytest.fixture
def province(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Province:
    """The lab, its secrets in a directory of the test's own."""
    monkeypatch.setenv("TRAM_SECRETS", str(tmp_path / "secrets"))
    return load(REPO / "inventories/lab")


def verify(
    tmp_path: Path, province: Province, data: bytes, namespace: str = "tram-order", identity: str = "centre@lab"
) -> bool:
    """What a site does."""
    signers, signature = tmp_path / "allowed_signers", tmp_path / "sig"
    signers.write_text(allowed_signers(province))
    signature.write_text(sign(ORDER, centre_key(province)))
    argv = ["ssh-keygen", "-Y", "verify", "-f", signers, "-I", identity, "-n", namespace, "-s", signature]
    return subprocess.run(argv, input=data, capture_output=True, check=False).returncode == 0


def test_a_site_takes_the_centres_order(tmp_path: Path, province: Province) -> None:
    assert verify(tmp_path, province, ORDER.canonical())


def test_another_byte_another_namespace_or_another_signer_is_refused(tmp_path: Path, province: Province) -> None:
    assert not verify(tmp_path, province, ORDER.canonical() + b"\n")
    assert not verify(tmp_path, province, ORDER.canonical(), namespace="file")
    assert not verify(tmp_path, province, ORDER.canonical(), identity="centre@ha-tinh")


def test_the_key_is_good_for_orders_only(province: Province) -> None:
    assert allowed_signers(province).startswith('centre@lab namespaces="tram-order" ssh-ed25519 AAAA')


def test_the_same_order_has_the_same_signature(province: Province) -> None:
    assert sign(ORDER, centre_key(province)) == sign(ORDER, centre_key(province))


def test_the_key_is_made_once_and_only_its_owner_reads_it(province: Province) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _: centre_key(province), range(4)))
    [path] = paths
    assert path == province.secrets_dir / "centre/id_ed25519"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    before = path.read_bytes()
    assert centre_key(province).read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == ["id_ed25519"], "nothing is left lying about"


def test_a_key_that_others_may_read_is_refused(province: Province) -> None:
    path = centre_key(province)
    path.chmod(0o640)
    with pytest.raises(BadInput) as refused:
        centre_key(province)
    assert refused.value.message == f"{path}: others may read the key orders are signed with (mode 0640)"
    assert refused.value.hint == f"chmod 0600 {path}; if somebody may have read it, make a new one"
