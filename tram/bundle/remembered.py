"""What is made of the very same files is the same: its tree is remembered, its content made only if somebody asks.

A host that has the tree needs no content, so a run without change at the centre costs no build. Remembered are names
and digests, no content. Only what depends on files alone is: nothing whose variables run programs or ask elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from configparser import ConfigParser, Error
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock

from tram.bundle.content import Content
from tram.bundle.roles import Project, find_project
from tram.core.canonical import BadDocument, digest
from tram.core.errors import TramError
from tram.core.tree import Tree

_FORMAT = 1
_KEPT = 2000
_OURS = [Path(__file__).parents[1] / room for room in ("bundle", "core", "register")]
_PACKAGES = ("ansible-core", "ansible")
_SETTLED_SECONDS = 2.0  # a file that was written this moment may be written again within the clock's step
# Lookups whose answer is in the files looked at here; any other, or one whose name is worked out, may ask anything.
_IN_FILES = frozenset(
    ("template", "password", "vars", "varnames", "dict", "items", "list", "nested", "sequence", "subelements")
)
_LOOKUP = re.compile(rb"\b(?:lookup|query|q)\s*\(\s*(?:['\"](?:ansible\.(?:builtin|legacy)\.)?([a-z_.]+)['\"])?")
_OTHERWISE = re.compile(rb"\$ANSIBLE_VAULT|\bnow\s*\(|\bstrftime\b|\brandom")  # a password elsewhere; time; chance
_TEXTS = (".yml", ".yaml", ".j2", ".json", "")


def cache_dir() -> Path:
    """The operator's cache. Source: XDG Base Directory Specification."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tram"


class Remembered:
    """The trees made of one playbook, as its files stand now. Make it before anything is built."""

    def __init__(self, playbook: Path, inventory: Path, secrets: Path, *, check: bool) -> None:
        self._folder = cache_dir() / "built"
        self._project, self._beside, self._inventory = find_project(playbook), playbook.resolve().parent, inventory
        roots = [self._beside, inventory.resolve(), secrets, *_places(self._project)]
        self._newest = 0.0
        seen = hashlib.sha256()
        said = [_FORMAT, str(playbook.resolve()), check, platform.python_version(), *map(_version, _PACKAGES)]
        said += [
            f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith(("ANSIBLE", "TRAM"))
        ]
        seen.update(json.dumps(said).encode())
        for root in (*roots, self._project.folder / "ansible.cfg", *_OURS):
            for line in self._files(root):
                seen.update(line)
        self._key = seen.hexdigest()

    def content(self, host: str, build: Callable[[], Content]) -> Content | None:
        """The host's content, when it was kept; `build` makes it in earnest, should more than its tree be asked for."""
        path = self._path(host)
        try:
            found = json.loads(path.read_bytes())
            tree = Tree.parse(found["tree"].encode())
            os.utime(path)
            return Content(tree, _Later(tree, build), tuple(found["roles"]), tuple(found["returns"]), ())
        except (OSError, ValueError, KeyError, TypeError, AttributeError, BadDocument):
            return None

    def keep(self, contents: Mapping[str, Content]) -> None:
        """Remember what was built, unless it may depend on more than the files, or they were written just now."""
        roles = {name for content in contents.values() for name in content.roles}
        if time.time() - self._newest < _SETTLED_SECONDS or not self._is_closed(roles):
            return
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for host, content in contents.items():
                if content.first or content.missing:
                    continue  # not as it should be yet: looked at anew each time
                tree = content.tree.canonical().decode()
                kept = {"tree": tree, "roles": list(content.roles), "returns": list(content.returns)}
                path = self._path(host)
                new = path.with_name(f".{path.name}.{os.getpid()}")
                new.touch(mode=0o600)
                new.write_text(json.dumps(kept))
                new.replace(path)
            found = sorted(self._folder.glob("[0-9a-f]*"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
            for old in found[_KEPT:]:
                old.unlink(missing_ok=True)

    def _path(self, host: str) -> Path:
        return self._folder / digest(f"{self._key} {host}".encode())

    def _files(self, root: Path) -> Iterator[bytes]:
        """One line for each file: its name, and what changes when it does."""
        for folder, folders, names in os.walk(root) if root.is_dir() else [(str(root.parent), [], [root.name])]:
            folders[:] = sorted(name for name in folders if name not in ("__pycache__", ".git"))
            for name in sorted(names):
                path = Path(folder, name)
                try:
                    now = path.stat()
                except OSError:
                    yield f"{path} -\n".encode()
                    continue
                self._newest = max(self._newest, now.st_mtime, now.st_ctime)
                yield f"{path} {now.st_mode} {now.st_size} {now.st_ino} {now.st_mtime_ns} {now.st_ctime_ns}\n".encode()

    def _is_closed(self, roles: Iterable[str]) -> bool:
        """Whether no text that the centre itself evaluates asks anything but these files: those of the inventory, and
        of the roles the descriptions with all that their variables and templates may bring in."""
        folders = [self._inventory, self._beside / "group_vars", self._beside / "host_vars"]
        for name in roles:
            role = self._project.find_role(name, self._beside)
            if role is None:
                return False
            folders.append(role.folder)
        return not any(_asks_elsewhere(path) for folder in folders for path in _evaluated(folder))


class _Later(Mapping[str, bytes]):
    """The objects of a tree, built when the first of them is asked for."""

    def __init__(self, tree: Tree, build: Callable[[], Content]) -> None:
        self._tree, self._build, self._lock = tree, build, Lock()
        self._names = frozenset(entry.digest for entry in tree.files.values())
        self._built: Mapping[str, bytes] | None = None

    def __getitem__(self, name: str) -> bytes:
        with self._lock:
            if self._built is None:
                built = self._build()
                if built.tree.digest != self._tree.digest:
                    raise TramError("the playbook's files changed while it was delivered", hint="deliver it again")
                self._built = built.objects
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _places(project: Project) -> Iterator[Path]:
    """Where the project has roles, plugins and modules of its own."""
    yield from (path for path in project.roles_path if path.is_dir())
    config = ConfigParser(interpolation=None, strict=False)
    with suppress(Error):  # Ansible itself says what is wrong with it
        config.read(project.folder / "ansible.cfg", encoding="utf-8")
    for key, value in config.items("defaults") if config.has_section("defaults") else ():
        if key.endswith(("_plugins", "library", "module_utils")):
            yield from (project.folder / word.strip() for word in value.split(":") if word.strip())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _evaluated(root: Path) -> Iterator[Path]:
    """Variables, templates, descriptions, programs that make an inventory; tasks are the host's to evaluate."""
    for path in root.rglob("*"):
        inside = path.relative_to(root).parts
        if path.is_file() and not {"tasks", "handlers", "files", "__pycache__", ".git"} & set(inside):
            yield path


def _asks_elsewhere(path: Path) -> bool:
    """Whether a file is a program, a vault, or has an expression that asks for more than is in these files."""
    if path.suffix not in _TEXTS:
        return False
    data = path.read_bytes()
    if _OTHERWISE.search(data) or (data.startswith(b"#!") and os.access(path, os.X_OK)):
        return True
    if re.search(rb"^plugin:\s*+(?!tram_register\s*$)", data, re.MULTILINE):
        return True
    return any((found[1] or b"").decode() not in _IN_FILES for found in _LOOKUP.finditer(data))
