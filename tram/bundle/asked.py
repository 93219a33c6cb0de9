"""The part that knows Ansible from the inside, in a process of its own: `python -m tram.bundle.asked`.

Ansible's configuration, loaders and vault are global to a process and belong to one project; so a question (JSON on
stdin, see `tram.bundle.asking.Question`) gets a fresh one, and its answer is one line of JSON on stdout.

Values are written as plain data. Text in which Ansible would look for a template says whether it may: {"!template": …}
or {"!unsafe": …}; {"!date": …} is a date of YAML's, {"!error": …} a value that only fails if somebody needs it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from ansible import constants
from ansible._internal._datatag._tags import Origin, TrustedAsTemplate
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import EncryptedString, VaultLib, VaultSecretsContext
from ansible.plugins import loader as plugin_loader
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from tram.bundle.centre_only import needs_centre

# What Ansible adds by itself on every machine.
_MAGIC = frozenset(
    """
    ansible_check_mode ansible_config_file ansible_facts ansible_playbook_python ansible_version environment group_names
    groups hostvars inventory_dir inventory_file inventory_hostname inventory_hostname_short omit playbook_dir vars
    """.split()  # noqa: SIM905 a table of words reads better than a column of strings
)
_KINDS = {
    "filter": plugin_loader.filter_loader,
    "test": plugin_loader.test_loader,
    "lookup": plugin_loader.lookup_loader,
    "connection": plugin_loader.connection_loader,
    "become": plugin_loader.become_loader,
}


class Project:
    """The province as Ansible sees it."""

    def __init__(self, inventory: str, basedir: str) -> None:
        plugin_loader.init_plugin_loader()
        plugin_loader.add_all_plugin_dirs(basedir)
        self.loader = DataLoader()
        self.loader.set_basedir(basedir)
        self.loader.set_vault_secrets(_vault_secrets(self.loader))
        self.inventory = InventoryManager(self.loader, sources=[inventory])
        self.manager = VariableManager(self.loader, self.inventory)
        self.hostvars = HostVars(self.inventory, self.manager, self.loader)

    def groups(self) -> dict[str, list[str]]:
        """Every group with all its hosts, those of its children too."""
        return {name: [host.name for host in g.get_hosts()] for name, g in self.inventory.groups.items()}

    def match(self, pattern: str) -> list[str]:
        """The hosts of a play's pattern."""
        return [host.name for host in self.inventory.get_hosts(pattern)]

    def variables(self, name: str) -> dict[str, Any]:
        """What the inventory says of a host, written so that another machine reads it the same."""
        every = self.manager.get_vars(host=self.inventory.get_host(name))
        return {key: self.written(key, every) for key in every if key not in _MAGIC}

    def origins(self, name: str) -> dict[str, str]:
        """Where each variable of a host is written, as path:line; only of those that are written in a file."""
        every = self.manager.get_vars(host=self.inventory.get_host(name))
        return {key: place for key in every if key not in _MAGIC and (place := _place(every[key]))}

    def written(self, key: str, every: Mapping[str, Any]) -> Any:
        """One variable: as it is, unless only the centre can say what it is."""
        try:
            value = every[key]
            if any(needs_centre(text) for text in _templates(value)):
                templar = Templar(self.loader, variables={**every, "hostvars": self.hostvars})
                value = templar.template(value)
                return _plain(value, resolved=True)
            return _plain(value)
        except Exception as error:  # a lookup may raise anything; it matters only where the variable is needed
            return {"!error": " ".join(str(error).split())}

    def filled(self, name: str, text: str, defaults: Mapping[str, Any], hosts: Collection[str]) -> Any:
        """A text of a role's own description (meta/tram.yml) with the host's variables in it; None for a host that the
        role has nothing to do with, because evaluating may also make a secret."""
        if name not in hosts:
            return None
        every = self.manager.get_vars(host=self.inventory.get_host(name))
        try:
            templar = Templar(self.loader, variables={**defaults, **every, "hostvars": self.hostvars})
            return _plain(templar.template(TrustedAsTemplate().tag(text)), resolved=True)
        except Exception as error:
            return {"!error": " ".join(str(error).split())}

    def defaults(self, files: Sequence[str]) -> dict[str, Any]:
        """The defaults and variables of roles, the later files winning."""
        found: dict[str, Any] = {}
        for file in files:
            found |= self.loader.load_from_file(file, cache="none", trusted_as_template=True) or {}
        return found


def _vault_secrets(loader: DataLoader) -> Any:
    """The passwords the project's configuration leads to; nobody is asked for one."""
    identities = list(constants.DEFAULT_VAULT_IDENTITY_LIST)
    if not identities and not constants.DEFAULT_VAULT_PASSWORD_FILE:
        VaultSecretsContext.initialize(VaultSecretsContext([]))
        return []
    from ansible.cli import CLI  # noqa: PLC0415 a third of a second, which most projects need not spend

    return CLI.setup_vault_secrets(loader, identities, auto_prompt=False)


def _place(value: Any) -> str:
    origin = value if isinstance(value, Origin) else Origin.get_tag(value)
    return f"{origin.path}:{origin.line_num or 1}" if origin is not None and origin.path else ""


def _where(error: BaseException | None) -> str:
    """The place an error is about; Ansible's plugins often hide it in the cause."""
    while error is not None:
        if place := _place(getattr(error, "obj", None)):
            return place
        error = error.__cause__ or error.__context__
    return ""


def _templates(value: Any) -> Iterator[str]:
    """Every text in a value that Ansible would take for a template."""
    if isinstance(value, str) and TrustedAsTemplate.is_tagged_on(value):
        yield str(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _templates(key)
            yield from _templates(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _templates(inner)


def _plain(value: Any, *, resolved: bool = False) -> Any:
    """A value without Ansible's tags; what was `resolved` is never a template again."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, EncryptedString | str):
        return _plain_text(value, not resolved and TrustedAsTemplate.is_tagged_on(value))
    if isinstance(value, date):
        return {"!date": value.isoformat()}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, resolved=resolved) for key, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(inner, resolved=resolved) for inner in value]
    raise TypeError(f"{type(value).__name__} is no plain data")


def _plain_text(value: Any, trusted: bool) -> Any:
    text = str(value)
    if not any(mark in text for mark in ("{{", "{%", "{#")):
        return text
    return {"!template" if trusted else "!unsafe": text}


def find_action(name: str, collections: Sequence[str]) -> list[dict[str, Any]]:
    """Where a task's action is: the module, the action plugin beside it, or both."""
    found = []
    for kind, loader in (("modules", plugin_loader.module_loader), ("action", plugin_loader.action_loader)):
        context = loader.find_plugin_with_context(name, collection_list=list(collections) or None)
        if context.resolved and context.plugin_resolved_path:
            found.append(_row(kind, context))
    return found


def find_plugin(name: str) -> list[dict[str, Any]]:
    """Where the filters, tests, lookups … of this name are."""
    found = []
    for kind, loader in _KINDS.items():
        try:
            if kind in ("filter", "test"):
                context = loader.get_with_context(name).plugin_load_context
            else:
                context = loader.find_plugin_with_context(name)
        except (AnsibleError, KeyError):  # KeyError: a collection without plugins of this kind
            continue
        if context is not None and context.resolved and context.plugin_resolved_path:
            found.append(_row(kind, context))
    return found


def _row(kind: str, context: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "path": str(context.plugin_resolved_path),
        "collection": context.plugin_resolved_collection or "",
        "names": [str(name) for name in context.redirect_list],
    }


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """Everything asked, in the shape of `tram.bundle.asking.Answer`."""
    project = Project(question["inventory"], question["basedir"])
    wanted = question["hosts"]
    known = project.inventory.hosts
    matches = {pattern: project.match(pattern) for pattern in question["patterns"]}
    fills = [
        (text, project.defaults(files) | {"role_path": folder}, {host for one in patterns for host in matches[one]})
        for text, folder, files, patterns in question["fill"]
    ]
    vault = VaultLib(project.loader._vault.secrets)
    return {
        "groups": project.groups(),
        "matches": matches,
        "variables": {name: project.variables(name) for name in wanted if name in known},
        "origins": {name: project.origins(name) for name in wanted if name in known},
        "filled": {name: [project.filled(name, *fill) for fill in fills] for name in wanted if name in known},
        "actions": [find_action(name, collections) for name, collections in question["actions"]],
        "plugins": [find_plugin(name) for name in question["plugins"]],
        "decrypted": [vault.decrypt(text).decode() for text in question["vaults"]],
        "core": str(Path(constants.__file__).parent),
    }


def main() -> int:
    """Answer one question; what Ansible and its plugins print goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        found = answer(json.load(sys.stdin))
    except AnsibleError as error:
        found = {"error": str(error), "at": _where(error)}
    json.dump(found, out)
    out.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
