"""verify.yml: after a run, each role applied proves itself by its own tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tram.bundle.nodes import Node, listed, mapped, scalar, written
from tram.bundle.plays import Play
from tram.bundle.reach import Reach

# What of a play holds for its verification too.
_SAME = (
    "become",
    "become_exe",
    "become_flags",
    "become_method",
    "become_user",
    "collections",
    "environment",
    "force_handlers",
    "gather_facts",
    "gather_subset",
    "module_defaults",
    "vars",
    "vars_files",
)
# The words of a role's entry that are not variables for it.
_ENTRY = frozenset(("role", "name", "when", "tags", "vars", "become", "become_user", "become_method"))


def verify_playbook(host: str, plays: Sequence[tuple[Play, Reach]]) -> bytes:
    """One play for each play with a role that can be verified; a role that is in several is verified in the first."""
    seen: set[str] = set()
    found = [play for play in (_play(host, play, reach, seen) for play, reach in plays) if play is not None]
    return written(listed(found or [_empty(host)])).encode()


def _play(host: str, play: Play, reach: Reach, seen: set[str]) -> Node | None:
    tasks = listed(list(_tasks(reach, seen)))
    if not tasks.value:
        return None
    same = {key: play.keys[key] for key in _SAME if key in play.keys}
    return mapped({"name": scalar(f"Verify: {play.name}"), "hosts": scalar(host), **same, "tasks": tasks})


def _tasks(reach: Reach, seen: set[str]) -> Iterator[Node]:
    for name, entry in reach.whole.items():
        verify = reach.roles[name].verify
        if name in seen or verify is None:
            continue
        seen.add(name)
        own = {key: value for key, value in entry.items() if key not in _ENTRY}
        variables = own | dict(_pairs(entry.get("vars")))
        keys = {
            "name": scalar(f"Verify role {name}"),
            "ansible.builtin.include_role": mapped({"name": scalar(name), "tasks_from": scalar(verify)}),
        }
        keys |= {"vars": mapped(variables)} if variables else {}
        keys |= {"when": entry["when"]} if "when" in entry else {}
        yield mapped(keys)


def _pairs(node: Node | None) -> Iterator[tuple[str, Node]]:
    if node is not None and isinstance(node.value, list):
        yield from ((key.value, value) for key, value in node.value)


def _empty(host: str) -> Node:
    return mapped(
        {
            "name": scalar("Nothing to verify"),
            "hosts": scalar(host),
            "gather_facts": scalar("no"),
            "tasks": listed([]),
        }
    )
