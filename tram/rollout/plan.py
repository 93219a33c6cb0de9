"""Who goes when, and why: the hub where the stack needs it, pilots, then ready sites on good lines; waves grow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import Any

from tram.core.units import format_rate, format_share, format_span
from tram.ledger import HostRow, Outcome
from tram.register import Host, Link, Site
from tram.rollout.forecast import GUESS_DOWN, GUESS_UP, BytesOf, Forecast, Traffic, forecast
from tram.rollout.policy import Policy, wave_size
from tram.rollout.reason import Reason
from tram.rollout.targets import Targets

LastOf = Callable[[str], HostRow | None]

_READINESS = ("ready", "new", "silent", "troubled")


@dataclass(frozen=True, slots=True)
class Place:
    """One host's place in the plan."""

    host: str
    site: str
    why: tuple[Reason, ...]
    forecast: Forecast


@dataclass(frozen=True, slots=True)
class Wave:
    """Sites that go together. `name` is "hub", "pilot", "rest" or the size from the policy."""

    number: int
    name: str
    soak: timedelta
    needs_approval: bool
    places: tuple[Place, ...]

    @property
    def sites(self) -> tuple[str, ...]:
        """Its sites in order."""
        return tuple(dict.fromkeys(place.site for place in self.places))


@dataclass(frozen=True, slots=True)
class _Standing:
    """A site as the plan weighs it."""

    site: Site
    readiness: str
    hosts: tuple[tuple[Host, Forecast], ...]

    @property
    def weight(self) -> tuple[int, float, str]:
        """Readiest first, then the line that carries it soonest, then by code so that a plan is the same each time."""
        seconds = sum(cost.seconds for _, cost in self.hosts)
        return _READINESS.index(self.readiness), seconds, self.site.code


def make_plan(found: Targets, policy: Policy, *, last_of: LastOf, bytes_of: BytesOf) -> tuple[Wave, ...]:
    """The waves of a rollout. A site's hosts share its line and go in one wave; hosts of a site follow one another.

    `last_of` is a host's newest run in the ledger; `bytes_of` what a delivery would carry now (None: not known, then
    the last run's bytes are taken, or a guess).
    """
    standings = []
    for _, group in groupby(found.hosts, key=lambda pair: pair[0].code):
        pairs = list(group)
        site, hosts = pairs[0][0], [host for _, host in pairs]
        standings.append(_standing(site, hosts, policy, last_of, bytes_of))
    standings.sort(key=lambda standing: standing.weight)
    needs_hub = "all" in found.named or bool(found.named & set(policy.hub_first))
    cut = _cut(standings, policy, needs_hub=needs_hub)
    return tuple(
        Wave(
            number=number,
            name=name,
            soak=policy.soak if number < len(cut) else timedelta(0),  # nothing waits for the last one
            needs_approval=number in policy.approve,
            places=tuple(_place(standing, why, host, cost) for standing in wave for host, cost in standing.hosts),
        )
        for number, (name, why, wave) in enumerate(cut, start=1)
    )


def _standing(site: Site, hosts: Sequence[Host], policy: Policy, last_of: LastOf, bytes_of: BytesOf) -> _Standing:
    allowed = policy.link(site.link.link_class if site.link else "")
    readiness, costs = [], []
    for host in hosts:
        last = last_of(host.inventory_name)
        readiness.append(_readiness(last))
        traffic = bytes_of(host.inventory_name) or _traffic(last)
        costs.append((host, forecast(traffic, site.link, allowed)))
    return _Standing(site, max(readiness, key=_READINESS.index), tuple(costs))


def _readiness(last: HostRow | None) -> str:
    if last is None or last.outcome is None:
        return "new"
    return {Outcome.DONE: "ready", Outcome.NOT_REACHED: "silent", Outcome.FAILED: "troubled"}[last.outcome]


def _traffic(last: HostRow | None) -> Traffic:
    if last is None or not last.bytes_down:
        return Traffic(GUESS_DOWN, GUESS_UP, "guess")
    return Traffic(last.bytes_down, last.bytes_up, "ledger")


def _cut(
    standings: Sequence[_Standing], policy: Policy, *, needs_hub: bool
) -> list[tuple[str, Reason, list[_Standing]]]:
    """The waves as (name, why, sites). Shares are of all sites but the hub; nobody else goes in a wave of pilots."""
    hub = [s for s in standings if s.site.is_hub and needs_hub]
    pilots = [s for s in standings if s.site.pilot and s not in hub]
    others = [s for s in standings if s not in hub and s not in pilots]
    total = len(pilots) + len(others)
    cut: list[tuple[str, Reason, list[_Standing]]] = [("hub", Reason("hub"), hub)] if hub else []
    sizes = list(policy.growth)
    if total:
        first = wave_size(sizes.pop(0), total)
        if pilots:
            cut += [("pilot", Reason("pilot"), part) for part in (pilots[:first], pilots[first:]) if part]
        else:
            cut.append(("pilot", Reason("first"), others[:first]))
            others = others[first:]
    while others:
        size = sizes.pop(0) if sizes else "rest"
        count = wave_size(size, total)
        if count >= len(others):
            size = "rest"
        cut.append((size, Reason("rest") if size == "rest" else Reason("share", {"size": size}), others[:count]))
        others = others[count:]
    return cut


def _place(standing: _Standing, why: Reason, host: Host, cost: Forecast) -> Place:
    reasons = (why, Reason(standing.readiness), _line(standing.site.link))
    return Place(host.inventory_name, standing.site.code, reasons, cost)


def _line(link: Link | None) -> Reason:
    if link is None:
        return Reason("no_line")
    values: dict[str, Any] = {
        "link": link.link_class,
        "down": format_rate(link.down_bps),
        "up": format_rate(link.up_bps),
        "rtt": format_span(link.rtt),
        "loss": format_share(link.loss),
    }
    return Reason("line", values)
