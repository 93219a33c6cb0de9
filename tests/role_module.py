"""A Python file of a role, as a module: roles are no packages."""

from __future__ import annotations

import importlib.util
import json
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROLES = Path(__file__).parent.parent / "roles"


def load(name: str, path: str) -> ModuleType:
    """The file at this path below roles/, executed anew, under the name that others of its kind import it by."""
    spec = importlib.util.spec_from_loader(name, SourceFileLoader(name, str(ROLES / path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def call(
    module: ModuleType, arguments: dict[str, Any], capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Run an Ansible module as Ansible does; what it answered."""
    from ansible.module_utils import basic  # noqa: PLC0415  slow to import, and few tests need it

    patch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    patch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    capsys.readouterr()
    try:
        module.main()
    except SystemExit:
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return told
    raise AssertionError("the module did not end by itself")
