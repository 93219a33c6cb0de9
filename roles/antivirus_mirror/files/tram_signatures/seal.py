"""The hub's key: what it signs, hosts believe. OpenSSH's signatures, because every Debian can check them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .words import Refused

NAMESPACE = "tram-signatures"


def public_half(key: Path) -> str:
    """What the hosts know the key by; empty when there is no key."""
    if not key.exists():
        return ""
    return " ".join([*_run(["ssh-keygen", "-y", "-f", str(key)], b"").decode().split()[:2], NAMESPACE])


def sign(key: Path, text: str) -> str:
    """The signature of a text, armored.

    Raises: Refused.
    """
    return _run(["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE], text.encode()).decode()


def _run(command: list[str], given: bytes) -> bytes:
    done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=60)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise Refused(f"không ký được ({said})", f"ssh-keygen: {said}")
    return done.stdout
