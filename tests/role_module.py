"""A Python file of a role, as a module: roles are no packages."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROLES = Path(__file__).parent.parent / "roles"


def load(name: str, path: str) -> ModuleType:
    """The file at this path below roles/, executed anew, under the name that others of its kind import it by."""
    spec = importlib.util.spec_from_file_location(name, ROLES / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
