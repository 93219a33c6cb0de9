"""Every role keeps the promises of docs/map.md: an API that is described, typed, prefixed and proved."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tram.delivery import returned
from tram.site import report

REPO = Path(__file__).parents[2]
ROLES = sorted(path for path in (REPO / "roles").iterdir() if (path / "tasks").is_dir())
NO_SERVICE = {"preflight", "control", "guard"}
"""Roles that leave nothing running on a host: there is nothing to verify there."""

TYPES: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "path": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "list": list,
    "dict": dict,
}

each_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None


def options(role: Path) -> dict[str, dict[str, Any]]:
    return read(role / "meta/argument_specs.yml")["argument_specs"]["main"].get("options") or {}


@each_role
def test_a_role_has_all_its_parts(role: Path) -> None:
    parts = ["README.md", "defaults/main.yml", "meta/argument_specs.yml", "meta/main.yml", "tasks/main.yml"]
    parts += [] if role.name in NO_SERVICE else ["tasks/verify.yml"]
    assert [part for part in parts if not (role / part).is_file()] == []


@each_role
def test_argument_specs_and_defaults_name_the_same_variables(role: Path) -> None:
    assert sorted(options(role)) == sorted(read(role / "defaults/main.yml") or {})


@each_role
def test_defaults_are_of_the_type_the_specs_say(role: Path) -> None:
    defaults = read(role / "defaults/main.yml") or {}
    assert list(disagreements(defaults, options(role))) == []


def disagreements(values: dict[str, Any], specs: dict[str, dict[str, Any]]) -> Iterator[str]:
    """What a value and its spec do not agree on. Templates are typed when the play runs, by Ansible."""
    for name, spec in specs.items():
        value = values.get(name)
        if not spec.get("description"):
            yield f"{name}: no description"
        if "default" in spec and name in values and spec["default"] != value:
            yield f"{name}: argument_specs says default {spec['default']!r}, defaults/main.yml {value!r}"
        if value is None or (isinstance(value, str) and "{{" in value):
            continue
        kind = spec.get("type", "str")
        wanted = TYPES[kind]
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind != "bool"):
            yield f"{name}: {value!r} is no {kind}"
        items = value if kind == "list" else [value]
        for item in items:
            if kind == "list" and not isinstance(item, TYPES[spec.get("elements", "str")]):
                yield f"{name}: {item!r} is no {spec.get('elements', 'str')}"
            if spec.get("options") and isinstance(item, dict):
                unknown = set(item) - set(spec["options"])
                yield from (f"{name}: unknown key {key}" for key in unknown)


@each_role
def test_every_default_says_why_it_is_there(role: Path) -> None:
    """Each paragraph of defaults begins with its comment; variables that belong together share one."""
    text = (role / "defaults/main.yml").read_text(encoding="utf-8").removeprefix("---\n")
    assert [part.split("\n")[0] for part in re.split(r"\n\s*\n", text) if not part.lstrip().startswith("#")] == []


@each_role
def test_every_variable_bears_the_roles_name(role: Path) -> None:
    prefixes = (f"{role.name}_", f"__{role.name}_")
    found = {name for path in sorted(role.glob("*/*.yml")) for name in variables(path)}
    assert sorted(name for name in found if not name.startswith(prefixes)) == []


def test_roles_whose_name_begins_with_anothers_are_told_apart() -> None:
    names = [role.name for role in ROLES]
    longer = {name: [other for other in names if other.startswith(f"{name}_")] for name in names}
    known = read(REPO / "roles/preflight/vars/main.yml")["__preflight_longer"]
    assert known == {name: others for name, others in longer.items() if others}


def variables(path: Path) -> Iterator[str]:
    """Every variable a role's file sets."""
    content = read(path)
    if path.parent.name in {"defaults", "vars"}:
        yield from content or {}
    elif path.parent.name in {"tasks", "handlers"}:
        for task in tasks(content or []):
            yield from (name for name in [task.get("register")] if name)
            yield from task.get("ansible.builtin.set_fact", {})
            yield from (name for name in [task.get("loop_control", {}).get("loop_var")] if name)
            including = {"ansible.builtin.include_role", "ansible.builtin.import_role"} & set(task)
            yield from {} if including else task.get("vars", {})


def tasks(listed: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in listed:
        yield task
        for part in ("block", "rescue", "always"):
            yield from tasks(task.get(part, []))


@each_role
def test_what_a_role_returns_may_come_back(role: Path, tmp_path: Path) -> None:
    """Declared is not enough: the host looks for known names only, and so does the centre."""
    for wanted in (read(role / "meta/tram.yml") or {}).get("returns", []):
        name = re.sub(r"{{.*?}}", "huong-khe-srv1", wanted)
        assert returned.acceptable(name, 96, [name]), name
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
        assert any(tmp_path / name in tmp_path.glob(pattern) for pattern in report.RETURNS), name


def test_the_tables_of_variables_are_generated() -> None:
    seen = subprocess.run(
        [sys.executable, REPO / "scripts/role-docs", "--check"], capture_output=True, text=True, check=False
    )
    assert seen.returncode == 0, f"run scripts/role-docs\n{seen.stdout}{seen.stderr}"
    pages = [path for role in ROLES if (path := role / "README.md").exists()]
    assert [str(page) for page in pages if "<!-- variables -->" not in page.read_text(encoding="utf-8")] == []
