"""A province of a hub and some bare hosts that may be harmed, all on a good line; the last of them runs Debian 13."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from ...conftest import LAB

HUB = "trung-tam-hub1"
_SITE = """\
code: {code}
name: Phòng thử {number}
tier: department
parent: trung-tam
network: 198.51.100.{network}/28
link:
  class: fibre
hosts:
  - name: srv1
    address: 198.51.100.{address}
    year: 2010
    model: IBM System x3400 M2
    ram_mb: 2048
    cores: 2
    suite: {suite}
    functions: []
"""


def write_province(folder: Path, hosts: int, hub: str = "", suite: str = "trixie") -> list[str]:
    """Lay out the inventory; the hosts that may be harmed, each a site of its own. `hub`: the hub's functions, when it
    has fewer than the default; `suite`: of the last host."""
    left_out = shutil.ignore_patterns("huong-khe.yml", "so-noi-vu.yml", "group_vars", "__pycache__")
    shutil.copytree(LAB, folder, ignore=left_out)
    (folder / "host_vars").mkdir()
    if hub:
        file = folder / "sites/trung-tam.yml"
        text = re.sub(r"functions: \[.*\]", f"functions: [{hub}]", file.read_text(encoding="utf-8"))
        file.write_text(text, encoding="utf-8")
        shutil.copytree(LAB / "group_vars", folder / "group_vars", ignore=shutil.ignore_patterns("site_*"))
    names = []
    for number in range(hosts):
        code, network = f"phong-thu-{number}", 16 * number
        has = suite if number == hosts - 1 else "bookworm"
        text = _SITE.format(code=code, number=number, network=network, address=network + 2, suite=has)
        (folder / f"sites/{code}.yml").write_text(text, encoding="utf-8")
        names.append(f"{code}-srv1")
    return names
