"""A province as plain data (JSON) and back: for a host that shows the register and has nothing to read YAML with.

Left out: `operator` and `folder`, which are the centre's way to the hosts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from tram.register.model import Board, Contact, Host, Link, Province, Site, Tier


def to_plain(province: Province) -> dict[str, Any]:
    """The province as JSON can hold it."""
    data = {name: getattr(province, name) for name in ("code", "name", "domain", "lab")}
    tiers = [asdict(tier) for tier in province.tiers.values()]
    return {**data, "tiers": tiers, "sites": [_site(site) for site in province.sites]}


def _site(site: Site) -> dict[str, Any]:
    data = asdict(site)
    data["network"] = str(site.network)
    if site.link:
        data["link"]["rtt"] = site.link.rtt.total_seconds()
    for host, row in zip(site.hosts, data["hosts"], strict=True):
        row |= {"address": str(host.address), "functions": list(host.functions)}
    data["hosts"] = list(data["hosts"])
    return data


def from_plain(data: Mapping[str, Any], folder: Path) -> Province:
    """The province that `to_plain` was given, as if read from `folder`.

    Raises: KeyError, TypeError or ValueError for what is not of that form.
    """
    sites = tuple(_read_site(one) for one in data["sites"])
    tiers = {one["code"]: Tier(**one) for one in data["tiers"]}
    words = {name: data[name] for name in ("code", "name", "domain", "lab")}
    hub = next((site for site in sites if site.is_hub), None)
    if hub is None:
        raise ValueError("no site is the hub")
    return Province(**words, operator="", folder=folder, tiers=tiers, sites=sites, hub=hub)


def _read_site(data: Mapping[str, Any]) -> Site:
    link, contact, board = data["link"], data["contact"], data["board"]
    hosts = [
        Host(**{**one, "address": IPv4Address(one["address"]), "functions": tuple(one["functions"])})
        for one in data["hosts"]
    ]
    read = {
        "network": IPv4Network(data["network"]),
        "link": Link(**{**link, "rtt": timedelta(seconds=link["rtt"])}) if link else None,
        "contact": Contact(**contact) if contact else None,
        "board": Board(**board) if board else None,
        "hosts": tuple(hosts),
    }
    return Site(**{**data, **read})
