"""Which files of a checkout go where in a tree, and the ansible.cfg that goes with them."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from configparser import ConfigParser, Error
from contextlib import suppress
from pathlib import Path

from tram.bundle.roles import Role

# Settings of the centre's ansible.cfg that change what a play means. All others are about the centre.
_MEANING = (
    "any_unparsed_is_failed",
    "duplicate_dict_key",
    "error_on_undefined_vars",
    "force_handlers",
    "gathering",
    "hash_behaviour",
    "inject_facts_as_vars",
    "invalid_task_attribute_failed",
    "jinja2_extensions",
    "private_role_vars",
)
_BESIDE = ("files", "templates", "vars")


def role_files(role: Role, project: Path, tasks: Container[Path] | None) -> Iterator[tuple[str, Path]]:
    """The files of a role with their places; of its tasks only those in `tasks` (None: all), because what is included
    at the centre alone is nothing to a host.

    Raises: ValueError for a link that leads out of the project.
    """
    for path in role.files():
        real, inside = path.resolve(), path.relative_to(role.folder)
        if not (real.is_relative_to(role.folder) or real.is_relative_to(project)):
            raise ValueError(f"{inside} is a link out of the project")
        if tasks is None or inside.parts[0] != "tasks" or real in tasks:
            yield f"{role.target}/{inside.as_posix()}", path


def beside(folder: Path, texts: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """The files beside a playbook (files/, templates/, vars/) that its own tasks speak of, with their places. A name
    with a template in it is any file that fits."""
    candidates = {
        path.relative_to(folder).as_posix(): path
        for top in _BESIDE
        if (folder / top).is_dir()
        for path in sorted((folder / top).rglob("*"))
        if path.is_file()
    }
    if not candidates:
        return
    patterns = [_pattern(text) for text in texts if "\n" not in text and re.search(r"\w", re.sub(r"{{.*?}}", "", text))]
    for place, path in candidates.items():
        names = (place, place.partition("/")[2])
        if any(pattern.fullmatch(name) for pattern in patterns for name in names):
            yield place, path


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in re.split(r"{{.*?}}", text.removeprefix("./"))))


def settings(project: Path) -> bytes:
    """ansible.cfg of a tree: everything is in it, and what changes a play's meaning is as at the centre."""
    given = ConfigParser(interpolation=None, strict=False)
    with suppress(Error):  # Ansible has already said what is wrong with it
        given.read(project / "ansible.cfg", encoding="utf-8")
    lines = ["[defaults]", "inventory = inventory.yml", "roles_path = roles", "collections_path = collections"]
    lines += ["retry_files_enabled = False", "nocows = True"]
    for name in _MEANING:
        if given.has_option("defaults", name):
            lines.append(f"{name} = {given.get('defaults', name)}")
    return ("\n".join(lines) + "\n").encode()
