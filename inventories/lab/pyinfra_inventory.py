"""Door for pyinfra: the site register beside this file, as groups.

`pyinfra inventories/lab/pyinfra_inventory.py fact server.Os` asks every host of the province.
"""

from pathlib import Path

from tram.register.pyinfra import groups

globals().update(groups(Path(__file__).parent))
