"""Files as they travel: a host has no vault password, so what is encrypted in them is opened for it at the centre."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tram.bundle.content import File
from tram.bundle.nodes import Node, Unreadable, read

_MARK = b"$ANSIBLE_VAULT;"


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A part of a file, from `start` to `end` (letters), that is one vault; its number among all vaults."""

    start: int
    end: int
    number: int


@dataclass(slots=True)
class Vaults:
    """Every vault in the files looked at: `texts` as encrypted, `opened` by Ansible in the same order."""

    texts: list[str] = field(default_factory=list)
    opened: Sequence[str] = ()
    _sealed: dict[Path, list[_Sealed]] = field(default_factory=dict)
    _files: dict[Path, File] = field(default_factory=dict)

    def look(self, paths: Iterable[Path]) -> None:
        """Find the vaults of these files."""
        for path in paths:
            data = path.read_bytes()
            if _MARK not in data or path in self._sealed:
                continue
            if data.startswith(_MARK):
                self._sealed[path] = [self._seal(0, -1, data.decode())]
            else:
                try:
                    nodes = list(_vault_nodes(read(path, str(path))))
                except Unreadable:  # no YAML: somebody only writes about vaults
                    continue
                self._sealed[path] = [
                    self._seal(node.start_mark.index, node.end_mark.index, node.value) for node in nodes
                ]

    def file(self, path: Path) -> File:
        """The file with its vaults opened; such a file is its owner's alone."""
        if path not in self._files:
            self._files[path] = self._file(path)
        return self._files[path]

    def _file(self, path: Path) -> File:
        mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
        parts = self._sealed.get(path)
        if not parts:
            return File(path.read_bytes(), mode)
        if parts[0].end == -1:
            return File(self.opened[parts[0].number].encode(), 0o600)
        text = path.read_text(encoding="utf-8")
        for part in reversed(parts):
            blanks = re.search(r"\s*$", text[part.start : part.end])
            kept = blanks[0] if blanks else ""
            # Ansible never takes a vaulted value for a template.
            opened = f"!unsafe {json.dumps(self.opened[part.number], ensure_ascii=False)}"
            text = text[: part.start] + opened + kept + text[part.end :]
        return File(text.encode(), 0o600)

    def _seal(self, start: int, end: int, text: str) -> _Sealed:
        self.texts.append(text)
        return _Sealed(start, end, len(self.texts) - 1)


def _vault_nodes(node: Node | None) -> Iterable[Node]:
    if isinstance(node, yaml.ScalarNode) and node.tag in ("!vault", "!vault-encrypted"):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            yield from _vault_nodes(inner)
    elif isinstance(node, yaml.MappingNode):
        for _, inner in node.value:
            yield from _vault_nodes(inner)
