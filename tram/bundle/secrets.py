"""What a role says it needs of the centre's secrets, and gives back: roles/<role>/meta/tram.yml.

    first: [{when: "{{ __pki_due }}", host: playbooks/ops/request.yml, centre: playbooks/ops/sign.yml}]
    make: ["{{ lookup('ansible.builtin.password', dns_transfer_key_file, length=32) }}"]
    secrets: ["mail/{{ tram_site_domain }}/*", {path: dns/transfer.key, required: true}]
    returns: ["pki/csr/*.csr"]
    packages: ["{{ __mail_packages }}"]

Patterns are relative to the secrets directory; they may use the host's variables and the role's own. What is under
`make` is evaluated first, at the centre: the role's own lookups make there once what the host will only read. What is
under `first` must have happened before the rest can be built: a playbook delivered to the host, for what it returns,
and one run at the centre, which makes of it what the host is to get.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tram.bundle.nodes import Place, Unreadable, entries, items, line, read, text
from tram.bundle.plays import shown
from tram.bundle.roles import Role
from tram.core.canonical import BadDocument
from tram.core.tree import check_path
from tram.register import Problem

# The centre's own: with the one it signs orders, with the other it enters hosts.
_CENTRES_OWN = ("centre", "ssh")
_KEYS = ("first", "make", "secrets", "returns", "packages")
# Read elsewhere: what is kept of a role (scripts/backup-services), the tasks that prove it.
_OTHERS = ("backup", "verify")
_STEPS = ("host", "centre")


@dataclass(frozen=True, slots=True)
class Wish:
    """One line of a role in `folder`; `key` is what it is under, `files` are the defaults and variables it may use.
    Under `first`, `pattern` is the condition, `steps` the playbooks: for the host ("" for none), and at the centre."""

    role: str
    key: str
    pattern: str
    required: bool
    place: Place
    folder: Path
    files: tuple[str, ...]
    steps: tuple[str, str] = ("", "")


def wishes(role: Role, project: Path) -> tuple[list[Wish], list[Problem]]:
    """What the role declares, with all that is wrong in it."""
    path = role.folder / "meta/tram.yml"
    if not path.is_file():
        return [], []
    name = shown(path, project)
    try:
        keys = entries(read(path, name))
    except Unreadable as error:
        return [], [error.problem]
    defaults = tuple(str(file) for folder in ("defaults", "vars") if (file := role.file(folder, "main")))
    found: list[Wish] = []
    problems = [
        Place(name, line(node)).problem(
            f'"{key}" is not known', "known: first, make, secrets, returns, packages, backup, verify"
        )
        for key, node in keys.items()
        if key not in (*_KEYS, *_OTHERS)
    ]
    if (named := text(keys.get("verify"))) and role.file("tasks", named) is None:
        problems.append(Place(name, line(keys["verify"])).problem(f"the role has no tasks/{named}.yml to verify it by"))
    for key in _KEYS:
        for node in items(keys.get(key)):
            place, given = Place(name, line(node)), entries(node)
            if key == "first":
                steps = (text(given.get("host")), text(given.get("centre")))
                if given.keys() - {"when", *_STEPS} or not text(given.get("when")) or not steps[1]:
                    hint = 'write {when: "{{ … }}", host: playbooks/ops/….yml, centre: playbooks/ops/….yml}'
                    problems.append(place.problem("is no step", hint))
                    continue
                absent = [step for step in steps if step and not (project / step).is_file()]
                problems += [place.problem(f"there is no {step}", "from the project's directory on") for step in absent]
                found.append(Wish(role.name, key, text(given["when"]), True, place, role.folder, defaults, steps))
                continue
            pattern = text(given.get("path")) if given else text(node)
            if not pattern or given.keys() - {"path", "required"}:
                problems.append(
                    place.problem("is not a pattern", 'write "mail/*", or {path: "mail/*", required: true}')
                )
                continue
            required = text(given.get("required")).lower() in ("true", "yes")
            found.append(Wish(role.name, key, pattern, required, place, role.folder, defaults))
    return found, problems


def check_pattern(pattern: str) -> str:
    """What is wrong with a pattern after its variables were filled in; "" for nothing."""
    try:
        check_path(pattern)
    except BadDocument as error:
        return error.message
    first = pattern.partition("/")[0]
    if any(letter in first for letter in "*?["):
        return f'"{pattern}" does not begin with the name of one directory'
    if first in _CENTRES_OWN:
        return f'"{pattern}": {first}/ is the centre\'s own and never leaves it'
    return ""


def matching(pattern: str, secrets: Path) -> Iterator[tuple[str, Path]]:
    """The files of the secrets directory that a pattern means, by their place in it.

    Raises: ValueError for a link out of the directory.
    """
    inside = secrets.resolve()
    for path in sorted(secrets.glob(pattern)):
        if path.is_file():
            if not path.resolve().is_relative_to(inside):
                raise ValueError(f"{path} is a link out of the secrets directory")
            yield path.relative_to(secrets).as_posix(), path
