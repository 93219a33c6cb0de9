"""Where a lab keeps its things, and how everything it owns is named.

Every namespace, machine and process of a lab carries `tram.<lab>.` in its name. So what belongs to a lab is found by
looking at the machine, never by trusting a state file that a crash may have left wrong.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tram.core.errors import BadInput
from tram.register.model import LABS

DEFAULT_NAME = "lab"
IMAGES = Path("/var/cache/tram/images")
_RUN = Path("/run/tram/lab")
_MEMORY = Path("/dev/shm")  # noqa: S108 (a name of our own in it, made by root)


@dataclass(frozen=True, slots=True)
class LabPaths:
    """The paths and names of one lab."""

    name: str

    @property
    def state(self) -> Path:
        """Disks, keys and settings: survives a power cut, removed by `down`."""
        return LABS / self.name

    @property
    def run(self) -> Path:
        """Sockets and consoles: gone after a reboot."""
        return _RUN / self.name

    @property
    def memory(self) -> Path:
        """What has to be on a file system in memory (shm_overview(7): /dev/shm always is); removed by `down`."""
        return _MEMORY / f"{self.prefix}lab"

    @property
    def prefix(self) -> str:
        """What the name of every namespace and machine of this lab begins with."""
        return f"tram.{self.name}."

    @property
    def core(self) -> str:
        """Namespace of the hub's router, also the seat from which the centre works."""
        return f"{self.prefix}core"

    def router(self, site: str) -> str:
        """Namespace of an outlying site's router."""
        return f"{self.prefix}r.{site}"

    def host(self, host: str) -> str:
        """Namespace and machine name of a host."""
        return f"{self.prefix}h.{host}"

    def disk(self, host: str) -> Path:
        """The writable layer of a host's disk."""
        return self.state / "disks" / host / "upper"

    def wire_socket(self, site: str) -> Path:
        """Control socket of a site's WAN emulator."""
        return self.run / f"{site}.wire"


def lab_paths(name: str | None = None) -> LabPaths:
    """Name a lab: the argument, else $TRAM_LAB, else `lab`.

    Raises: BadInput when the name is not 1 to 16 lower-case letters or digits (it becomes part of a machine name, which
    systemd-nspawn bounds at 64 bytes).
    """
    chosen = name or os.environ.get("TRAM_LAB") or DEFAULT_NAME
    if not re.fullmatch(r"[a-z0-9]{1,16}", chosen):
        raise BadInput(f"lab name {chosen!r}: only a-z and 0-9, at most 16", hint="for example: --name test1")
    return LabPaths(chosen)
