"""A playbook as the list of its plays: imported playbooks taken apart, each play with all that its import said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tram.bundle.nodes import (
    Node,
    Place,
    Unreadable,
    entries,
    is_template,
    items,
    line,
    listed,
    mapped,
    read,
    scalar,
    text,
)
from tram.register import Problem

_IMPORTS = ("import_playbook", "ansible.builtin.import_playbook")
_TASK_LISTS = ("pre_tasks", "roles", "tasks", "post_tasks")
# What is about many hosts at once; here there is one.
_FOR_MANY = ("serial", "strategy", "max_fail_percentage", "order", "port", "remote_user")


@dataclass(frozen=True, slots=True)
class Play:
    """One play: its keys as they stand, where it stands, and the directory its relative paths begin at."""

    keys: dict[str, Node]
    place: Place
    folder: Path

    @property
    def pattern(self) -> str:
        """The `hosts:` of the play, as Ansible joins a list of them."""
        return ",".join(text(node) for node in items(self.keys.get("hosts")))

    @property
    def name(self) -> str:
        """What the play is called, for people."""
        return text(self.keys.get("name")) or self.pattern

    def for_host(self, host: str) -> Node:
        """The play as that host gets it."""
        kept = {key: value for key, value in self.keys.items() if key not in _FOR_MANY}
        return mapped({key: scalar(host) if key == "hosts" else value for key, value in kept.items()})


def read_plays(playbook: Path, project: Path) -> tuple[list[Play], list[Problem]]:
    """Every play of a playbook in order, whatever hosts it is for, with all that is wrong."""
    reader = _Reader(project)
    return list(reader.read(playbook.resolve())), reader.problems


def shown(path: Path, project: Path) -> str:
    """A path as the operator knows it."""
    return str(path.relative_to(project)) if path.is_relative_to(project) else str(path)


class _Reader:
    """Reads a playbook and those it imports."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.problems: list[Problem] = []

    def read(self, playbook: Path, above: tuple[Path, ...] = ()) -> Iterator[Play]:
        """The plays of one playbook; `above` are those that import it."""
        name = shown(playbook, self.project)
        try:
            document = read(playbook, name)
        except Unreadable as error:
            self.problems.append(error.problem)
            return
        for node in items(document):
            keys, place = entries(node), Place(name, line(node))
            imported = next((keys[key] for key in _IMPORTS if key in keys), None)
            if imported is not None:
                for play in self._import(text(imported), place, (*above, playbook)):
                    yield replace(play, keys=_with_import(play.keys, keys))
            elif "hosts" not in keys:
                self._wrong(place, "a play without hosts:")
            elif is_template(",".join(text(one) for one in items(keys["hosts"]))):
                self._wrong(place, "hosts: is a template, known only when it runs", "write groups or hosts")
            elif "vars_prompt" in keys:
                self._wrong(place, "vars_prompt: nobody answers at the site", "put the value into group_vars")
            else:
                yield Play(keys, place, playbook.parent)

    def _import(self, target: str, place: Place, above: tuple[Path, ...]) -> Iterator[Play]:
        path = (above[-1].parent / target).resolve()
        if is_template(target):
            self._wrong(place, f'imports "{target}", known only when it runs', "write the file's name")
        elif not path.is_file():
            self._wrong(place, f'imports "{target}", which is not there')
        elif path in above:
            self._wrong(place, f'imports "{target}", which imports this one')
        else:
            yield from self.read(path, above)

    def _wrong(self, place: Place, message: str, hint: str = "") -> None:
        self.problems.append(place.problem(message, hint))


def _with_import(play: dict[str, Node], given: dict[str, Node]) -> dict[str, Node]:
    """The play's keys with vars, tags and when of the import, as Ansible joins them: the import's variables win, tags
    add up, and its condition goes before that of every task and role."""
    found = dict(play)
    if "vars" in given:
        found["vars"] = mapped(entries(play.get("vars")) | entries(given["vars"]))
    if "tags" in given:
        found["tags"] = listed([*items(play.get("tags")), *items(given["tags"])])
    if "when" in given:
        for section in _TASK_LISTS:
            if section in play:
                found[section] = listed([_conditional(node, items(given["when"])) for node in items(play[section])])
    return found


def _conditional(node: Node, when: list[Node]) -> Node:
    keys = entries(node) or {"role": node}
    return mapped(keys | {"when": listed([*when, *items(keys.get("when"))])})
