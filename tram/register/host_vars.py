"""What the centre decides for one host beside the register: `host_vars/<host>.yml`, which people write as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from tram.core.errors import BadInput
from tram.core.files import write_whole

CONTROL_OFF = "control_off"


@dataclass(frozen=True, slots=True)
class Change:
    """A file and what it is to hold; `text` is None for no file at all. Nothing is written before `write`."""

    path: Path
    text: str | None
    off: tuple[str, ...]

    def write(self) -> None:
        """Put it there, whole or not at all."""
        if self.text is None:
            self.path.unlink(missing_ok=True)
            return
        write_whole(self.path, self.text)


def controls_off(folder: Path, host: str) -> tuple[str, ...]:
    """The controls that this host's own file takes back.

    Raises: BadInput when the file cannot be understood.
    """
    path = _file(folder, host)
    return _off(path, read_yaml(path))


def change_controls_off(
    folder: Path, host: str, *, add: Sequence[str] = (), remove: Sequence[str] = (), comment: str = ""
) -> Change:
    """The host's file with these controls taken back, or no longer; comments and other keys stay as they are.

    `comment` stands above the list when it is new.

    Raises: BadInput when the file cannot be understood.
    """
    path = _file(folder, host)
    data = read_yaml(path)
    before = _off(path, data)
    after = tuple(dict.fromkeys([*(code for code in before if code not in remove), *add]))
    if after == before:
        return Change(path, path.read_text(encoding="utf-8") if path.exists() else None, after)
    if after:
        known = data.get(CONTROL_OFF)
        if known is None:
            data[CONTROL_OFF] = CommentedSeq(after)
            if comment:
                data.yaml_set_comment_before_after_key(CONTROL_OFF, before=comment)
        else:
            for code in [code for code in known if code not in after]:
                known.remove(code)
            known.extend(code for code in after if code not in known)
        return Change(path, as_yaml(data), after)
    del data[CONTROL_OFF]
    return Change(path, as_yaml(data) if data else _comments(path), after)


def read_yaml(path: Path) -> CommentedMap:
    """A file of `key: value` lines with its comments; empty when there is none.

    Raises: BadInput when it is anything else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return CommentedMap()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read: {error}", hint="check its permissions; it must be UTF-8") from error
    try:
        data = _yaml().load(text)
    except YAMLError as error:
        raise BadInput(
            f"{path}: is not YAML: {str(error).splitlines()[0]}", hint="mend it by hand, then again"
        ) from error
    if data is None:
        data = CommentedMap()
        start = [line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#")]
        if start:
            data.yaml_set_start_comment("\n".join(start))
    if not isinstance(data, CommentedMap):
        raise BadInput(f"{path}: must have `key: value` lines", hint="mend it by hand, then again")
    return data


def as_yaml(data: CommentedMap) -> str:
    """The file's text."""
    out = StringIO()
    _yaml().dump(data, out)
    return out.getvalue()


def _file(folder: Path, host: str) -> Path:
    """The host's file. Ansible reads other names too; two files for one host would contradict each other."""
    base = folder / "host_vars" / host
    others = [path for path in (base, base.with_name(f"{host}.yaml"), base.with_name(f"{host}.json")) if path.exists()]
    if others:
        raise BadInput(f"{others[0]}: this host's variables are there", hint=f"move them to {base}.yml")
    return base.with_name(f"{host}.yml")


def _comments(path: Path) -> str | None:
    """What people wrote into a file whose only key goes; what stands right above that key is about it, and goes."""
    lines = path.read_text(encoding="utf-8").splitlines()
    at = next((number for number, line in enumerate(lines) if line.startswith(CONTROL_OFF)), 0)
    above = at
    while above and lines[above - 1].startswith("#"):
        above -= 1
    left = [line for line in (*lines[:above], *lines[at:]) if line.startswith("#")]
    return "\n".join((*left, "---", "")) if left else None


def _off(path: Path, data: CommentedMap) -> tuple[str, ...]:
    found: Any = data.get(CONTROL_OFF, [])
    if not isinstance(found, list) or not all(isinstance(code, str) for code in found):
        raise BadInput(f"{path}: {CONTROL_OFF} must be a list of control ids", hint="write it as [id, id]")
    return tuple(found)


def _yaml() -> YAML:
    yaml = YAML(typ="rt", pure=True)
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.preserve_quotes = True
    yaml.explicit_start = True
    yaml.width = 4096
    return yaml
