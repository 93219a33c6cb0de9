"""Files of the centre that are changed whole: the old content or the new one, never half of either."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, content: str | bytes, *, mode: int | None = None) -> None:
    """Put `content` at `path`, on the disk before it has its name; a file that is there keeps its rights.

    `mode`: the rights of a new file, as the umask says when it is None.

    Raises: OSError; what was there is there still.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    with suppress(FileNotFoundError):
        mode = path.stat().st_mode & 0o777
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666 if mode is None else 0o600)
        with os.fdopen(fd, "wb") as file:
            if mode is not None:
                os.fchmod(fd, mode)
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(fd)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
