"""What roles hand back to the centre: public files into the secrets directory, by names that were agreed on."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from tram.core.canonical import BadDocument
from tram.core.tree import check_path

# Whatever a role declares, only these may come back: requests for certificates, DNS records and public
# keys, never a private key.
ALLOWED = (
    "pki/csr/*.csr",
    "pki/*.csr",
    "dkim/*.txt",
    "dkim/*/*.txt",
    "ssh-hosts/*.pub",
    "antivirus/signer.pub",
    "backup/keys/*.pub",
    "backup/*.pub",
)
MAX_BYTES = 64 * 2**10
MAX_FILES = 100


def acceptable(path: str, size: int, returns: Sequence[str]) -> bool:
    """Whether a host may give the centre a file of this name and size, when its roles declared `returns`."""
    try:
        check_path(path)
    except BadDocument:
        return False
    if not 0 <= size <= MAX_BYTES or any(part.startswith(".") for part in path.split("/")):
        return False
    return _matches(path, ALLOWED) and _matches(path, returns)


def put(secrets: Path, path: str, content: bytes) -> bool:
    """Put an acceptable file into the secrets directory, whole; whether that changed anything.

    Only a regular file is ever replaced, and no link is followed on the way.
    """
    target = secrets / path
    folder = secrets
    for part in Path(path).parts[:-1]:
        folder = folder / part
        if folder.is_symlink():
            return False
        folder.mkdir(mode=0o700, exist_ok=True)
    if target.is_symlink() or (target.exists() and not target.is_file()):
        return False
    if target.exists() and target.read_bytes() == content:
        return False
    fd, new = tempfile.mkstemp(prefix=".", dir=folder)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), 0o600)
        os.fsync(file.fileno())
    Path(new).replace(target)
    return True


def forget(secrets: Path, host: str) -> None:
    """A machine set up anew has new keys: what the one before it asked for under its name is void."""
    for path in (f"pki/{host}.csr", f"ssh-hosts/{host}.pub", f"backup/keys/{host}.pub"):
        (secrets / path).unlink(missing_ok=True)


def _matches(path: str, patterns: Sequence[str]) -> bool:
    """fnmatch part by part: no star reaches over a slash."""
    parts = path.split("/")
    for pattern in patterns:
        wanted = pattern.split("/")
        if len(wanted) == len(parts) and all(map(fnmatchcase, parts, wanted)):
            return True
    return False
