"""What the rest of the toolkit reads: a province, its sites, hosts and links; frozen, complete, already checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

LABS = Path("/var/lib/tram/lab")
"""Under it each lab keeps its disks, keys and settings."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A level of administration; which levels there are is the province's data, not ours."""

    code: str
    order: int
    name_vi: str
    name_en: str


@dataclass(frozen=True, slots=True)
class Link:
    """A site's line to the hub: its class with the site's own overrides applied. Rates in bit/s, loss from 0 to 1."""

    link_class: str
    provider: str
    kind: str
    down_bps: int
    up_bps: int
    rtt: timedelta
    loss: float


@dataclass(frozen=True, slots=True)
class Host:
    """One server. `inventory_name` (`<site>-<host>`) is its name in Ansible and pyinfra, `fqdn` its name in DNS."""

    name: str
    inventory_name: str
    fqdn: str
    address: IPv4Address
    year: int
    model: str
    ram_mb: int
    cores: int
    suite: str
    functions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to call: a post (Văn thư, Chuyên trách CNTT), never a person."""

    post: str
    phone: str


@dataclass(frozen=True, slots=True)
class Board:
    """Place of a site on the board, in percent of its width (x, from the left) and height (y, from the top)."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Site:
    """One office with servers. `parent` and `link` are None for the hub only: the links end there."""

    code: str
    name: str
    tier: str
    parent: str | None
    domain: str
    network: IPv4Network
    board: Board | None
    link: Link | None
    hosts: tuple[Host, ...]
    contact: Contact | None
    pilot: bool
    is_hub: bool

    @property
    def group(self) -> str:
        """The site's group in Ansible and pyinfra, which allow no hyphen."""
        return f"site_{self.code.replace('-', '_')}"

    @property
    def mail_host(self) -> Host | None:
        """The host that holds this site's mailboxes: its first one with the function `mail`."""
        return next((host for host in self.hosts if "mail" in host.functions), None)


@dataclass(frozen=True, slots=True)
class Province:
    """A whole register, read from `folder`. `sites` is in order of tier, then code; the hub is one of them."""

    code: str
    name: str
    domain: str
    operator: str
    lab: bool
    folder: Path
    tiers: Mapping[str, Tier]
    sites: tuple[Site, ...]
    hub: Site

    @property
    def hub_host(self) -> Host:
        """The hub's main server: the first host of its file."""
        return self.hub.hosts[0]

    @property
    def state_dir(self) -> Path:
        """Where it is written down which host is which: beside a real province's register; a lab's hosts come and go,
        so theirs is among the lab's own things ($TRAM_LAB chooses among labs that run side by side)."""
        return LABS / os.environ.get("TRAM_LAB", "lab") if self.lab else self.folder.resolve()

    @property
    def secrets_dir(self) -> Path:
        """Where keys and passwords live, outside every repository: $TRAM_SECRETS, or ~/.config/tram/<province>; a lab's
        among the lab's own things, for they go when its hosts go."""
        chosen = os.environ.get("TRAM_SECRETS")
        if chosen:
            return Path(chosen).expanduser()
        if self.lab:
            return self.state_dir / "secrets"
        return Path.home() / ".config" / "tram" / self.code
