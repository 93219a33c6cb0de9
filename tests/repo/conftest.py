"""The repository as git would publish it: tracked files and those that are about to be."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]


@dataclass(frozen=True)
class Repository:
    """Its files (not those .gitignore leaves out), and their text."""

    root: Path
    files: tuple[Path, ...]

    def texts(self, *under: str, suffix: str = "") -> Iterator[tuple[str, str]]:
        """Name and text of every text file under these folders (all when none is named)."""
        for path in self.files:
            name = str(path.relative_to(self.root))
            if (under and not name.startswith(under)) or not name.endswith(suffix):
                continue
            raw = path.read_bytes()
            if b"\0" not in raw:
                yield name, raw.decode("utf-8")

    def lines(self, *under: str, suffix: str = "") -> Iterator[tuple[str, str]]:
        """`file:line` and the line, for every line of these texts."""
        for name, text in self.texts(*under, suffix=suffix):
            for number, line in enumerate(text.splitlines(), 1):
                yield f"{name}:{number}", line


@pytest.fixture(scope="session")
def repository() -> Repository:
    # Without git (an archive of the sources) there is nothing that says what belongs to it.
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO,
        capture_output=True,
        check=True,
        text=True,
    )
    files = tuple(path for name in sorted(set(listed.stdout.split("\0"))) if name and (path := REPO / name).is_file())
    assert len(files) > 50
    return Repository(REPO, files)
