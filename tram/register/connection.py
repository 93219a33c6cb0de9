"""How a host is reached: the key of each host must be the one that was pinned for it, in the lab as in the province."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tram.register.model import Province


@dataclass(frozen=True, slots=True)
class Connection:
    """Either an OpenSSH `config_file` that says everything (the lab's), or the province's own files.

    `known_hosts` are the pins of bootstrap; `authority` names the province's ssh CA, whose certificates need none (made
    by roles/ssh; ssh passes over a file that is not there yet). paramiko knows no certificates and goes by the pins.
    `control_dir` keeps the shared connections of this province, or lab, apart from others with the same host names.
    """

    config_file: Path | None
    known_hosts: Path
    authority: Path
    key_file: Path
    control_dir: Path

    @property
    def user_known_hosts(self) -> str:
        """Both files as ssh's UserKnownHostsFile wants them: blanks in quotes, percent signs doubled."""
        return " ".join(ssh_path(path) for path in (self.known_hosts, self.authority))


def ssh_path(path: Path) -> str:
    """A path as ssh's option parser wants it."""
    text = str(path).replace("%", "%%")
    return f'"{text}"' if " " in text else text


def connection(province: Province) -> Connection:
    """The files of ssh for this province."""
    # A socket's path is 108 bytes at most (unix(7)): a short directory.
    lab = Path("/run/tram/lab") / province.state_dir.name / "cp"
    sockets = lab if province.lab else Path.home() / ".ansible/cp" / province.code
    return Connection(
        config_file=province.state_dir / "ssh_config" if province.lab else None,
        known_hosts=province.state_dir / "known_hosts",
        authority=province.secrets_dir / "ssh" / "known_hosts_ca",
        key_file=province.secrets_dir / "ssh" / "id_ed25519",
        control_dir=sockets,
    )
