"""What only the files together can show: parents, networks, addresses, names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from tram.register.document import Document
from tram.register.problem import Loc, Problem, did_you_mean
from tram.register.shape import FUNCTIONS


@dataclass(frozen=True, slots=True)
class Draft:
    """A site file of which some values may be bad: the good ones still take part: every error in one go."""

    document: Document
    bad: frozenset[Loc]
    code: str

    def get(self, *loc: str | int) -> Any:
        """The value at `loc`, None when it is absent or already reported as wrong."""
        value: Any = self.document.data
        for depth, part in enumerate(loc):
            if loc[: depth + 1] in self.bad:
                return None
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def network(self) -> IPv4Network | None:
        text = self.get("network")
        return IPv4Network(text) if isinstance(text, str) else None

    def hosts(self) -> Iterator[int]:
        """The positions of the hosts in the file."""
        hosts = self.get("hosts")
        yield from range(len(hosts)) if isinstance(hosts, list) else ()

    def address(self, host: int) -> IPv4Address | None:
        text = self.get("hosts", host, "address")
        return IPv4Address(text) if isinstance(text, str) else None

    def where(self, *loc: str | int) -> str:
        return f"{self.document.file}:{self.document.line(loc)}"


def check_together(
    province: Document, hub: str | None, domain: str | None, drafts: Sequence[Draft]
) -> Iterator[Problem]:
    """Every problem between the files. `hub` and `domain` are None when province.yml does not give a good one."""
    yield from _known_words(province, drafts)
    yield from _parents(hub, drafts)
    yield from _hub(province, hub, drafts)
    yield from _networks(drafts)
    yield from _addresses(drafts)
    yield from _names(hub, domain, drafts)


def _known_words(province: Document, drafts: Sequence[Draft]) -> Iterator[Problem]:
    tiers, classes = (
        list(table) if isinstance(table := province.data.get(key), dict) else [] for key in ("tiers", "link_classes")
    )
    for draft in drafts:
        document = draft.document
        tier = draft.get("tier")
        if tier is not None and tiers and tier not in tiers:
            yield document.problem(("tier",), f'unknown tier "{tier}"', did_you_mean(tier, tiers))
        link = draft.get("link", "class")
        if link is not None and classes and link not in classes:
            yield document.problem(("link", "class"), f'unknown link class "{link}"', did_you_mean(link, classes))
        for host in draft.hosts():
            functions = draft.get("hosts", host, "functions")
            for index, function in enumerate(functions if isinstance(functions, list) else []):
                loc: Loc = ("hosts", host, "functions", index)
                if loc in draft.bad:
                    continue
                if function not in FUNCTIONS:
                    yield document.problem(loc, f'unknown function "{function}"', did_you_mean(function, FUNCTIONS))
                elif function in functions[:index]:
                    yield document.problem(loc, f'function "{function}" is given twice', "keep one of them")


def _parents(hub: str | None, drafts: Sequence[Draft]) -> Iterator[Problem]:
    parents = {draft.code: draft.get("parent") for draft in drafts}
    for draft in drafts:
        parent, others = parents[draft.code], [code for code in parents if code != draft.code]
        if draft.code == hub:
            if parent is not None:
                yield draft.document.problem(
                    ("parent",), f'the hub cannot have a parent ("{parent}")', "take the line out"
                )
        elif parent is None and ("parent",) not in draft.bad:
            yield draft.document.problem(
                ("parent",), '"parent" is missing', f'every site but the hub has one, e.g. "{hub}"'
            )
        elif parent is not None and parent not in parents:
            yield draft.document.problem(("parent",), f'parent "{parent}" is not there', did_you_mean(parent, others))
    yield from _loops(parents, {draft.code: draft for draft in drafts}, hub)


def _loops(parents: dict[str, Any], drafts: dict[str, Draft], hub: str | None) -> Iterator[Problem]:
    done: set[str] = set() if hub is None else {hub}
    for start in sorted(parents):
        walk: list[str] = []
        code: str | None = start
        while code is not None and code in parents and code not in done and code not in walk:
            walk.append(code)
            code = parents[code]
        if code in walk:
            loop = walk[walk.index(code) :]
            circle = " → ".join([*loop, loop[0]])
            yield drafts[loop[0]].document.problem(
                ("parent",), f"parents go in a circle: {circle}", "one of them must lead to the hub"
            )
        done.update(walk)


def _hub(province: Document, hub: str | None, drafts: Sequence[Draft]) -> Iterator[Problem]:
    if hub is not None and all(draft.code != hub for draft in drafts):
        hint = did_you_mean(hub, [draft.code for draft in drafts])
        yield province.problem(("hub",), f'the hub "{hub}" is missing: there is no sites/{hub}.yml', hint)
    for draft in drafts:
        document = draft.document
        has_link = draft.get("link") is not None
        if draft.code == hub:
            if has_link:
                yield document.problem(("link",), "the hub has no link: the links end there", "take `link` out")
            if not any(draft.hosts()) and draft.get("hosts") in ([], None) and ("hosts",) not in draft.bad:
                yield document.problem(("hosts",), "the hub has no host", "its first host serves the whole province")
        elif not has_link and ("link",) not in draft.bad:
            hint = "write `link: {class: …}` with a link class of province.yml"
            yield document.problem(("link",), "the site has no link class", hint)


def _networks(drafts: Sequence[Draft]) -> Iterator[Problem]:
    known = [(network, draft) for draft in drafts if (network := draft.network()) is not None]
    known.sort(key=lambda pair: (pair[0].network_address, pair[0].prefixlen, pair[1].code))
    open_nets: list[tuple[IPv4Network, Draft]] = []
    for network, draft in known:
        # Sorted by first address: only networks that have not ended yet can overlap this one.
        open_nets = [pair for pair in open_nets if pair[0].broadcast_address >= network.network_address]
        for other_network, other in open_nets:
            yield draft.document.problem(
                ("network",),
                f'network {network} overlaps {other_network} of "{other.code}" ({other.where("network")})',
                "give each site its own network",
            )
        open_nets.append((network, draft))


def _addresses(drafts: Sequence[Draft]) -> Iterator[Problem]:
    first: dict[IPv4Address, tuple[Draft, int]] = {}
    for draft in drafts:
        network = draft.network()
        for host in draft.hosts():
            address, loc = draft.address(host), ("hosts", host, "address")
            if address is None:
                continue
            if address in first:
                other, other_host = first[address]
                yield draft.document.problem(
                    loc,
                    f'address {address} is already that of host "{other.get("hosts", other_host, "name")}" of '
                    f'"{other.code}" ({other.where("hosts", other_host, "address")})',
                    "give each host its own address",
                )
            else:
                first[address] = (draft, host)
            if network is None:
                continue
            if address not in network:
                yield draft.document.problem(
                    loc, f"address {address} is outside the site's network {network}", "correct one of the two"
                )
            elif network.prefixlen < 31 and address in (network.network_address, network.broadcast_address):
                yield draft.document.problem(
                    loc,
                    f"address {address} is the first or last of {network}: no host can have it",
                    "choose one between",
                )


def _names(hub: str | None, domain: str | None, drafts: Sequence[Draft]) -> Iterator[Problem]:
    """No two hosts of one name (in their site, or as <site>-<host> in the inventory), no two sites of one domain."""
    hosts: dict[str, tuple[Draft, int]] = {}
    domains: dict[str, Draft] = {}
    for draft in drafts:
        for host in draft.hosts():
            name = draft.get("hosts", host, "name")
            if not isinstance(name, str):
                continue
            full = f"{draft.code}-{name}"
            if full in hosts:
                other, other_host = hosts[full]
                place = other.where("hosts", other_host, "name")
                same = "two hosts of one name" if other is draft else "two hosts of one name in the inventory"
                yield draft.document.problem(
                    ("hosts", host, "name"), f'{same}: "{full}", also in {place}', "rename one"
                )
            hosts.setdefault(full, (draft, host))
        if domain is None:
            continue
        own = draft.get("domain") or (domain if draft.code == hub else f"{draft.code}.{domain}")
        if own in domains:
            other_place = domains[own].where("domain")
            yield draft.document.problem(
                ("domain",),
                f'domain "{own}" is already that of "{domains[own].code}" ({other_place})',
                "mail could not tell them apart",
            )
        domains.setdefault(own, draft)
