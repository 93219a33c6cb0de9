"""Ansible's own tables read as JSON: parsing YAML with nothing but Python costs an old host seconds at each start."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any


def install_early() -> None:
    """To be called before Ansible's settings are read."""
    from ansible.config.manager import ConfigManager  # noqa: PLC0415

    stock_read = ConfigManager._read_config_yaml_file

    def read(self: Any, name: Any) -> Any:
        found = _parsed(Path(name.decode() if isinstance(name, bytes) else name).read_bytes())
        return stock_read(self, name) if found is None else found

    ConfigManager._read_config_yaml_file = read

    from ansible.utils.collection_loader import _collection_finder  # noqa: PLC0415

    stock_meta = _collection_finder._meta_yml_to_dict

    def meta(data: Any, content_id: Any) -> Any:
        found = _parsed(data)
        return stock_meta(data, content_id) if found is None else found

    _collection_finder._meta_yml_to_dict = meta


def install_late() -> None:
    """To be called when Ansible's plugin loader can be imported."""
    from ansible import constants  # noqa: PLC0415
    from ansible.plugins import get_plugin_class  # noqa: PLC0415
    from ansible.plugins.loader import PluginLoader  # noqa: PLC0415

    stock_load = PluginLoader._load_config_defs

    def load(self: Any, name: str, module: Any, path: Any) -> None:
        kind = get_plugin_class(self.class_name) if self.class_name else ""
        options = _plugin_options().get(kind, {}).get(name)
        if options is None or not str(module.__name__).startswith("ansible.plugins."):
            stock_load(self, name, module, path)
        elif not constants.config.has_configuration_definition(kind, name):
            constants.config.initialize_plugin_configuration_definitions(kind, name, options)

    PluginLoader._load_config_defs = load


@cache
def _plugin_options() -> Any:
    import ansible  # noqa: PLC0415

    # Made when the runtime is built; without it (in the repository) everything works, only slower.
    options = Path(str(ansible.__file__)).with_name("plugin_options.json")
    return json.loads(options.read_bytes()) if options.is_file() else {}


def _parsed(data: Any) -> Any:
    start = data[:1]
    if start not in ("{", b"{"):
        return None
    try:
        return json.loads(data)
    except ValueError:
        return None
