"""The hub's key: what it signs, hosts believe. OpenSSH's signatures, because every Debian can check them."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from .words import Refused

NAMESPACE = "tram-signatures"
IDENTITY = "hub"


def make_key(key: Path) -> str:
    """Make the key if there is none; return its public half."""
    public = key.with_suffix(".pub")
    if not key.exists():
        key.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=key.parent, prefix=".new-") as place:
            new = Path(place) / "key"
            _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", NAMESPACE, "-f", str(new)], b"")
            # The private half last: it is what says that there is a key.
            new.with_suffix(".pub").rename(public)
            new.rename(key)
    text = public_half(key)
    if not public.exists() or public.read_text(encoding="ascii").split()[:2] != text.split()[:2]:
        public.write_text(text + "\n", encoding="ascii")
    public.chmod(0o644)
    return text


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


def verify(public: str, text: str, signature: str) -> bool:
    """Say whether the signature is by the holder of that public key."""
    with tempfile.TemporaryDirectory() as place:
        signers, signed = Path(place) / "signers", Path(place) / "signature"
        signers.write_text(f'{IDENTITY} namespaces="{NAMESPACE}" {public}\n', encoding="ascii")
        signed.write_text(signature, encoding="utf-8")
        command = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", IDENTITY, "-n", NAMESPACE, "-s", str(signed)]
        return subprocess.run(command, input=text.encode(), capture_output=True, check=False).returncode == 0


def _run(command: list[str], given: bytes) -> bytes:
    done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=60)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise Refused(f"không ký được ({said})", f"ssh-keygen: {said}")
    return done.stdout
