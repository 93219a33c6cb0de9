"""The centre's signature under an order, made and checked by OpenSSH, which every host already has."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from tram.core.errors import BadInput
from tram.core.order import NAMESPACE, Order
from tram.core.run import run
from tram.register import Province


def centre_key(province: Province) -> Path:
    """The private key orders are signed with, made now if there is none. Two runs at once end up with the same one.

    It is not the key hosts are entered with: who can sign can change a host, but not log in to it.

    Raises: BadInput when others may read it; ProgramFailed when ssh-keygen is missing.
    """
    path = province.secrets_dir / "centre" / "id_ed25519"
    if not path.exists():
        for folder in (province.secrets_dir, path.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=path.parent) as new:
            fresh = Path(new) / path.name
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", identity(province.code), "-f", fresh])
            with suppress(FileExistsError):
                os.link(fresh, path)  # unlike a rename, never replaces the other run's key
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        message = f"{path}: others may read the key orders are signed with (mode {mode:04o})"
        raise BadInput(message, hint=f"chmod 0600 {path}; if somebody may have read it, make a new one")
    return path


def identity(province: str) -> str:
    """Who signs: the name a site knows its centre by."""
    return f"centre@{province}"


def allowed_signers(province: Province, namespace: str = NAMESPACE) -> str:
    """The file `allowed_signers` of this province's sites: one line, good for orders only (or for `namespace`).

    Source: ssh-keygen(1), ALLOWED SIGNERS.
    """
    public = run(["ssh-keygen", "-y", "-f", centre_key(province)]).stdout.split()
    return f'{identity(province.code)} namespaces="{namespace}" {public[0]} {public[1]}\n'


def sign(order: Order, key: Path) -> str:
    """The signature of an order, as `sign_bytes`."""
    return sign_bytes(order.canonical(), key)


def sign_bytes(document: bytes, key: Path, namespace: str = NAMESPACE) -> str:
    """The signature of a document (UTF-8), armored as OpenSSH writes it; good for nothing outside its namespace.

    Raises: ProgramFailed when the key cannot sign.
    Source: PROTOCOL.sshsig of OpenSSH.
    """
    return run(["ssh-keygen", "-Y", "sign", "-q", "-n", namespace, "-f", key], stdin=document.decode()).stdout
