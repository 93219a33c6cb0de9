"""The register as Ansible sees it. Imports nothing of Ansible's: the door is inventories/plugins/tram_register.py."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from tram.register.connection import Connection, connection, ssh_path
from tram.register.inventory import entries, shared
from tram.register.model import Province


def hosts(province: Province) -> Iterator[tuple[str, tuple[str, ...], dict[str, Any]]]:
    """Every host: its name, its groups and the variables of its own."""
    for entry in entries(province):
        yield entry.name, entry.groups, {"ansible_host": entry.address, **entry.variables}


def everywhere(province: Province) -> dict[str, Any]:
    """The variables of the group `all`."""
    way = connection(province)
    reach = {
        "ansible_user": province.operator,
        "ansible_ssh_common_args": ssh_arguments(way),
        "ansible_control_path_dir": str(way.control_dir),
    }
    return reach | shared(province)


def ssh_arguments(way: Connection) -> str:
    """The words Ansible adds to every ssh, quoted for its shlex."""
    if way.config_file is not None:
        return f'-F "{way.config_file}"' if " " in str(way.config_file) else f"-F {way.config_file}"
    options = {
        "UserKnownHostsFile": way.user_known_hosts,
        "StrictHostKeyChecking": "yes",
        "IdentityFile": ssh_path(way.key_file),
    }
    return " ".join("-o " + shlex.quote(f"{key}={value}") for key, value in options.items())
