"""Where everything is, and how much may be taken: /etc/tram-signatures/config.json, as the role writes it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from .words import Refused


@dataclass(frozen=True, slots=True)
class Place:
    """Paths and bounds of one hub."""

    domain: str
    """The province's domain."""
    state: Path = Path("/var/lib/tram-signatures")
    published: Path = Path("/var/lib/tram-mirror/signatures")
    clamav: Path = Path("/var/lib/tram-mirror/clamav")
    key: Path = Path("/etc/tram-signatures/key")
    access_log: Path = Path("/var/log/nginx/mirror.json")
    keep_releases: int = 10
    trial_seconds: int = 60
    trial_memory_bytes: int = 600_000_000
    trial_corpus_files: int = 300
    trial_corpus_bytes: int = 40_000_000
    sample_max_bytes: int = 100_000_000
    keep_free_bytes: int = 200_000_000
    official_sets: tuple[str, ...] = ("main", "daily", "bytecode")
    official_seconds: int = 900
    official_memory_bytes: int = 3_000_000_000
    fetch_from: str = ""
    fetch_seconds: int = 3600
    caches: dict[str, list[str]] = field(default_factory=dict)
    """Name of a site's cache to those it may speak for: the hosts of its own site."""

    @property
    def sources(self) -> Path:
        """Everything the province knows, one entry a line."""
        return self.state / "sources/entries.txt"

    @property
    def releases(self) -> Path:
        """The last releases, one directory each."""
        return self.state / "releases"

    @property
    def work(self) -> Path:
        """What is being made; whatever is left in it is of a run that died."""
        return self.state / "work"


def read(path: Path) -> Place:
    """Read the configuration.

    Raises: Refused.
    """
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        known = {one.name: one for one in fields(Place)}
        values: dict[str, Any] = {
            name: Path(value) if "Path" in str(known[name].type) else value for name, value in given.items()
        }
        values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return Place(**values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(
            f"{path}: không đọc được cấu hình ({error}). Chạy lại vai trò antivirus_mirror.",
            "the configuration cannot be read. Run role antivirus_mirror again.",
        ) from error
