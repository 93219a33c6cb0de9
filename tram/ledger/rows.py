"""What the ledger answers: frozen rows, and how each is read from the tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Row

from tram.ledger.states import Outcome, State

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run: one playbook to some hosts. `counts` has how many hosts are in each state that occurs."""

    run: str
    province: str
    playbook: str
    kind: str
    started: datetime
    ended: datetime | None
    counts: Mapping[State, int]


@dataclass(frozen=True, slots=True)
class HostRow:
    """One host in one run. `tree` is the digest of what it was given last. Bytes are payload on the link so far,
    `bytes_down` towards the site; `bytes_total` is what is to be carried to it (None: not known yet); `last_heard` is
    the centre's clock, `site_state` the site's own word.
    """

    run: str
    host: str
    site: str
    state: State
    reason: str
    serial: int | None
    tree: str | None
    attempts: int
    started: datetime | None
    ended: datetime | None
    last_heard: datetime | None
    next_try: datetime | None
    bytes_down: int
    bytes_up: int
    bytes_total: int | None
    site_state: str | None
    task: str | None
    tasks_done: int | None
    tasks_total: int | None
    result_seq: int | None
    lease_owner: str | None
    lease_until: datetime | None

    @property
    def outcome(self) -> Outcome | None:
        """The public outcome; None while there is none."""
        return self.state.outcome

    @property
    def percent(self) -> int | None:
        """How much of what is to be carried was carried, 0 to 100; None while that is not known."""
        if not self.bytes_total:
            return None
        return min(100, 100 * self.bytes_down // self.bytes_total)


@dataclass(frozen=True, slots=True)
class Shown:
    """A run with its hosts, in the order of their names."""

    run: RunRow
    hosts: tuple[HostRow, ...]


@dataclass(frozen=True, slots=True)
class Carried:
    """A host that was not reached and is still owed its run. `since` is when it was first tried."""

    run: str
    host: str
    site: str
    playbook: str
    since: datetime
    attempts: int
    reason: str
    next_try: datetime | None
    due: bool
    too_old: bool


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one host of a run until `until`; `attempt` counts from 1."""

    run: str
    host: str
    owner: str
    until: datetime
    attempt: int


@dataclass(frozen=True, slots=True)
class RolloutRow:
    """A rollout: a run in waves. `wish` is what an operator asked of the controller: "pause", "abort" or None."""

    run: str
    stack: str
    inventory: str
    state: str
    wish: str | None
    policy: Mapping[str, Any]
    controller: str | None
    controller_until: datetime | None


@dataclass(frozen=True, slots=True)
class WaveRow:
    """One wave. `objections` are the reasons why it may not go on, as plain data."""

    run: str
    number: int
    name: str
    state: str
    soak_seconds: float
    needs_approval: bool
    objections: tuple[Mapping[str, Any], ...]
    started: datetime | None
    settled: datetime | None
    ended: datetime | None


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """A host's place in the plan, with the reasons and the forecast as plain data."""

    run: str
    host: str
    wave: int
    place: int
    why: tuple[Mapping[str, Any], ...]
    forecast: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """Who let a wave go on, and the keys of the objections that were accepted."""

    run: str
    wave: int
    at: datetime
    who: str
    accepted: tuple[str, ...]


_JSON = {"policy", "objections", "why", "forecast", "accepted"}


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def row_of(kind: type[T], row: Row[Any], **given: object) -> T:
    """The database's row as one of the classes above; `given` are the fields that are in no column."""
    mapping = row._mapping
    values: dict[str, Any] = {name: mapping[name] for name in _names(kind) if name not in given}  # type: ignore[arg-type]
    for name in _JSON & values.keys():
        found = json.loads(values[name])
        values[name] = tuple(found) if isinstance(found, list) else found
    if kind is HostRow:
        values["state"] = State(values["state"])
    if kind is WaveRow:
        values["needs_approval"] = bool(values["needs_approval"])
    return kind(**values, **given)
