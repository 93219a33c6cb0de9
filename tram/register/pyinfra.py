"""The register as pyinfra sees it. The doors are inventories/<province>/pyinfra_inventory.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyinfra.api.exceptions import PyinfraError

from tram.core.errors import TramError
from tram.register.connection import connection
from tram.register.inventory import all_groups, entries, shared
from tram.register.loading import load

Group = list[str] | list[tuple[str, dict[str, Any]]]


def groups(folder: Path) -> dict[str, Group]:
    """Every group by name: `all` holds (host, data), the others names.

    Raises: PyinfraError with every error of the register, because pyinfra shows any other as a traceback.
    """
    try:
        province = load(folder)
    except TramError as error:
        raise PyinfraError(error.message) from error
    way = connection(province)
    reach: dict[str, Any] = {"ssh_user": province.operator, "ssh_strict_host_key_checking": "yes"}
    reach["ssh_known_hosts_file"] = str(way.known_hosts)  # pins only: paramiko knows no certificates
    reach |= {"ssh_config_file": str(way.config_file)} if way.config_file else {"ssh_key": str(way.key_file)}
    reach |= shared(province)
    found = list(entries(province))
    named: dict[str, Group] = {
        group: [entry.name for entry in found if group in entry.groups] for group in all_groups(province)
    }
    named["all"] = [(entry.name, {"ssh_hostname": entry.address, **reach, **entry.variables}) for entry in found]
    return named
