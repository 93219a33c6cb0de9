"""Which hosts of a stack are next: the wave of its rollout that has yet to begin, or the first one of a plan."""

from __future__ import annotations

from dataclasses import dataclass

from tram.ledger import Ledger
from tram.ledger.rolloutbook import OVER
from tram.register import Host, Site
from tram.rollout.plan import make_plan
from tram.rollout.policy import Policy
from tram.rollout.targets import Targets

_TO_COME = ("waiting",)


@dataclass(frozen=True, slots=True)
class Upcoming:
    """The next wave: its number and name, its hosts in order. Number 0: no wave is left."""

    number: int
    name: str
    hosts: tuple[tuple[Site, Host], ...]


def next_wave(ledger: Ledger, stack: str, found: Targets, policy: Policy) -> Upcoming:
    """Of the rollout of this stack that is not over; without one, of the plan that would be made now."""
    by_name = {host.inventory_name: (site, host) for site, host in found.hosts}
    row = next((row for row in ledger.rollouts.newest(stack) if row.state not in OVER), None)
    if row is not None:
        wave = next((one for one in ledger.rollouts.waves(row.run) if one.state in _TO_COME), None)
        if wave is None:
            return Upcoming(0, "", ())
        names = [place.host for place in ledger.rollouts.places(row.run) if place.wave == wave.number]
        return Upcoming(wave.number, wave.name, tuple(by_name[name] for name in names if name in by_name))
    lasts = ledger.lasts()
    # Bytes of bundles do not decide who is in the first wave, but lines do.
    first = make_plan(found, policy, last_of=lasts.get, bytes_of=lambda _: None)[0]
    return Upcoming(first.number, first.name, tuple(by_name[place.host] for place in first.places))
