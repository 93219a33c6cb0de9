"""How a host is reached: the key of each host must be the one that was pinned for it, in the lab as in the province."""

from __future__ import annotations

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
    """The files of ssh for this province."""
    # A socket's path is 108 bytes at most (unix(7)): a short directory.
    lab = Path("/run/tram/lab") / province.state_dir.name / "cp"
    sockets = lab if province.lab else Path.home() / ".ansible/cp" / province.code
    return Connection(
        config_file=province.state_dir / "ssh_config" if province.lab else None,
        known_hosts=province.state_dir / "known_hosts",
        key_file=province.secrets_dir / "ssh" / "id_ed25519",
        control_dir=sockets,
    )
