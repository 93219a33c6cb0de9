"""Everything a play can come to: its roles with their dependencies, the files they include, every task in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tram.bundle.nodes import Node, Place, Unreadable, entries, is_template, items, line, read, text
from tram.bundle.plays import Play, shown
from tram.bundle.roles import Project, Role
from tram.register import Problem

# The words of a task that are not its action (Ansible's playbook keywords).
_KEYWORDS = frozenset(
    """
    any_errors_fatal args async become become_exe become_flags become_method become_user changed_when check_mode
    collections connection debugger delay delegate_facts delegate_to diff environment failed_when ignore_errors
    ignore_unreachable listen loop loop_control module_defaults name no_log notify poll port register remote_user
    retries run_once tags throttle timeout until vars when
    """.split()  # noqa: SIM905 a table of words reads better than a column of strings
)
_BLOCKS = ("block", "rescue", "always")
_NEVER = re.compile(
    r"not\s*\(?\s*tram_delivered\s*(\|\s*default\(\s*false\s*(,\s*true\s*)?\)\s*)?(\|\s*bool\s*)?\)?", re.IGNORECASE
)
_SELF = re.compile(r"\{\{\s*inventory_hostname\s*\}\}")


@dataclass(frozen=True, slots=True)
class Guard:
    """The conditions a task stands under, outermost first."""

    conditions: tuple[str, ...] = ()

    def under(self, when: Node | None) -> Guard:
        """This guard with one condition more."""
        return Guard((*self.conditions, *(text(node) for node in items(when))))

    @property
    def knows_delivery(self) -> bool:
        """Whether a condition asks how the play came to the host."""
        return any("tram_delivered" in condition for condition in self.conditions)

    @property
    def never(self) -> bool:
        """Whether this surely does not run on a host that was delivered to."""
        return any(
            _NEVER.fullmatch(part.strip()) is not None
            for condition in self.conditions
            if not re.search(r"\b(or|if)\b", condition)
            for part in condition.split(" and ")
        )


@dataclass(frozen=True, slots=True)
class Step:
    """A task: its action, all of its keys, where it stands and under what."""

    action: str
    keys: dict[str, Node]
    place: Place
    guard: Guard
    collections: tuple[str, ...]
    in_role: bool


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A task that wants to run on another machine than the play's host."""

    place: Place
    target: str
    where: str


@dataclass(slots=True)
class Reach:
    """What one play comes to. `whole` are the roles applied by their main tasks, with the keys of their entry in the
    play; `tasks` are the task files it comes to, `open` the roles that choose some of theirs when they run; `files` are
    task files outside of roles, by their place in the tree."""

    roles: dict[str, Role] = field(default_factory=dict)
    whole: dict[str, dict[str, Node]] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    tasks: set[Path] = field(default_factory=set)
    open: set[str] = field(default_factory=set)
    elsewhere: list[Elsewhere] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Scene:
    """Where a list of tasks is: in which role (None: in the play itself), which file, under what."""

    role: Role | None
    file: Path
    guard: Guard
    collections: tuple[str, ...]


class Walker:
    """Walks one play; each file once for each guard that matters."""

    def __init__(self, play: Play, project: Project) -> None:
        self.play = play
        self.project = project
        self.reach = Reach()
        self._been: set[tuple[str, str, bool, bool]] = set()

    def walk(self) -> Reach:
        """The whole play."""
        keys = self.play.keys
        collections = tuple(text(node) for node in items(keys.get("collections")))
        scene = _Scene(None, self.play.folder / Path(self.play.place.file).name, Guard(), collections)
        self._elsewhere(keys, self.play.place, scene, f"play {self.play.name}")
        for section in ("pre_tasks", "tasks", "post_tasks", "handlers"):
            self._tasks(items(keys.get(section)), scene)
        for node in items(keys.get("roles")):
            entry = entries(node)
            name = text(entry.get("role") or entry.get("name")) if entry else text(node)
            place = Place(self.play.place.file, line(node))
            self._role(name, "main", place, scene, entry)
        return self.reach

    def _role(self, name: str, entry: str, place: Place, scene: _Scene, keys: dict[str, Node]) -> None:
        """A role entered by one of its task files, after everything it depends on."""
        if is_template(name) or is_template(entry):
            shown_name = name if is_template(name) else entry
            self._wrong(place, f'role "{shown_name}" is known only when it runs', "name each role, under its own when:")
            return
        role = self.project.find_role(name, self.play.folder, scene.collections)
        if role is None:
            self._wrong(place, f'role "{name}" is not there', "put it under roles/, or install its collection")
            return
        guard = scene.guard.under(keys.get("when"))
        mark = (role.target, entry, guard.never, guard.knows_delivery)
        if mark in self._been:
            return
        self._been.add(mark)
        meta = self._read(role.file("meta", "main"))
        collections = tuple(text(node) for node in items(entries(meta).get("collections")))
        inside = _Scene(role, role.folder, guard, (*collections, *scene.collections))
        self._elsewhere(keys, place, scene, f"role {name}")
        for node in items(entries(meta).get("dependencies")):
            needed = entries(node)
            needed_name = text(needed.get("role") or needed.get("name")) if needed else text(node)
            self._role(needed_name, "main", self._place(role.folder / "meta/main.yml", node), inside, needed)
        self.reach.roles.setdefault(role.name, role)
        wanted = [("tasks", entry), ("handlers", "main")]
        if entry == "main" and not guard.never:
            self.reach.whole.setdefault(role.name, keys)
            wanted += [("tasks", role.verify)] if role.verify else []
        for folder, file in wanted:
            path = role.file(folder, file)
            if path is not None:
                self._file(path, inside)
            elif file == entry != "main":
                self._wrong(place, f'role "{name}" has no tasks/{entry}.yml')

    def _file(self, path: Path, scene: _Scene) -> None:
        mark = (str(path), "", scene.guard.never, scene.guard.knows_delivery)
        if mark in self._been:
            return
        self._been.add(mark)
        self.reach.tasks.add(path.resolve())
        if scene.role is None:
            self._beside(path)
        self._tasks(items(self._read(path)), _Scene(scene.role, path, scene.guard, scene.collections))

    def _beside(self, path: Path) -> None:
        """A task file of the playbook itself travels at its place beside the playbook."""
        if path.is_relative_to(self.play.folder.resolve()):
            self.reach.files[str(path.relative_to(self.play.folder.resolve()))] = path
        else:
            self._wrong(Place(self._shown(path), 1), "lies outside of the playbook's directory", "make it a role")

    def _tasks(self, nodes: Sequence[Node], scene: _Scene) -> None:
        for node in nodes:
            keys, place = entries(node), self._place(scene.file, node)
            guard = scene.guard.under(keys.get("when"))
            inner = _Scene(scene.role, scene.file, guard, (*_names(keys.get("collections")), *scene.collections))
            if any(section in keys for section in _BLOCKS):
                self._elsewhere(keys, place, scene, "a block")
                for section in _BLOCKS:
                    self._tasks(items(keys.get(section)), inner)
            elif keys:
                self._task(keys, place, inner)

    def _task(self, keys: dict[str, Node], place: Place, scene: _Scene) -> None:
        action, args = _action(keys)
        short = action.removeprefix("ansible.builtin.").removeprefix("ansible.legacy.")
        self._elsewhere(keys, place, scene, f'task "{text(keys.get("name")) or action}"')
        self.reach.steps.append(Step(action, keys, place, scene.guard, scene.collections, scene.role is not None))
        if short.startswith("include_") and scene.guard.never:
            return  # read only when it runs, and it never does
        if short in ("import_tasks", "include_tasks"):
            self._include(text(entries(args).get("file")) or text(args), place, scene)
        elif short in ("import_role", "include_role"):
            given = entries(args)
            name = text(given.get("name") or given.get("role"))
            self._role(name, text(given.get("tasks_from")) or "main", place, scene, _role_keys(keys))

    def _include(self, name: str, place: Place, scene: _Scene) -> None:
        if scene.role is not None and is_template(name):
            self.reach.open.add(scene.role.name)
        bases = [scene.file.parent]
        if scene.role is not None:
            bases += [scene.role.folder / "tasks", scene.role.folder / "handlers"]
        bases.append(self.play.folder)
        for base in bases:
            found = [path.resolve() for path in _fitting(base, name) if path.is_file()]
            if found:
                for path in found:
                    self._file(path, scene)
                return
        self._wrong(place, f'includes "{name}", which is not there')

    def _elsewhere(self, keys: dict[str, Node], place: Place, scene: _Scene, where: str) -> None:
        """Note a task that runs on the centre or another host, and does not say for which way of coming here."""
        if scene.guard.under(keys.get("when")).knows_delivery:
            return
        target = text(keys.get("delegate_to"))
        if "local_action" in keys or text(keys.get("connection")).split(".")[-1] == "local":
            target = "localhost"
        if not target or _SELF.fullmatch(target.strip()) or "tram_delivered" in target:
            return
        self.reach.elsewhere.append(
            Elsewhere(place, target, f"role {scene.role.name}, {where}" if scene.role else where)
        )

    def _read(self, path: Path | None) -> Node | None:
        if path is None:
            return None
        try:
            return read(path, self._shown(path))
        except Unreadable as error:
            self.reach.problems.append(error.problem)
            return None

    def _shown(self, path: Path) -> str:
        return shown(path, self.project.folder)

    def _place(self, path: Path, node: Node) -> Place:
        return Place(self._shown(path), line(node))

    def _wrong(self, place: Place, message: str, hint: str = "") -> None:
        self.reach.problems.append(place.problem(message, hint))


def _fitting(base: Path, name: str) -> Sequence[Path]:
    """The file of this name; of a name with a template in it those that fit, and that it speaks of if it speaks of any
    ("{{ 'small' if … else 'big' }}.yml")."""
    pattern = re.sub(r"\{\{.*?\}\}", "*", name)
    if pattern == name:
        return [base / name]
    fitting = sorted(base.glob(pattern))
    words = {
        word for expression in re.findall(r"\{\{(.*?)\}\}", name) for word in re.findall(r"['\"](.+?)['\"]", expression)
    }
    spoken_of = [
        path for path in fitting if words & {path.name, path.stem, *path.stem.split("-"), *path.stem.split("_")}
    ]
    return spoken_of or fitting


def _action(keys: dict[str, Node]) -> tuple[str, Node | None]:
    """The action of a task and what it is given, in each of the three ways to write it."""
    for word in ("action", "local_action"):
        if word in keys:
            given = entries(keys[word])
            return (text(given["module"]), keys[word]) if "module" in given else (_first(text(keys[word])), keys[word])
    for key, value in keys.items():
        if key not in _KEYWORDS and not key.startswith("with_"):
            return key, value
    return "", None


def _first(words: str) -> str:
    return (words.split() or [""])[0]


def _names(node: Node | None) -> tuple[str, ...]:
    return tuple(text(one) for one in items(node))


def _role_keys(keys: dict[str, Node]) -> dict[str, Node]:
    """What of an include_role task must also hold when the role is verified; its when is in the guard already."""
    return {key: keys[key] for key in ("vars", "when") if key in keys}
