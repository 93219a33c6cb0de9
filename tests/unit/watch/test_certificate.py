"""When a certificate ends, as a textfile; one that cannot be read is said to be unread and leaves no value."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

pytestmark = pytest.mark.slow  # promtool takes its time
PROGRAM = Path(__file__).parents[3] / "roles/watch_site/files/certificate"
ENDS = datetime(2031, 5, 17, 8, 30, tzinfo=UTC)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate that ends at ENDS."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    draft = x509.CertificateBuilder(name, name, key.public_key(), 1, ENDS - timedelta(days=90), ENDS)
    path = tmp_path / "host-chain.crt"
    path.write_bytes(draft.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


def written(tmp_path: Path, *files: Path) -> str:
    """The textfile, found right by promtool."""
    subprocess.run([PROGRAM, tmp_path, *files], check=True)
    assert [path.name for path in tmp_path.glob("*tram_certificate*")] == ["tram_certificate.prom"]
    said = tmp_path / "tram_certificate.prom"
    assert said.stat().st_mode & 0o777 == 0o644
    with said.open("rb") as file:
        found = subprocess.run(
            ["promtool", "check", "metrics"], stdin=file, capture_output=True, text=True, check=False
        )
    assert (found.returncode, found.stdout + found.stderr) == (0, "")
    return said.read_text(encoding="utf-8")


def test_the_end_of_each_certificate_is_said(tmp_path: Path, certificate: Path) -> None:
    text = written(tmp_path, certificate)
    assert f'tram_certificate_expires_timestamp_seconds{{file="host-chain.crt"}} {ENDS.timestamp():.0f}\n' in text
    assert 'tram_exporter_readings_failed{exporter="certificate",reading="files"} 0\n' in text


@pytest.mark.parametrize(
    "content", [b"", b"\xff\x00rubbish", b"-----BEGIN CERTIFICATE-----\n"], ids=["empty", "bytes", "half"]
)
def test_what_is_no_certificate_is_a_failed_reading_and_takes_no_other_with_it(
    tmp_path: Path, certificate: Path, content: bytes
) -> None:
    bad = tmp_path / "ca.crt"
    bad.write_bytes(content)
    text = written(tmp_path, bad, certificate, tmp_path / "gone.crt")
    assert 'reading="files"} 1\n' in text
    assert text.count("tram_certificate_expires_timestamp_seconds{") == 1
