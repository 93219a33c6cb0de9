"""The inventory of one host: its groups and its variables as plain data, and of other hosts what its roles look at."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import yaml

from tram.bundle.mentions import Mentions

PYTHON = "/usr/bin/python3"

# How the centre comes to a host means nothing on the host; the last two are set anew for it.
_CONNECTION = re.compile(
    r"ansible_(connection|port|password|ssh_.*|.*_pass(word)?|private_key_file|remote_user|paramiko_.*|pipelining"
    r"|scp_.*|sftp_.*|control_path.*|host_key_checking|winrm_.*|psrp_.*|timeout)|tram_secrets_dir|tram_delivered"
)


class _Dumper(yaml.CSafeDumper):
    """Writes text that is no template so that Ansible never takes it for one."""


class _Unsafe(str):
    __slots__ = ()


_Dumper.add_representer(_Unsafe, lambda dumper, value: dumper.represent_scalar("!unsafe", str(value), style='"'))


def choose(variables: Mapping[str, Any], roles: Sequence[str], mentions: Mentions) -> dict[str, Any]:
    """The variables that can matter: those whose name is mentioned, also in another one's template, and those that
    begin with a role's name, so that a role still sees one that is misspelt."""
    prefixes = tuple(f"{role.rsplit('.', 1)[-1]}_" for role in roles)
    left = {name: value for name, value in variables.items() if not _CONNECTION.fullmatch(name)}
    found: dict[str, Any] = {}
    while True:
        wanted = {name: value for name, value in left.items() if _matters(name, prefixes, mentions)}
        if not wanted:
            return found
        found |= wanted
        left = {name: value for name, value in left.items() if name not in wanted}
        mentions.add(_texts(wanted))


def _matters(name: str, prefixes: tuple[str, ...], mentions: Mentions) -> bool:
    if name in mentions.words or mentions.any_variable or name.startswith(prefixes):
        return True
    return name.startswith("ansible_") and name != "ansible_user"  # these steer Ansible itself


def errors(variables: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Variables that cannot be had, with the reason."""
    for name in sorted(variables):
        value = variables[name]
        if isinstance(value, Mapping) and "!error" in value:
            yield name, str(value["!error"])


def naming(variables: Mapping[str, Any], paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Variables that name a place of the centre's disk, with the first of `paths` it is in."""
    wrong = {name for name, _ in errors(variables)}
    for name in sorted(variables.keys() - wrong):
        texts = list(_texts(variables[name]))
        found = next((path for path in paths if any(path in text for text in texts)), None)
        if found is not None:
            yield name, found


def inventory(host: str, groups: Mapping[str, Sequence[str]], variables: Mapping[str, Mapping[str, Any]]) -> bytes:
    """inventory.yml: `variables` by host, `groups` by name, of which only hosts with variables are written. What all
    hosts agree on is written once; a group without hosts only matters where other hosts do. Hosts stand in their groups
    in the order they have at the centre, and so do the keys of a value: roles go through both."""
    names = [name for name in groups.get("all", ()) if name in variables]
    names += sorted(variables.keys() - set(names))
    shared = {
        name: value
        for name, value in variables[host].items()
        if len(names) > 1 and all(name in v and v[name] == value for v in variables.values())
    }
    own = {name: {k: v for k, v in sorted(variables[name].items()) if k not in shared} for name in names}
    own[host] |= {
        "ansible_connection": "local",
        "ansible_python_interpreter": variables[host].get("ansible_python_interpreter", PYTHON),
        "tram_delivered": True,
        "tram_secrets_dir": {"!template": "{{ playbook_dir }}/secrets"},
    }
    children: dict[str, Any] = {
        group: {"hosts": {name: {} for name in members if name in variables}}
        for group, members in sorted(groups.items())
        if group not in ("all", "ungrouped") and (len(names) > 1 or host in members)
    }
    own[host] = dict(sorted(own[host].items()))
    document = {"all": {"hosts": own, "vars": dict(sorted(shared.items())), "children": children}}
    text = yaml.dump(_native(document), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=2**20)
    return str(text).encode()


def _native(value: Any) -> Any:
    if isinstance(value, Mapping):
        if value.keys() == {"!template"}:
            return value["!template"]
        if value.keys() == {"!unsafe"}:
            return _Unsafe(value["!unsafe"])
        if value.keys() == {"!date"}:
            text = value["!date"]
            return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)
        return {key: _native(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_native(inner) for inner in value]
    return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
