"""Nothing of this machine, of a person or of a secret is published; nothing that turns a check off."""

from __future__ import annotations

import configparser
import ipaddress
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

CODE = ("inventories/", "monitoring/", "playbooks/", "roles/", "scripts/", "security/", "tram/", "ansible.cfg")

DOCUMENTATION = [
    ipaddress.ip_network(block)
    for block in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "127.0.0.0/8", "::1/128")
]


def mirrors() -> set[str]:
    """Host names this machine fetches packages from, read from apt's, pip's and npm's own configuration."""
    urls: set[str] = set()
    apt = Path("/etc/apt")
    for path in [apt / "sources.list", *apt.glob("sources.list.d/*"), *apt.glob("apt.conf.d/*")]:
        if path.is_file():
            urls.update(re.findall(r"https?://[^\s\"';]+", path.read_text(errors="replace")))
    for path in [Path("/etc/pip.conf"), *Path.home().glob(".pip/pip.conf"), *Path.home().glob(".config/pip/pip.conf")]:
        if path.is_file():
            parser = configparser.ConfigParser(interpolation=None)
            parser.read(path)
            for section in parser.values():
                urls.update(url for value in section.values() for url in value.split())
    urls.update(_asked(["pip", "download", "--help"], r"default\s+(https?://\S+?)\)"))
    if shutil.which("npm"):
        urls.update(_asked(["npm", "config", "get", "registry"], r"(https?://\S+)"))
    hosts = {urlparse(url).hostname for url in urls}
    return {host for host in hosts if host and "." in host and not re.fullmatch(r"[\d.]+", host)}


def _asked(argv: list[str], pattern: str) -> list[str]:
    if not shutil.which(argv[0]):
        return []
    said = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60).stdout
    return re.findall(pattern, " ".join(said.split()))


def test_no_mirror_or_registry_is_named(repository: Any) -> None:
    names = mirrors()
    assert names, "this machine's own mirror could not be read: the test would prove nothing"
    found = [f"{place}: names a package mirror" for place, line in repository.lines() for name in names if name in line]
    assert found == []


def test_no_path_of_a_machine_is_written_down(repository: Any) -> None:
    # Put together here, because this file is looked at, too.
    workplace = re.compile("(?<![\\w.])/" + "work/|/home/(?!tram\\b)[a-z][a-z0-9_-]*/|C:" + r"\\\\Users")
    checkout = str(repository.root) + "/"
    assert [p for p, line in repository.lines() if workplace.search(line) or checkout in line] == []


def test_no_secret_is_published(repository: Any) -> None:
    secret = re.compile(
        r"BEGIN [A-Z ]*PRIVATE KEY"
        r"|\$(?:1|5|6|y|2[aby])\$[./A-Za-z0-9$=,]{20,}"  # crypt(5)
        r"|\{(?:SSHA|SHA512-CRYPT|BLF-CRYPT|ARGON2ID?)\}[./A-Za-z0-9+=$,]{20,}"
        r"|AGE-SECRET-KEY-1[A-Z0-9]{20,}"
    )
    assert [place for place, line in repository.lines() if secret.search(line)] == []
    names = re.compile(r"(^|/)(id_(rsa|ed25519|ecdsa)|.*\.(key|pem|p12|pfx|kdbx|pass))$")
    assert [str(path) for path in repository.files if names.search(str(path))] == []


@pytest.mark.parametrize(
    "forbidden",
    [
        r"^\s*ignore_errors\s*:",
        r"StrictHostKeyChecking[\s=:\"']+(no|off|accept-new)\b",
        r"host_key_checking\s*[=:]\s*(false|no|0)\b",
        r"\bAutoAddPolicy\b|\bWarningPolicy\b",
        r"validate_certs\s*:\s*(false|no)\b",
        r"ssl\.CERT_NONE|_create_unverified_context|verify\s*=\s*False",
        r"curl\b.*\s(-k|--insecure)\b",
    ],
)
def test_no_check_is_turned_off(repository: Any, forbidden: str) -> None:
    pattern = re.compile(forbidden, re.IGNORECASE)
    assert [place for place, line in repository.lines(*CODE) if pattern.search(line)] == []


def test_addresses_of_the_inventories_are_documentation_addresses(repository: Any) -> None:
    found = []
    for place, line in repository.lines("inventories/"):
        for word in re.findall(
            r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])|(?<![\w:])[0-9a-f]{1,4}(?::[0-9a-f]*){2,7}", line
        ):
            try:
                address = ipaddress.ip_address(word)
            except ValueError:
                continue
            if not any(address in block for block in DOCUMENTATION if block.version == address.version):
                found.append(f"{place}: {word} (RFC 5737, RFC 3849)")
    assert found == []
