"""What the centre signs for a host: the names of the register, and no other host's among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.community.crypto.plugins.filter.openssl_csr_info import FilterModule
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROLE = Path(__file__).parents[3] / "roles/pki"
OWN, OTHER = "srv1.huong-khe.tinh.example", "hub1.tinh.example"


def request(*names: str, authority: bool = False) -> bytes:
    """A request as a host's role makes it, for these common names."""
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
         "encipher_only", "decipher_only"), False
    )  # fmt: skip
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(OWN)]), critical=False)
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    ("names", "authority", "signed"),
    [
        ([OWN], False, True),
        ([OTHER], False, False),
        ([OWN, OTHER], False, False),
        ([], False, False),
        ([OWN], True, False),
    ],
    ids=["its own", "another host's", "both", "none", "an authority"],
)
def test_only_the_hosts_own_name_is_signed(tmp_path: Path, names: list[str], authority: bool, signed: bool) -> None:
    (tmp_path / "pki").mkdir()
    asked = request(*names, authority=authority)
    (tmp_path / "pki/srv1.csr").write_bytes(asked)
    loader = DataLoader()
    variables: dict[str, Any] = {
        **loader.load_from_file(str(ROLE / "vars/main.yml"), trusted_as_template=True),
        "tram_secrets_dir": str(tmp_path), "inventory_hostname": "srv1",
        "__pki_csr_info": FilterModule().filters()["openssl_csr_info"](asked.decode()),
        "pki_names": [OWN], "pki_extra_names": [], "pki_addresses": [],
    }  # fmt: skip
    tasks = loader.load_from_file(str(ROLE / "tasks/sign.yml"), trusted_as_template=True)
    templar = Templar(loader, variables=variables)
    assert all(templar.evaluate_conditional(one) for one in tasks[0]["ansible.builtin.assert"]["that"]) is signed
