"""The register as an inventory: the groups and the `tram_` variables of each host, the same for Ansible and pyinfra."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tram.register.model import Host, Link, Province, Site
from tram.register.plain import to_plain


@dataclass(frozen=True, slots=True)
class Entry:
    """One host of the inventory with the groups it is in and its variables (plain data)."""

    name: str
    address: str
    groups: tuple[str, ...]
    variables: dict[str, Any]


def entries(province: Province) -> Iterator[Entry]:
    """Every host of the province, in the order of the register, with what is its own; `shared` is for all of them."""
    for site in province.sites:
        for host in site.hosts:
            variables = _own(site, host)
            if "board" in host.functions:
                variables["tram_register"] = to_plain(province)
            yield Entry(host.inventory_name, str(host.address), groups(site, host), variables)


def all_groups(province: Province) -> tuple[str, ...]:
    """Every group there is, also those of tiers, link classes and sites without a host, so that no play misses one."""
    found = ["hub", *(f"tier_{tier}" for tier in province.tiers), *(site.group for site in province.sites)]
    for site in province.sites:
        for host in site.hosts:
            found += groups(site, host)
    return tuple(dict.fromkeys(found))


def groups(site: Site, host: Host) -> tuple[str, ...]:
    """The groups of one host."""
    found = [f"tier_{site.tier}", site.group, f"suite_{host.suite}", *host.functions]
    found += ["hub"] if site.is_hub else []
    found += ["pilot"] if site.pilot else []
    found += [f"link_{site.link.link_class.replace('-', '_')}"] if site.link else []
    return tuple(found)


def shared(province: Province) -> dict[str, Any]:
    """The variables that are the same on every host: given once, because `tram_sites` grows with the province."""
    hub = province.hub_host
    return {
        "tram_province": province.code,
        "tram_province_name": province.name,
        "tram_lab": province.lab,
        "tram_domain": province.domain,
        "tram_secrets_dir": str(province.secrets_dir),
        "tram_hub_host": hub.inventory_name,
        "tram_hub_address": str(hub.address),
        "tram_hub_fqdn": hub.fqdn,
        "tram_site_networks": [str(site.network) for site in province.sites],
        "tram_sites": [_row(site) for site in province.sites],
    }


def _row(site: Site) -> dict[str, Any]:
    """One site as zones, mail routes and the directory need it; the mail fields are null where no host has `mail`."""
    mail = site.mail_host
    return {
        "code": site.code,
        "name": site.name,
        "tier": site.tier,
        "parent": site.parent,
        "provider": site.link.provider if site.link else None,
        "domain": site.domain,
        "network": str(site.network),
        "mail_host": mail.inventory_name if mail else None,
        "mail_address": str(mail.address) if mail else None,
        "mail_fqdn": mail.fqdn if mail else None,
        "is_hub": site.is_hub,
    }


def link_row(link: Link) -> dict[str, Any]:
    """A link with its units in the names."""
    return {
        "class": link.link_class,
        "down_bps": link.down_bps,
        "up_bps": link.up_bps,
        "rtt_ms": link.rtt / timedelta(milliseconds=1),
        "loss_percent": round(link.loss * 100, 9),
    }


def _own(site: Site, host: Host) -> dict[str, Any]:
    """What is this host's alone."""
    return {
        "tram_site": site.code,
        "tram_site_name": site.name,
        "tram_tier": site.tier,
        "tram_site_domain": site.domain,
        "tram_site_network": str(site.network),
        "tram_is_hub": site.is_hub,
        "tram_fqdn": host.fqdn,
        "tram_ram_mb": host.ram_mb,
        "tram_cores": host.cores,
        "tram_year": host.year,
        "tram_suite": host.suite,
        "tram_functions": list(host.functions),
        "tram_link": link_row(site.link) if site.link else None,
    }
