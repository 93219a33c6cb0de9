"""Provinces of a test, made rather than read: a hub and as many sites as asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from tram.ledger import Ledger, new_run_id, utc_now
from tram.ledger.rolloutbook import NewWave
from tram.register import Host, Link, Site
from tram.rollout.plan import Wave
from tram.rollout.policy import Policy

GOOD_LINE = Link("fibre", "", "", 30_000_000, 30_000_000, timedelta(milliseconds=8), 0.0)
BAD_LINE = Link("adsl", "", "", 4_000_000, 512_000, timedelta(milliseconds=60), 0.005)
QUICK = Policy(soak=timedelta(0), retry_first=timedelta(milliseconds=200), retry_most=timedelta(seconds=1), parallel=4)


def site(code: str, *, line: Link | None = GOOD_LINE, pilot: bool = False, hosts: int = 1) -> Site:
    """A site with its hosts `<code>-srv1` …; without a line it is the hub."""
    made = tuple(
        Host(
            name=f"srv{n}",
            inventory_name=f"{code}-srv{n}",
            fqdn=f"srv{n}.{code}.example",
            address=IPv4Address("192.0.2.10"),
            year=2009,
            model="",
            ram_mb=2048,
            cores=2,
            suite="bookworm",
            functions=("mail",),
        )
        for n in range(1, hosts + 1)
    )
    return Site(
        code=code,
        name=code,
        tier="district",
        parent=None if line is None else "hub",
        domain=f"{code}.example",
        network=IPv4Network("192.0.2.0/24"),
        board=None,
        link=line,
        hosts=made,
        contact=None,
        pilot=pilot,
        is_hub=line is None,
    )


def new_rollout(ledger: Ledger, waves: list[list[str]], policy: Policy = QUICK, *, stack: str = "mail") -> str:
    """A rollout on record with these waves of hosts, as `start` would write it."""
    run = new_run_id(utc_now())
    cost = {"bytes_down": 1, "bytes_up": 1, "source": "guess", "seconds": 0.1, "misfits": []}
    planned = [
        NewWave("rest", policy.soak, number in policy.approve, [(h, h.rpartition("-")[0], [], cost) for h in hosts])
        for number, hosts in enumerate(waves, start=1)
    ]
    ledger.rollouts.create(
        run,
        province="lab",
        stack=stack,
        playbook=f"playbooks/{stack}.yml",
        inventory=str(Path("inventories/lab")),
        policy=policy.plain(),
        planned=planned,
    )
    return run


def names(count: int, prefix: str = "xa") -> list[str]:
    return [f"{prefix}-{n:02}-srv1" for n in range(1, count + 1)]


def shape(waves: tuple[Wave, ...]) -> list[tuple[str, int]]:
    """The name and number of sites of each wave."""
    return [(wave.name, len(wave.sites)) for wave in waves]


def worse(link: Link, rate: int) -> Link:
    return replace(link, down_bps=rate, up_bps=rate)
