"""From playbook, register and variables to exactly what one host needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock

from tram.bundle.content import Content
from tram.bundle.remembered import Remembered
from tram.register import Host, Province

# To ask Ansible costs 0.8 s, however many hosts it is asked about, and 0.02 s more for each.
_TOGETHER = 40


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

    What was built of the very same files before is only remembered.

    Raises: as `build`, for the first host that has an error.
    """
    known = Remembered(playbook, province.folder, secrets.resolve(), check=check)

    def make(names: Sequence[str]) -> dict[str, Content]:
        from tram.bundle.assembly import Assembly  # noqa: PLC0415 (what is remembered needs none of it)
        from tram.bundle.workshop import open_workshop  # noqa: PLC0415

        shop = open_workshop(playbook, province, secrets.resolve(), names)
        return {name: Assembly(shop, name, check=check).content() for name in names}

    names = [host.inventory_name for host in hosts]
    groups = [_Together(make, names[start : start + _TOGETHER]) for start in range(0, len(names), _TOGETHER)]
    found = {name: known.content(name, partial(group.content, name)) for group in groups for name in group.names}
    made = make(lacking) if (lacking := [name for name in names if found[name] is None]) else {}
    known.keep(made)
    return {name: found[name] or made[name] for name in names}


class _Together:
    """Hosts whose content is made in one go when that of one of them is asked for after all."""

    def __init__(self, make: Callable[[Sequence[str]], dict[str, Content]], names: Sequence[str]) -> None:
        self.names = names
        self._make = make
        self._lock = Lock()
        self._made: dict[str, Content] = {}

    def content(self, name: str) -> Content:
        """The content of one of them."""
        with self._lock:
            if not self._made:
                self._made = self._make(self.names)
        return self._made[name]
