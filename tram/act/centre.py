"""What only the centre has, closed for the safe: secrets, register, ledger.

Whoever has the safe's key opens it with Debian's `age` and `tar`, with nothing of ours.
"""

from __future__ import annotations

import io
import sqlite3
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
from sqlalchemy.engine import make_url

from tram.core.errors import BadInput
from tram.core.files import write_whole
from tram.register import Province

ROOT_KEYS = ("ca/root.key", "ca/root.pass")
"""The root of all certificates: they belong in the safe, not on a machine."""


def seal(province: Province, ledger: str, recipient: str, folder: Path) -> Path:
    """Write everything of the centre's into `folder`, closed for the safe's key; the file.

    `ledger`: its address; one in PostgreSQL has a backup of its own and is left out. `recipient`: age1…

    Raises: BadInput.
    """
    try:
        key = pyrage.x25519.Recipient.from_str(recipient)
    except pyrage.RecipientError as error:
        raise BadInput(f"--recipient {recipient}: is no key of age", hint="age-keygen -y KEYFILE prints it") from error
    if not province.secrets_dir.is_dir():
        raise BadInput(f"{province.secrets_dir}: the centre has no secrets yet", hint="nothing was written")
    if not folder.is_dir():
        raise BadInput(f"--to {folder}: is no folder", hint="is the stick mounted?")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as tar, tempfile.TemporaryDirectory() as scratch:
        tar.add(province.secrets_dir, "secrets", filter=_without_locks)
        tar.add(province.folder, "inventory", filter=_without_locks)
        if copy := _ledger(ledger, Path(scratch)):
            tar.add(copy, "ledger.db")
    file = folder / f"centre-{province.code}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.xz.age"
    write_whole(file, pyrage.encrypt(packed.getvalue(), [key]))
    return file


def root_keys(province: Province) -> list[Path]:
    """What of the root's keys lies at the centre still."""
    return [path for name in ROOT_KEYS if (path := province.secrets_dir / name).exists()]


def _ledger(address: str, scratch: Path) -> Path | None:
    """A copy of a ledger that is a file, as it is at this moment."""
    url = make_url(address)
    if not url.drivername.startswith("sqlite") or not url.database or not Path(url.database).is_file():
        return None
    target = scratch / "ledger.db"
    with sqlite3.connect(f"file:{url.database}?mode=ro", uri=True) as source, sqlite3.connect(target) as copy:
        source.backup(copy)
    return target


def _without_locks(found: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Files and folders only: a socket or a lock of a running command is no secret."""
    wanted = (found.isfile() or found.isdir() or found.issym()) and "__pycache__" not in found.name
    return found if wanted and not found.name.endswith("/lock") else None
