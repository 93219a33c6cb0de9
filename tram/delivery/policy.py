"""How patient delivery is with a line, what it may carry, and when: worked out from the line itself."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tram.core.errors import BadInput
from tram.core.units import parse_span
from tram.register import Link, Province

# The province's rules of rollouts; what its `links` say of a class of lines holds for every delivery.
RULES = "rollout.yml"
_VIET_NAM = timedelta(hours=7)

# What a lost packet costs in waiting, in round trips, as TCP's timers go. Source: RFC 6298.
_LOSS_FACTOR = 40
_QUEUE_BYTES = 64 * 1024  # what modems and ssh hold back in front of a keep-alive


@dataclass(frozen=True, slots=True)
class Hours:
    """The hours of a day, local time, in which a line may be used; `until` before `since` is over night."""

    since: time
    until: time
    zone: timezone = timezone(_VIET_NAM)

    def opens(self, now: datetime) -> datetime | None:
        """When the line may be used next; None: it may be used now."""
        local = now.astimezone(self.zone)
        clock = local.timetz().replace(tzinfo=None)
        if self.since <= clock < self.until or (self.until <= self.since and not self.until <= clock < self.since):
            return None
        next_time = local.replace(hour=self.since.hour, minute=self.since.minute, second=0, microsecond=0)
        return (next_time if next_time > local else next_time + timedelta(days=1)).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Policy:
    """The bounds of delivery to one site.

    `connect`: how long one attempt may take to be answered. `alive_every` × `alive_count`: silence after which a
    connection is taken for dead. `first_pause`, `longest_pause`: between attempts. `reach`: without any answer for so
    long, the host is *not reached*. `stall`: the same once it has answered. `answer`: how long it may think about
    one frame. `order_valid`: how long an order may be on its way. `cap_bytes`: the most bytes one run may put on this
    line (None: no cap). `hours`: when it may be used (None: always). `linger`: how long a connection is left open for
    the next command. `confirm`: how long a host waits for the centre's word after a change. `told_every`: how often it
    tells how far it is; its result it tells at once.
    """

    connect: timedelta = timedelta(seconds=15)
    alive_every: timedelta = timedelta(seconds=20)
    alive_count: int = 6
    first_pause: timedelta = timedelta(seconds=2)
    longest_pause: timedelta = timedelta(seconds=45)
    reach: timedelta = timedelta(minutes=3)
    stall: timedelta = timedelta(minutes=15)
    answer: timedelta = timedelta(minutes=5)
    order_valid: timedelta = timedelta(days=1)
    cap_bytes: int | None = None
    hours: Hours | None = None
    linger: timedelta = timedelta(seconds=60)
    confirm: timedelta = timedelta(minutes=5)
    told_every: timedelta = timedelta(seconds=5)

    def pause(self, attempt: int, chance: random.Random) -> timedelta:
        """How long to wait after attempt number `attempt`: doubled each time, and shaken, so that sites whose common
        line comes back do not all call in the same second."""
        whole = min(self.first_pause * 2 ** min(attempt - 1, 16), self.longest_pause)
        shaken: timedelta = whole * chance.uniform(0.5, 1)
        return shaken


def policy_for(link: Link | None, province: Province | None = None) -> Policy:
    """The policy for a line (None: the hub's own network), with what the province's rules say of its class.

    Raises: BadInput when those rules cannot be read.
    """
    policy = _for_line(link) if link else Policy()
    if link is None or province is None:
        return policy
    path = province.folder / RULES
    try:
        rules = YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}
        given = (rules.get("links") or {}).get(link.link_class) or {}
        offset = rules.get("utc_offset")
        return replace(policy, cap_bytes=given.get("cap_bytes"), hours=_hours(given.get("hours"), offset))
    except FileNotFoundError:
        return policy
    except (OSError, UnicodeDecodeError, YAMLError, AttributeError, KeyError, ValueError, TypeError) as error:
        raise BadInput(
            f"{path}: cannot be read: {str(error).splitlines()[0]}", hint="tram rollout plan lists what is wrong in it"
        ) from error


def _for_line(link: Link) -> Policy:
    """Times grow with the round trip, with loss, and with how long the line needs for what is queued in front."""
    trip = link.rtt * (1 + _LOSS_FACTOR * link.loss)
    queue = timedelta(seconds=_QUEUE_BYTES * 8 / min(link.down_bps, link.up_bps))
    slow = min(5.0, max(1.0, 4 * (trip + queue) / timedelta(seconds=1)))
    return Policy(
        connect=timedelta(seconds=15) + 20 * trip + queue,
        alive_every=timedelta(seconds=20) + queue,
        first_pause=timedelta(seconds=1) + timedelta(seconds=1) * slow,
        longest_pause=timedelta(seconds=30) + timedelta(seconds=15) * slow,
        reach=timedelta(minutes=2) + timedelta(minutes=1) * slow,
        stall=timedelta(minutes=10) + timedelta(minutes=5) * slow,
        answer=timedelta(minutes=5) * slow,
        confirm=timedelta(minutes=4) + timedelta(minutes=1) * slow,
        told_every=timedelta(seconds=5) * slow,
    )


def _hours(given: Any, offset: Any) -> Hours | None:
    if given is None:
        return None
    zone = timezone(parse_span(offset) if offset else _VIET_NAM)
    return Hours(time.fromisoformat(str(given["since"])), time.fromisoformat(str(given["until"])), zone)
