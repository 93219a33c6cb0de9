"""A host gets another address: written into its site's file, and only when the register is whole with it."""

from __future__ import annotations

import shutil
import tempfile
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML

from tram.core.errors import BadInput
from tram.register.loading import load
from tram.register.model import Province, Site


def moved(province: Province, site: Site, host: str, address: str) -> str:
    """The site's file with the host at that address; a spare that had it is the host now, and goes.

    Raises: BadInput when a host with work of its own has the address; RegisterInvalid when it does not fit.
    """
    yaml = YAML(typ="rt")
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096
    data = yaml.load((province.folder / "sites" / f"{site.code}.yml").read_text(encoding="utf-8"))
    for one in list(data["hosts"]):
        if one["name"] == host:
            one["address"] = address
        elif str(one["address"]) == address:
            if one.get("functions"):
                raise BadInput(
                    f"{address} is {site.code}-{one['name']}'s, which has work of its own",
                    hint="give a free address, or a spare's",
                )
            data["hosts"].remove(one)
    out = StringIO()
    yaml.dump(data, out)
    with tempfile.TemporaryDirectory() as folder:
        tried = Path(folder) / province.folder.name
        shutil.copytree(province.folder, tried)
        (tried / "sites" / f"{site.code}.yml").write_text(out.getvalue(), encoding="utf-8")
        load(tried)
    return out.getvalue()
