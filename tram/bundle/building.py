"""From playbook, register and variables to exactly what one host needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tram.bundle.assembly import Assembly
from tram.bundle.content import Content
from tram.bundle.workshop import open_workshop
from tram.register import Host, Province


def build(playbook: Path, province: Province, host: Host, *, secrets: Path, check: bool = False) -> Content:
    """What `host` needs to run `playbook` by itself; with `check` also while secrets that must exist are not there yet.

    Raises: BundleInvalid with every error; BadInput when the playbook has no play for this host, or Ansible cannot read
    the inventory; BadDocument when the bundle gets too large.
    """
    return build_all(playbook, province, [host], secrets=secrets, check=check)[host.inventory_name]


def build_all(
    playbook: Path, province: Province, hosts: Sequence[Host], *, secrets: Path, check: bool = False
) -> dict[str, Content]:
    """As `build`, for many hosts by inventory name: the playbook is read and Ansible asked once for all of them.

    Raises: as `build`, for the first host that has an error.
    """
    names = [host.inventory_name for host in hosts]
    shop = open_workshop(playbook, province, secrets.resolve(), names)
    return {name: Assembly(shop, name, check=check).content() for name in names}
