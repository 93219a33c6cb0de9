"""The centre's own ssh key: made once, kept outside the repository, the only way in as operator."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import paramiko

from tram.core.errors import BadInput
from tram.core.run import run


@dataclass(frozen=True, slots=True)
class CentreKey:
    """The key pair: the private key's file, the key itself, and its line for authorized_keys."""

    path: Path
    key: paramiko.PKey
    public: str


def key_path(secrets_dir: Path) -> Path:
    """Where the private key is, also when there is none yet."""
    return secrets_dir / "ssh" / "id_ed25519"


def load_key(secrets_dir: Path, comment: str) -> CentreKey | None:
    """The centre's key, or None when it was never made. `comment` ends the public line (who it belongs to).

    Raises: BadInput when it is readable by others, or is no private key without a passphrase.
    """
    path = key_path(secrets_dir)
    if not path.exists():
        return None
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise BadInput(f"{path}: others may read the centre's private key (mode {mode:04o})", hint=f"chmod 0600 {path}")
    try:
        key = paramiko.PKey.from_path(path)
    except Exception as error:  # paramiko lets cryptography's and its own kinds through
        raise BadInput(
            f"{path}: is not a private key that can be read without a passphrase",
            hint="put the backup of it back; a new key would not be let in where the old one is",
        ) from error
    return CentreKey(path, key, f"{key.get_name()} {key.get_base64()} {comment}")


def make_key(secrets_dir: Path, comment: str) -> CentreKey:
    """The centre's key, made now if there is none. Two runs at once end up with the same one.

    Raises: BadInput as `load_key` does, or when it cannot be written; ProgramFailed when ssh-keygen is missing.
    """
    path = key_path(secrets_dir)
    if not path.exists():
        try:
            for folder in (secrets_dir, path.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(
                f"{error.filename}: cannot hold the centre's key: {error.strerror}",
                hint="make it a folder of your own, or name another one with $TRAM_SECRETS",
            ) from error
        with tempfile.TemporaryDirectory(prefix=".new-", dir=path.parent) as new:
            fresh = Path(new) / path.name
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", fresh])
            with suppress(FileExistsError):
                os.link(fresh, path)  # unlike a rename, never replaces the other run's key
                fresh.with_suffix(".pub").replace(path.with_suffix(".pub"))
    made = load_key(secrets_dir, comment)
    assert made is not None
    return made
