"""A file of JSON lines that another process writes, read as it grows."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any


class Tail:
    """The lines of a file that grows, each once. Lines that are no objects are passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0

    def fresh(self) -> list[dict[str, Any]]:
        """The whole lines that came since the last call."""
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_size <= self.offset:
                    return []
                file.seek(self.offset)
                content = file.read()
        except FileNotFoundError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        self.offset += len(whole)
        found = []
        for line in whole.splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict)]
