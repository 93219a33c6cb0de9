"""The files of collections that a host needs: plugins in use, all they import, and what is said about their names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from tram.bundle.asking import Found
from tram.bundle.nodes import Node, entries, mapped, read, written

# Kinds whose options Ansible reads from their documentation, fragments included, when it loads them.
_DOCUMENTED = frozenset(("lookup", "connection", "become"))
_FRAGMENT = re.compile(r"\b([a-z_]\w*\.[a-z_]\w*)\.([a-z_]\w*)(?:\.\w+)?\b")


class Collected:
    """Files of collections; `files` has them by their place in the tree. `known` remembers what each file imports, for
    the next host."""

    def __init__(self, known: dict[Path, tuple[Path, ...]]) -> None:
        self.files: dict[str, Path] = {}
        self._known = known
        self._names: dict[str, set[tuple[str, str]]] = {}
        self._base = Path()
        self._imported: set[Path] = set()

    def add(self, found: Found, *, runs: bool = True) -> None:
        """A plugin with all it imports; one that never runs only has to be found, so it comes alone."""
        root = _root(found.path)
        self._base = root.parent.parent
        names = found.names or (f"{found.collection}.{found.path.stem}",)
        for name in names:
            collection, _, short = _split(name)
            self._names.setdefault(collection, set()).add((found.kind, short))
        self._file(found.path, runs=runs)
        if found.kind in _DOCUMENTED:
            self._fragments(found.path)

    def routing(self, *, groups: bool) -> dict[str, bytes]:
        """By its place in the tree, the part of each collection's meta/runtime.yml that is about names in use
        (redirections and the like); with `groups` also its groups of actions."""
        written_files = {}
        for collection in sorted(self._names):
            path = self._base.joinpath(*collection.split("."), "meta/runtime.yml")
            if path.is_file():
                kept = _kept(_runtime(path, path.stat().st_mtime_ns), self._names[collection], groups=groups)
                if kept:
                    written_files[self._place(path)] = written(mapped(kept)).encode()
        return written_files

    def _place(self, path: Path) -> str:
        return f"collections/ansible_collections/{path.relative_to(self._base)}"

    def _file(self, path: Path, *, runs: bool) -> None:
        self.files[self._place(path)] = path
        if not runs or path in self._imported:
            return
        self._imported.add(path)
        for package in path.parents[: len(path.relative_to(self._base).parts) - 3]:
            if (package / "__init__.py").is_file():
                self._file(package / "__init__.py", runs=True)
        if path not in self._known:
            self._known[path] = tuple(dict.fromkeys(_imports(path, self._base)))
        for needed in self._known[path]:
            self._file(needed, runs=True)

    def _fragments(self, path: Path) -> None:
        documented = path.read_text(encoding="utf-8").partition("extends_documentation_fragment")[2]
        for collection, fragment in _FRAGMENT.findall(documented[:500]):
            file = self._base.joinpath(*collection.split("."), f"plugins/doc_fragments/{fragment}.py")
            if file.is_file():
                self._file(file, runs=False)


def _root(path: Path) -> Path:
    """The directory of the collection a file is in: …/ansible_collections/<namespace>/<name>."""
    return next(up for up in path.parents if up.parent.parent.name == "ansible_collections")


def _split(name: str) -> tuple[str, str, str]:
    """namespace.name, a dot, and the plugin's own name, which may have dots itself."""
    parts = name.split(".")
    return ".".join(parts[:2]), ".", ".".join(parts[2:])


def _imports(path: Path, base: Path) -> Iterator[Path]:
    """The files of collections that a Python file imports anywhere in it."""
    here = ["ansible_collections", *path.relative_to(base).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _module(alias.name.split("."), base)
        elif isinstance(node, ast.ImportFrom):
            package = here[: len(here) - node.level + 1] if node.level else []
            module = [*package, *(node.module or "").split(".")] if node.module else package
            yield from _module(module, base)
            for alias in node.names:
                yield from _module([*module, alias.name], base)


def _module(parts: list[str], base: Path) -> Iterator[Path]:
    if parts[:1] != ["ansible_collections"] or len(parts) < 4:
        return
    path = base.joinpath(*parts[1:])
    for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
        if file.is_file():
            yield file


@lru_cache(maxsize=16)
def _runtime(path: Path, _changed: int) -> dict[str, Node]:
    """meta/runtime.yml of a collection, as long as it has not changed: some are long."""
    return entries(read(path, str(path)))


def _kept(runtime: Mapping[str, Node], names: set[tuple[str, str]], *, groups: bool) -> dict[str, Node]:
    routing = {}
    for kind, given in entries(runtime.get("plugin_routing")).items():
        used = {short: node for short, node in entries(given).items() if (kind, short) in names}
        if used:
            routing[kind] = mapped(used)
    found: dict[str, Node] = {"plugin_routing": mapped(routing)} if routing else {}
    if "action_groups" in runtime and groups:
        found["action_groups"] = runtime["action_groups"]
    return found
