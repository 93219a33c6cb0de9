"""A role on disk: where it is found, which of its files a host needs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from configparser import ConfigParser, Error
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tram.bundle.nodes import Node, Unreadable, entries, read, text

# Where Ansible looks inside a role. README, tests, molecule and whatever else is there stays at home.
_FOLDERS = frozenset(("tasks", "handlers", "templates", "files", "vars", "defaults", "meta", "library", "module_utils"))
_NOT = (".pyc", ".swp", "~")
_DEFAULT_PATHS = "~/.ansible/roles:/usr/share/ansible/roles:/etc/ansible/roles"


@dataclass(frozen=True, slots=True)
class Role:
    """A role; `name` as tasks call it, `folder` where it is, `target` where a bundle puts it."""

    name: str
    folder: Path
    target: str

    def file(self, folder: str, name: str) -> Path | None:
        """A YAML file of the role, with or without its extension in `name`; None when there is none."""
        for suffix in ("", ".yml", ".yaml", ".json"):
            path = self.folder / folder / f"{name}{suffix}"
            if path.is_file():
                return path
        return None

    @property
    def verify(self) -> str | None:
        """The task file by which the role proves itself on its own host; None when it has none. It is `verify`, unless
        meta/tram.yml names another one, because `verify` may need what only the centre has: other hosts."""
        keys: dict[str, Node] = {}
        with suppress(OSError, Unreadable):  # no such file; or it is reported where the rest of it is read
            keys = entries(read(self.folder / "meta/tram.yml", ""))
        name = text(keys["verify"]) if "verify" in keys else "verify"
        return name if name and self.file("tasks", name) else None

    def files(self) -> Iterator[Path]:
        """Every file a host may need, in order of path."""
        for path in sorted(self.folder.rglob("*")):
            inside = path.relative_to(self.folder)
            if not (inside.parts[0] in _FOLDERS or inside.parts[0].endswith("_plugins")) or path.is_dir():
                continue
            if path.name.endswith(_NOT) or "__pycache__" in inside.parts or str(inside) == "meta/tram.yml":
                continue
            if path.name not in (".gitignore", ".gitkeep"):
                yield path

    def modules(self) -> frozenset[str]:
        """The modules and action plugins the role brings itself."""
        found = [*(self.folder / "library").rglob("*.py"), *(self.folder / "action_plugins").glob("*.py")]
        return frozenset(path.stem for path in found)


@dataclass(frozen=True, slots=True)
class Project:
    """The checkout a playbook is of: the directory with its ansible.cfg, and where roles are looked for."""

    folder: Path
    roles_path: tuple[Path, ...]

    def find_role(self, name: str, playbook_folder: Path, collections: Sequence[str] = ()) -> Role | None:
        """The role of this name, searched as Ansible does: collections, beside the playbook, then the roles path."""
        for collection, short in _qualified(name, collections):
            for base in collection_roots():
                folder = base.joinpath(*collection.split("."), "roles", short)
                if folder.is_dir():
                    place = f"collections/ansible_collections/{collection.replace('.', '/')}/roles/{short}"
                    return Role(f"{collection}.{short}", folder, place)
        for base in (playbook_folder / "roles", *self.roles_path):
            if (base / name).is_dir():
                return Role(name, (base / name).resolve(), f"roles/{name}")
        return None


def collection_roots() -> tuple[Path, ...]:
    """The directories `ansible_collections` of this environment."""
    spec = find_spec("ansible_collections")
    return tuple(Path(found) for found in (spec.submodule_search_locations if spec else None) or ())


def find_project(playbook: Path) -> Project:
    """The project of a playbook: the nearest directory upwards with an ansible.cfg, or else the playbook's own."""
    folder = next(
        (up for up in playbook.resolve().parents if (up / "ansible.cfg").is_file()), playbook.resolve().parent
    )
    return Project(folder, tuple(_roles_path(folder)))


def _roles_path(folder: Path) -> Iterator[Path]:
    given, base = os.environ.get("ANSIBLE_ROLES_PATH"), Path.cwd()
    if given is None:
        config, base = ConfigParser(interpolation=None, strict=False), folder
        with suppress(Error):  # Ansible itself says what is wrong with it, a moment later
            config.read(folder / "ansible.cfg", encoding="utf-8")
        given = config.get("defaults", "roles_path", fallback=_DEFAULT_PATHS)
    for word in given.split(":"):
        if word.strip():
            yield base / Path(word.strip()).expanduser()


def _qualified(name: str, collections: Sequence[str]) -> Iterator[tuple[str, str]]:
    parts = name.split(".")
    if len(parts) == 3:
        yield f"{parts[0]}.{parts[1]}", parts[2]
    elif len(parts) == 1:
        yield from ((collection, name) for collection in collections)
