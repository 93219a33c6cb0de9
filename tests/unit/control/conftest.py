"""The module `control` of roles/control, run as Ansible runs it, on files of a temporary directory."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ...role_module import call, load
from .many_things import Run


@pytest.fixture
def things() -> ModuleType:
    return load("ansible.module_utils.control_things", "control/module_utils/control_things.py")


@pytest.fixture
def run(tmp_path: Path, things: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    load("ansible.module_utils.control_fields", "control/module_utils/control_fields.py")
    load("ansible.module_utils.control_packages", "control/module_utils/control_packages.py")
    load("ansible.module_utils.control_records", "control/module_utils/control_records.py")
    control = load("tram_test_control", "control/library/control.py")
    mask = os.umask(0o022)
    os.umask(mask)

    def go(*controls: dict[str, Any], check_mode: bool = False, **params: Any) -> dict[str, Any]:
        arguments = {"controls": list(controls), "state": str(tmp_path / "state"), **params}
        arguments |= {"_ansible_check_mode": check_mode, "_ansible_diff": True, "_ansible_remote_tmp": str(tmp_path)}
        try:
            return call(control, arguments, capsys, monkeypatch)
        finally:
            os.umask(mask)

    return go


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "login.defs").write_text("# old\nUMASK 022\nPASS 9\nUMASK 077\nno end of line")
    (etc / "issue").write_text("Debian\n")
    (etc / "issue").chmod(0o640)
    (etc / "target").symlink_to("elsewhere")
    return etc
