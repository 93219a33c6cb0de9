"""What only the files together can show: parents, networks, addresses, names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network

from tram.register.draft import Draft
from tram.register.problem import Loc, Problem, did_you_mean
from tram.register.shape import FUNCTIONS


def check_together(province: Draft, sites: Sequence[Draft]) -> Iterator[Problem]:
    """Every problem between the files, of the values that are good by themselves."""
    hub = province.text("hub")
    yield from _known_words(province, sites)
    yield from _parents(hub, sites)
    yield from _hub(hub, province, sites)
    yield from _networks(sites)
    yield from _addresses(sites, lab=province.get("lab") is True)
    yield from _hosts(sites)
    yield from _domains(hub, province.text("domain"), sites)


def _known_words(province: Draft, sites: Sequence[Draft]) -> Iterator[Problem]:
    tiers, classes = province.keys("tiers"), province.keys("link_classes")
    for site in sites:
        tier, link = site.text("tier"), site.text("link", "class")
        if tier is not None and tiers and tier not in tiers:
            yield site.document.problem(("tier",), f'unknown tier "{tier}"', did_you_mean(tier, tiers))
        if link is not None and classes and link not in classes:
            yield site.document.problem(("link", "class"), f'unknown link class "{link}"', did_you_mean(link, classes))
        for host, _ in site.items("hosts"):
            yield from _functions(site, host)


def _functions(site: Draft, host: int) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, function in site.items("hosts", host, "functions"):
        loc: Loc = ("hosts", host, "functions", index)
        if function not in FUNCTIONS:
            yield site.document.problem(loc, f'unknown function "{function}"', did_you_mean(function, FUNCTIONS))
        elif function in seen:
            yield site.document.problem(loc, f'function "{function}" is given twice', "keep one of them")
        seen.add(function)


def _parents(hub: str | None, sites: Sequence[Draft]) -> Iterator[Problem]:
    parents = {site.name: site.text("parent") for site in sites}
    for site in sites:
        parent = parents[site.name]
        if site.name == hub and parent is not None:
            yield site.document.problem(("parent",), f'the hub has a parent: "{parent}"', "take the line out")
        elif parent is None and hub not in (None, site.name) and site.lacks("parent"):
            yield site.document.problem(("parent",), '"parent" is missing', f'every site but the hub "{hub}" has one')
        elif parent is not None and parent not in parents:
            others = [name for name in parents if name != site.name]
            yield site.document.problem(("parent",), f'parent "{parent}" is not there', did_you_mean(parent, others))
    yield from _loops(hub, parents, {site.name: site for site in sites})


def _loops(hub: str | None, parents: dict[str, str | None], sites: dict[str, Draft]) -> Iterator[Problem]:
    done = {hub}
    for start in sorted(parents):
        walk: list[str] = []
        name: str | None = start
        while name in parents and name not in done and name not in walk:
            walk.append(name)
            name = parents[name]
        if name in walk:
            loop = walk[walk.index(name) :]
            message = f"parents go in a circle: {' → '.join([*loop, loop[0]])}"
            yield sites[loop[0]].document.problem(("parent",), message, "one of them must lead to the hub")
        done.update(walk)


def _hub(hub: str | None, province: Draft, sites: Sequence[Draft]) -> Iterator[Problem]:
    if hub is None:
        return
    names = [site.name for site in sites]
    if hub not in names:
        message = f'the hub "{hub}" is missing: there is no sites/{hub}.yml'
        yield province.document.problem(("hub",), message, did_you_mean(hub, names))
    for site in sites:
        if site.name != hub and site.lacks("link"):
            hint = "write `link: {class: …}` with a link class of province.yml"
            yield site.document.problem(("link",), "the site has no link class", hint)
        if site.name == hub and site.get("link") is not None:
            yield site.document.problem(("link",), "the hub has a link", "take it out: links are lines to the hub")
        if site.name == hub and (site.lacks("hosts") or site.get("hosts") == []):
            yield site.document.problem(("hosts",), "the hub has no host", "its first host serves the whole province")


def _networks(sites: Sequence[Draft]) -> Iterator[Problem]:
    known = [(network, site) for site in sites if (network := site.network()) is not None]
    known.sort(key=lambda pair: (pair[0].network_address, pair[0].prefixlen, pair[1].name))
    still_open: list[tuple[IPv4Network, Draft]] = []
    for network, site in known:
        # Sorted by first address: only a network that has not ended before this one begins can overlap it.
        still_open = [pair for pair in still_open if pair[0].broadcast_address >= network.network_address]
        for other_network, other in still_open:
            message = f'network {network} overlaps {other_network} of "{other.name}" ({other.where("network")})'
            yield site.document.problem(("network",), message, "give each site its own network")
        still_open.append((network, site))


def _addresses(sites: Sequence[Draft], *, lab: bool) -> Iterator[Problem]:
    first: dict[IPv4Address, tuple[Draft, int]] = {}
    for site in sites:
        network = site.network()
        for host, _ in site.items("hosts"):
            address, loc = site.address(host), ("hosts", host, "address")
            if address is None:
                continue
            other, other_host = first.setdefault(address, (site, host))
            if (other, other_host) != (site, host):
                owner = f'host "{other.get("hosts", other_host, "name")}" of "{other.name}"'
                place = other.where("hosts", other_host, "address")
                message = f"address {address} is already that of {owner} ({place})"
                yield site.document.problem(loc, message, "give each host its own address")
            if network is not None:
                yield from _inside(site, loc, address, network, lab=lab)


def _inside(site: Draft, loc: Loc, address: IPv4Address, network: IPv4Network, *, lab: bool) -> Iterator[Problem]:
    if address not in network:
        message = f"address {address} is outside the site's network {network}"
        yield site.document.problem(loc, message, "correct one of the two")
    elif network.prefixlen < 31 and address in (network.network_address, network.broadcast_address):
        message = f"address {address} is the first or the last of {network}: no host can have it"
        yield site.document.problem(loc, message, "choose one between")
    elif lab and address == network.network_address + 1:
        yield site.document.problem(loc, f"address {address} is the gateway's in a lab", "choose a higher one")


def _hosts(sites: Sequence[Draft]) -> Iterator[Problem]:
    """No two hosts of one name, neither in a site nor, as <site>-<host>, in the inventory."""
    first: dict[str, tuple[Draft, int]] = {}
    for site in sites:
        for host, _ in site.items("hosts"):
            name = site.text("hosts", host, "name")
            if name is None:
                continue
            other, other_host = first.setdefault(f"{site.name}-{name}", (site, host))
            if (other, other_host) != (site, host):
                place = other.where("hosts", other_host, "name")
                message = f'two hosts of one name: "{site.name}-{name}" is also in {place}'
                yield site.document.problem(("hosts", host, "name"), message, "rename one of them")


def _domains(hub: str | None, province: str | None, sites: Sequence[Draft]) -> Iterator[Problem]:
    """No name in DNS means two things: neither two sites, nor a site and a host."""
    first: dict[str, Draft] = {}
    for site in sites:
        own = _domain(hub, province, site)
        if own is None:
            continue
        other = first.setdefault(own, site)
        if other is not site:
            message = f'domain "{own}" is already that of "{other.name}" ({other.where("domain")})'
            yield site.document.problem(("domain",), message, "mail could not tell them apart")
    for site in sites:
        own = _domain(hub, province, site)
        for host, _ in site.items("hosts"):
            name = f"{site.text('hosts', host, 'name')}.{own}"
            if name in first:
                message = f'the host\'s name "{name}" is the domain of "{first[name].name}"'
                yield site.document.problem(("hosts", host, "name"), message, "rename the host")


def _domain(hub: str | None, province: str | None, site: Draft) -> str | None:
    if ("domain",) in site.bad:
        return None
    standard = province if site.name == hub else f"{site.name}.{province}"
    return site.text("domain") or (standard if province else None)
