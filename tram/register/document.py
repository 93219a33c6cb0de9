"""A YAML file as plain data plus the line of every key and value, so that each error can say where."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from tram.register.problem import Loc, Problem

_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = {_TAG + kind for kind in ("str", "int", "float", "bool", "null", "map", "seq")}


@dataclass(frozen=True, slots=True)
class Document:
    """One file of a register: its data (always a mapping), and `lines`, from the path of keys to the line (from 1)."""

    file: str
    data: dict[str, Any]
    lines: dict[Loc, int] = field(default_factory=dict)

    def line(self, loc: Loc) -> int:
        """The line of a value, or of the nearest thing around it when it is not there."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)

    def problem(self, loc: Loc, message: str, hint: str = "") -> Problem:
        """An error at a value of this file."""
        return Problem(self.file, self.line(loc), loc, message, hint)


def read_document(path: Path, file: str) -> tuple[Document, list[Problem]]:
    """Read a YAML 1.2 file, shown to the operator as `file`, with every duplicate key and foreign tag reported.

    What cannot be read at all gives an empty document and one problem.
    """
    empty = Document(file, {})
    try:
        raw = path.read_bytes()
    except OSError as error:
        return empty, [Problem(file, 1, (), f"cannot be read: {error.strerror}", "check the name and the permissions")]
    try:
        text = raw.decode("utf-8-sig")  # Windows editors put a byte order mark in front
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return empty, [Problem(file, line, (), "is not UTF-8 text", "save the file again with the encoding UTF-8")]
    return parse_document(text, file)


def parse_document(text: str, file: str) -> tuple[Document, list[Problem]]:
    """The same for text that is at hand."""
    empty = Document(file, {})
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = (error.problem or error.context or "cannot be parsed").strip()
        return empty, [
            Problem(file, mark.line + 1 if mark else 1, (), f"is not YAML: {what}", "check indent and quotes")
        ]
    except RecursionError:
        return empty, [Problem(file, 1, (), "is nested too deeply", "a register needs four levels")]
    except ReaderError as error:
        line, sign = text.count("\n", 0, error.position) + 1, error.character
        return empty, [Problem(file, line, (), f"has a control character, number {sign}", "remove it")]
    if not isinstance(root, MappingNode):
        return empty, [Problem(file, 1, (), "must have `key: value` lines", "see docs/contracts/register.md")]
    builder = _Builder(file, yaml)
    data = builder.build(root, ())
    return Document(file, data, builder.lines), builder.problems


class _Builder:
    """Turns YAML nodes into plain data, remembering lines and what is wrong on the way."""

    def __init__(self, file: str, yaml: YAML) -> None:
        self.file = file
        self.lines: dict[Loc, int] = {}
        self.problems: list[Problem] = []
        self._seen: set[int] = set()
        self._yaml = yaml

    def build(self, node: Node, loc: Loc) -> Any:
        self.lines.setdefault(loc, node.start_mark.line + 1)
        if id(node) in self._seen:
            line = self.lines[loc]  # of the alias; the node itself stands where it was first written
            self.problems.append(
                Problem(self.file, line, loc, "an alias (*name) is not allowed", "write the value out")
            )
            return None
        self._seen.add(id(node))
        if str(node.tag) not in _PLAIN_TAGS:
            self._report(node, loc, f"a value of the kind {node.tag} is not allowed here", "write plain text in quotes")
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, loc)
        if isinstance(node, SequenceNode):
            return [self.build(item, (*loc, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        try:
            return self._yaml.constructor.construct_object(node)
        except ValueError:  # an explicit tag the text does not fit: `!!int ten`
            self._report(node, loc, f'"{node.value}" is not what its tag says', "write plain text in quotes")
            return None

    def _mapping(self, node: MappingNode, loc: Loc) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, ScalarNode) else None
            if not isinstance(key, str):
                self._report(key_node, (*loc, "?"), "a key must be one word", "write `key: value`")
            elif key in data:
                first = self.lines[(*loc, key)]
                self._report(
                    key_node, (*loc, key), f'"{key}" is given twice, first in line {first}', "keep one of them"
                )
            else:
                self.lines[(*loc, key)] = key_node.start_mark.line + 1
                data[key] = self.build(value_node, (*loc, key))
        return data

    def _report(self, node: Node, loc: Loc, message: str, hint: str) -> None:
        self.problems.append(Problem(self.file, node.start_mark.line + 1, loc, message, hint))
