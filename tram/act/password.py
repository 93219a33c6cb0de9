"""A password from a file, the only place besides a prompt it may come from."""

from __future__ import annotations

import os
from pathlib import Path

from tram.core.errors import BadInput


def read_password(path: Path) -> str:
    """The password in the first and only line of `path`.

    Raises: BadInput when it cannot be read, is not only its owner's (root or whoever runs this), or is not one line.
    """
    try:
        with path.open(encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            lines = file.read(4096).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise BadInput(f"{path}: {reason}", hint="give a file with the password in its first line") from error
    if status.st_mode & 0o077 or status.st_uid not in (0, os.geteuid()):
        raise BadInput(
            f"{path}: others may read this password (mode {status.st_mode & 0o777:04o})",
            hint=f"chmod 0600 {path}, and change the password: it may be known",
        )
    if len(lines) != 1 or not lines[0]:
        raise BadInput(f"{path}: holds {len(lines)} lines, not one password", hint="one line, nothing else")
    return lines[0]
