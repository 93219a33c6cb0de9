"""YAML as it stands in its file: nodes with their lines, and no tag or template ever acted upon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from tram.register import Problem

Node = yaml.Node
_NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: the file as shown to the operator, the line from 1."""

    file: str
    line: int

    def problem(self, message: str, hint: str = "") -> Problem:
        """An error at this place."""
        return Problem(self.file, self.line, (), message, hint)


class Unreadable(Exception):
    """A file that is no YAML; carries the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def read(path: Path, shown: str) -> Node | None:
    """The document of a file; None when it is empty.

    Raises: Unreadable.
    """
    try:
        found: Node | None = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(Problem(shown, 1, (), f"cannot be read: {error}")) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Unreadable(Problem(shown, line, (), f"is not YAML: {error.problem}")) from error
    except yaml.YAMLError as error:
        raise Unreadable(Problem(shown, 1, (), f"is not YAML: {error}")) from error
    return found


def line(node: Node) -> int:
    """The line a node begins at, from 1; 1 for a node of ours."""
    return node.start_mark.line + 1 if node.start_mark else 1


def entries(node: Node | None) -> dict[str, Node]:
    """The keys of a mapping with their values; nothing of anything else."""
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def items(node: Node | None) -> list[Node]:
    """The items of a list; a single value is a list of one, as Ansible reads it."""
    if node is None or (isinstance(node, yaml.ScalarNode) and node.tag == _NULL):
        return []
    return list(node.value) if isinstance(node, yaml.SequenceNode) else [node]


def text(node: Node | None) -> str:
    """The text of a scalar as written; "" for null and anything else."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) and node.tag != _NULL else ""


def scalars(node: Node | None) -> Iterator[str]:
    """Every text in a node, keys too."""
    if isinstance(node, yaml.ScalarNode):
        yield node.value
    elif isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            yield from scalars(inner)
    elif isinstance(node, yaml.MappingNode):
        for key, inner in node.value:
            yield from scalars(key)
            yield from scalars(inner)


def scalar(value: str) -> Node:
    """A node of ours: text."""
    return yaml.ScalarNode("tag:yaml.org,2002:str", value)


def listed(values: list[Node]) -> Node:
    """A node of ours: a list."""
    return yaml.SequenceNode("tag:yaml.org,2002:seq", values, flow_style=False)


def mapped(values: dict[str, Node]) -> Node:
    """A node of ours: a mapping, in this order."""
    return yaml.MappingNode("tag:yaml.org,2002:map", [(scalar(k), v) for k, v in values.items()], flow_style=False)


def written(node: Node) -> str:
    """The node as a document, without its comments."""
    return str(yaml.serialize(node, Dumper=yaml.CSafeDumper, allow_unicode=True, width=2**20))


def is_template(words: str) -> bool:
    """Whether Ansible would fill something in."""
    return "{{" in words or "{%" in words
