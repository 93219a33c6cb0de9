"""The kernel's own network configuration: cards that are up, addresses and routes, whoever set them.

A change that takes the address away without touching a file cuts the site off as well as one that writes a file.
"""

from __future__ import annotations

import json
import shutil
from typing import Any

from tram.core.run import run

# Set by others than an administrator: they come and go by themselves.
_PASSING_ROUTES = ("kernel", "ra", "dhcp", "redirect")
_SCOPES = ("global", "site")


def addresses() -> list[str] | None:
    """As the words `ip` needs to set them again, in an order in which they can be set; None when there is no `ip`."""
    if shutil.which("ip") is None:
        return None
    links = _asked("address", "show")
    if links is None:
        return None
    dialled = {link["ifname"] for link in links if "POINTOPOINT" in link.get("flags", ())}  # its provider's to set
    links = [link for link in links if link["ifname"] not in dialled]
    up = [f"link set dev {link['ifname']} up" for link in links if "UP" in link.get("flags", ())]
    found = []
    for link in links:
        for address in link.get("addr_info", ()):
            if address.get("scope") in _SCOPES and not address.get("dynamic"):
                broadcast = f" brd {address['broadcast']}" if "broadcast" in address else ""
                cidr = f"{address['local']}/{address['prefixlen']}"
                found.append(f"address replace {cidr}{broadcast} dev {link['ifname']}")
    routes = []
    for family in ("-4", "-6"):
        for route in _asked(family, "route", "show", "table", "main") or []:
            if route.get("protocol") in _PASSING_ROUTES or route.get("dev") in dialled:
                continue
            if words := _route(route):
                routes.append(f"{family} route replace {words}")
    # A gateway must be in reach before what goes through it.
    return sorted(up) + sorted(found) + sorted(routes, key=lambda words: (" via " in words, words))


def bring_back_addresses(before: list[str] | None) -> list[str]:
    """Set again what is missing, and take away what was added. Returns what did not work, as sentences."""
    now = addresses()
    if before is None or now is None or now == before:
        return []
    problems = []
    for words in before:
        if words not in now or words.startswith("-"):  # routes go with the address they need
            problems += _ip(words)
    for words in now:
        if words not in before and " replace " in words:
            problems += _ip(words.replace(" replace ", " del ", 1))
    return problems


def _route(route: dict[str, Any]) -> str:
    if "nexthops" in route or "dst" not in route:
        return ""
    words = [*([route["type"]] if "type" in route else []), str(route["dst"])]
    for name, key in (("via", "gateway"), ("dev", "dev"), ("src", "prefsrc"), ("metric", "metric")):
        if key in route:
            words += [name, str(route[key])]
    if "onlink" in route.get("flags", ()):  # a gateway outside of every network of its card, as some providers have it
        words.append("onlink")
    return " ".join(words)


def _asked(*words: str) -> list[dict[str, Any]] | None:
    ran = run(["ip", "-json", *words], check=False)
    try:
        found = json.loads(ran.stdout or "[]") if ran.code == 0 else None
    except ValueError:
        return None
    return found if isinstance(found, list) else None


def _ip(words: str) -> list[str]:
    ran = run(["ip", *words.split()], check=False)
    return [] if ran.code == 0 else [f"ip {words}: {ran.stderr.strip()[:200]}"]
