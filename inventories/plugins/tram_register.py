"""Door for Ansible: the site register as an inventory. Runs inside Ansible, so with the Python that has `tram`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin

DOCUMENTATION = """
name: tram_register
short_description: The site register of a province
description: Reads province.yml and sites/*.yml beside the file register.yml. See docs/contracts/register.md.
options:
  plugin:
    description: Must be C(tram_register).
    required: true
    choices: [tram_register]
"""


class InventoryModule(BaseInventoryPlugin):  # type: ignore[misc]
    """Fills the inventory from the register, or fails with every error in it."""

    NAME = "tram_register"

    def verify_file(self, path: str) -> bool:
        """Only a file called register.yml is ours."""
        return super().verify_file(path) and Path(path).name == "register.yml"

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Add every group and host of the province."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        try:  # inside, so that a wrong Python gets a sentence and not a traceback of Ansible's plugin loader
            from tram.core.errors import TramError  # noqa: PLC0415
            from tram.register import load  # noqa: PLC0415
            from tram.register.ansible import everywhere, hosts  # noqa: PLC0415
            from tram.register.inventory import all_groups  # noqa: PLC0415
        except ImportError as error:
            raise AnsibleParserError(f"{error}; run the ansible of this repository's .venv") from error
        try:
            province = load(Path(path).parent)
        except TramError as error:
            raise AnsibleParserError(error.message) from error
        for group in all_groups(province):
            inventory.add_group(group)
        for key, value in everywhere(province).items():
            inventory.set_variable("all", key, value)
        for name, groups, variables in hosts(province):
            inventory.add_host(name)
            for group in groups:
                inventory.add_child(group, name)
            for key, value in variables.items():
                inventory.set_variable(name, key, value)
