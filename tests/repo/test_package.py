"""What lies beside the code and is read by it is installed with it."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any


def test_every_file_beside_the_code_is_package_data(repo: Path, repository: Any) -> None:
    patterns = tomllib.loads((repo / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["tram"]
    beside = [
        path.relative_to(repo / "tram").as_posix()
        for path in repository.files
        if path.is_relative_to(repo / "tram") and path.suffix != ".py"
    ]
    assert beside
    assert [
        name for name in beside if not any(fnmatch(f"/{name}", f"*/{p.removeprefix('**/')}") for p in patterns)
    ] == []
