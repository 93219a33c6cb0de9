"""The programs of roles/documents as modules."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

REPO = Path(__file__).parents[3]
ROLE = REPO / "roles/documents"
sys.path.insert(0, str(ROLE / "files/tram-mayan"))


@pytest.fixture(scope="session")
def translation() -> ModuleType:
    """scripts/documents-translation, which has no ending."""
    loader = importlib.machinery.SourceFileLoader("documents_translation", str(REPO / "scripts/documents-translation"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
