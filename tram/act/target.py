"""Which hosts to act on, and the way to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import paramiko

from tram.core.errors import BadInput
from tram.register.model import Host, Province

DEFAULT_KEYS = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")


@dataclass(frozen=True, slots=True)
class Target:
    """A host and the way to it. `proxy` is a command whose standard input and output are the connection.

    `identity_files` are the private keys ssh itself would try; `pins` is the known_hosts file the host belongs in.
    """

    name: str
    address: str
    operator: str
    pins: Path
    port: int = 22
    proxy: str = ""
    identity_files: tuple[Path, ...] = ()

    @property
    def pin_names(self) -> tuple[str, ...]:
        """The names OpenSSH looks the host up by: Ansible uses the address, people the name. Source: sshd(8)."""
        plain = (self.name, self.address)
        return plain if self.port == 22 else tuple(f"[{name}]:{self.port}" for name in plain)


def targets(province: Province, names: Sequence[str], *, every: bool = False) -> list[Target]:
    """The hosts called `names` (inventory names), or every host of the province, hub first.

    Raises: BadInput for a name that is not in the register, for none at all, or for names together with `every`.
    """
    known = {host.inventory_name: host for site in province.sites for host in site.hosts}
    if bool(names) == every:
        raise BadInput("which hosts?", hint=f"give their names or --all; the register has: {', '.join(known)}")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BadInput(
            f"{province.folder}: no host called {', '.join(unknown)}", hint=f"the register has: {', '.join(known)}"
        )
    config = _ssh_config(province)
    return [_target(province, known[name], config) for name in dict.fromkeys(names or known)]


def _target(province: Province, host: Host, config: paramiko.SSHConfig) -> Target:
    # Looked up by address because that is the word Ansible gives ssh: both must take the same way.
    found = config.lookup(str(host.address))
    return Target(
        name=host.inventory_name,
        address=str(host.address),
        operator=province.operator,
        pins=province.state_dir / "known_hosts",
        port=int(found.get("port", 22)),
        proxy=found.get("proxycommand", ""),
        identity_files=tuple(Path(name).expanduser() for name in found.get("identityfile", DEFAULT_KEYS)),
    )


def _ssh_config(province: Province) -> paramiko.SSHConfig:
    path = province.state_dir / "ssh_config" if province.lab else Path.home() / ".ssh" / "config"
    if path.exists():
        return paramiko.SSHConfig.from_path(str(path))
    if province.lab:
        raise BadInput(f"{path.parent.name}: this lab is not up ({path} is not there)", hint="start it: tram lab up")
    return paramiko.SSHConfig()
