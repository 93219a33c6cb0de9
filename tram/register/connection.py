"""How a host is reached: the key of each host must be the one that was pinned for it, in the lab as in the province."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tram.register.model import Province


@dataclass(frozen=True, slots=True)
class Connection:
    """Either an OpenSSH `config_file` that says everything (the lab's), or the province's own files.

    `control_dir` keeps the shared connections of this province, or lab, apart from others with the same host names.
    """

    config_file: Path | None
    known_hosts: Path
    key_file: Path
    control_dir: Path


def connection(province: Province) -> Connection:
    """The files of ssh for this province; $TRAM_LAB chooses among labs that run side by side."""
    lab = os.environ.get("TRAM_LAB", "lab")
    state = Path("/var/lib/tram/lab") / lab
    return Connection(
        config_file=state / "ssh_config" if province.lab else None,
        known_hosts=state / "known_hosts" if province.lab else province.folder.resolve() / "known_hosts",
        key_file=province.secrets_dir / "ssh" / "id_ed25519",
        # A socket's path is 108 bytes at most (unix(7)): a short directory.
        control_dir=Path("/run/tram/lab") / lab / "cp" if province.lab else Path.home() / ".ansible/cp" / province.code,
    )
