"""Program: print the option definitions of Ansible's own plugins as JSON. Run by `runtime_tables`, not imported."""

from __future__ import annotations

import copy
import json
import sys
from typing import Any

from ansible import constants
from ansible.plugins import loader

_NAMES = {
    "become": (loader.become_loader, ("runas", "su", "sudo")),
    "cache": (loader.cache_loader, ("jsonfile", "memory")),
    "callback": (loader.callback_loader, ("default", "minimal")),
    "connection": (loader.connection_loader, ("local",)),
    "inventory": (loader.inventory_loader, ("auto", "constructed", "host_list", "ini", "yaml")),
    "shell": (loader.shell_loader, ("sh", "powershell")),
    "strategy": (loader.strategy_loader, ("free", "host_pinned", "linear")),
    "vars": (loader.vars_loader, ("host_group_vars",)),
    "lookup": (
        loader.lookup_loader,
        """
    csvfile dict env file fileglob first_found indexed_items ini inventory_hostnames items lines list nested
    password pipe random_choice sequence subelements template together url varnames vars
    """.split(),  # noqa: SIM905,
    ),
}
_PROSE = ("description", "version_added", "notes")


def main() -> None:
    found: dict[str, dict[str, Any]] = {}

    def remember(type_name: str, name: str, options: dict[str, Any]) -> None:
        found.setdefault(type_name, {})[name] = _without_prose(copy.deepcopy(options))

    constants.config.initialize_plugin_configuration_definitions = remember
    loader.init_plugin_loader()
    for plugins, names in _NAMES.values():
        for name in names:
            plugins.get(name, class_only=True)
    # A template in a default must come from a trusted source; such a plugin is left to Ansible's own way.
    kept = {
        kind: {name: options for name, options in plugins.items() if "{{" not in json.dumps(options)}
        for kind, plugins in found.items()
    }
    json.dump(kept, sys.stdout, sort_keys=True)


def _without_prose(options: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {key: value for key, value in definition.items() if key not in _PROSE}
        for name, definition in options.items()
    }


if __name__ == "__main__":
    main()
