"""When a certificate is made again: it must say what the inventory says now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.community.crypto.plugins.filter import openssl_csr_info, x509_certificate_info
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

ROLE = Path(__file__).parents[3] / "roles/pki"
ONE, TWO = "srv1.huong-khe.tinh.example", "mail.huong-khe.tinh.example"


def variables(folder: Path, subject: list[str], names: list[str]) -> dict[str, Any]:
    """The role's, for a host that has a certificate for these, signed a moment ago, and its request at the centre."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one) for one in subject])
    said = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=90))
        .add_extension(said, critical=False)
        .add_extension(authority, critical=False)
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
        .decode()
    )
    asked = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name)
        .add_extension(said, critical=False)
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
        .decode()
    )
    (folder / "pki").mkdir()
    (folder / "pki/srv1.crt").write_text(certificate)
    (folder / "pki/srv1.csr").write_text(asked)
    info = x509_certificate_info.FilterModule().filters()["x509_certificate_info"](certificate)
    return {
        **DataLoader().load_from_file(str(ROLE / "vars/main.yml"), trusted_as_template=True),
        "tram_secrets_dir": str(folder), "inventory_hostname": "srv1", "pki_renew_days": 30,
        "__pki_info": info, "__pki_csr_info": openssl_csr_info.FilterModule().filters()["openssl_csr_info"](asked),
        "__pki_issuing_right": True,
        "__pki_issuing_crt_info": {"subject_key_identifier": info["authority_key_identifier"]},
        "pki_names": [ONE], "pki_extra_names": [TWO], "pki_addresses": [],
    }  # fmt: skip


def is_due(given: dict[str, Any]) -> Any:
    """As it is asked before a bundle is built."""
    [first] = DataLoader().load_from_file(str(ROLE / "meta/tram.yml"), trusted_as_template=True)["first"]
    return Templar(DataLoader(), variables=given).template(first["when"])


@pytest.mark.parametrize(
    ("subject", "names", "due"),
    [([ONE], [TWO, ONE], False), ([TWO], [ONE, TWO], True), ([], [ONE, TWO], True), ([ONE], [ONE], True)],
    ids=["as wanted", "another subject", "no subject", "a name too few"],
)
def test_a_certificate_that_says_something_else_is_due(
    tmp_path: Path, subject: list[str], names: list[str], due: bool
) -> None:
    assert is_due(variables(tmp_path, subject, names)) is due


def test_no_subject_is_wanted_for_a_name_that_is_longer_than_a_subject_may_be(tmp_path: Path) -> None:
    long = f"{'a' * 60}.{ONE}"
    given = {**variables(tmp_path, [], [long]), "pki_names": [long], "pki_extra_names": []}
    assert is_due(given) is False


@pytest.mark.parametrize(("tasks", "handed"), [("request", True), ("main", False)])
def test_a_host_that_has_a_certificate_asks_anew_when_it_is_told_to(tmp_path: Path, tasks: str, handed: bool) -> None:
    loader = DataLoader()
    found = loader.load_from_file(str(ROLE / f"tasks/{tasks}.yml"), trusted_as_template=True)
    [caller] = [one for one in found if one.get("ansible.builtin.import_tasks") == "key.yml"]
    steps = loader.load_from_file(str(ROLE / "tasks/key.yml"), trusted_as_template=True)
    [step] = [one for one in steps if one["name"] == "Hand the request to the centre"]
    told = {"tram_delivered": True, "__pki_key": {"changed": False}, "__pki_csr": {"changed": False}}
    given = {**variables(tmp_path, [TWO], [ONE]), **told, **caller.get("vars", {})}
    assert Templar(loader, variables=given).evaluate_conditional(step["when"]) is handed
