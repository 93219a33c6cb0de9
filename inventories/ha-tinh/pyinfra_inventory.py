"""Door for pyinfra: `pyinfra inventories/ha-tinh/pyinfra_inventory.py fact server.Os` sees the site register's groups."""

from pathlib import Path

from tram.register.pyinfra import groups

globals().update(groups(Path(__file__).parent))
