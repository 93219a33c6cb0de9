"""Rows of runs, hosts and events, inside a transaction of the caller's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, exists, func, select, update

from tram.core.canonical import dumps
from tram.core.errors import BadInput
from tram.core.events import BadEvent, Event
from tram.ledger.database import upsert
from tram.ledger.rows import HostRow, row_of
from tram.ledger.schema import events, run_hosts, runs, settings
from tram.ledger.states import State

# Rows an INSERT: far below the 32,766 values that SQLite takes in one statement.
_CHUNK = 500
_RESULTS = {"done": State.DONE, "failed": State.FAILED, "reverted": State.REVERTED, "refused": State.REFUSED}


class UnknownRun(BadInput):
    """A run, or a host in it, that the ledger has nothing of."""


def of(run: str, host: str) -> ColumnElement[bool]:
    """The one row of this host in this run."""
    return and_(run_hosts.c.run == run, run_hosts.c.host == host)


def host(c: Connection, run: str, name: str) -> HostRow:
    """The host's row.

    Raises: UnknownRun.
    """
    row = c.execute(select(run_hosts).where(of(run, name))).one_or_none()
    if row is None:
        raise UnknownRun(f"no host {name} in a run {run} in the ledger", hint="tram runs show RUN lists its hosts")
    return row_of(HostRow, row)


def counts(c: Connection, names: Sequence[str]) -> dict[str, dict[State, int]]:
    """How many hosts of each run are in each state."""
    found: dict[str, dict[State, int]] = {}
    query = select(run_hosts.c.run, run_hosts.c.state, func.count().label("hosts"))
    for row in c.execute(query.where(run_hosts.c.run.in_(names)).group_by(run_hosts.c.run, run_hosts.c.state)):
        found.setdefault(row.run, {})[State(row.state)] = row.hosts
    return found


def add_run(c: Connection, run: str, *, province: str, playbook: str, kind: str, at: datetime) -> None:
    """The run's row, unless it is there."""
    values = {"run": run, "province": province, "playbook": playbook, "kind": kind, "started": at}
    c.execute(upsert(c, runs).values(**values).on_conflict_do_nothing().returning(runs.c.run))


def add_hosts(c: Connection, run: str, hosts: Iterable[tuple[str, str]]) -> None:
    """The rows of these (host, site), waiting, unless they are there."""
    rows = [
        {
            "run": run,
            "host": name,
            "site": site,
            "state": State.WAITING,
            "reason": "",
            "attempts": 0,
            "bytes_down": 0,
            "bytes_up": 0,
        }
        for name, site in hosts
    ]
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        c.execute(upsert(c, run_hosts).values(chunk).on_conflict_do_nothing().returning(run_hosts.c.host))


def close_run(c: Connection, run: str, at: datetime) -> None:
    """The run has ended once every host of it has an outcome; a host taken up again opens it again."""
    busy = select(run_hosts.c.host).where(run_hosts.c.run == run, run_hosts.c.state.in_([State.WAITING, State.RUNNING]))
    c.execute(select(runs.c.run).where(runs.c.run == run).with_for_update(key_share=True))
    open_still = c.execute(busy.limit(1)).one_or_none() is not None
    statement = update(runs).where(runs.c.run == run)
    if open_still:
        c.execute(statement.values(ended=None))
    else:
        c.execute(statement.where(runs.c.ended.is_(None)).values(ended=at))


def record(c: Connection, given: Sequence[Event], at: datetime, source: str | None) -> int:
    """Insert what is new and let it speak; see `Ledger.record`."""
    foreign = next((event for event in given if source is not None and event.host != source), None)
    if foreign:
        raise BadEvent(f"{source} sent an event of {foreign.host}", hint="a host speaks for itself only: look at it")
    unique = {(event.run, event.host, event.seq): event for event in reversed(given)}
    for run, name in dict.fromkeys((event.run, event.host) for event in given):
        _make_room(c, run, name, at)
    new: list[Event] = []
    keys = list(unique)
    for start in range(0, len(keys), _CHUNK):
        rows = [_row(unique[key], at) for key in keys[start : start + _CHUNK]]
        statement = upsert(c, events).values(rows).on_conflict_do_nothing()
        inserted = c.execute(statement.returning(events.c.run, events.c.host, events.c.seq))
        new += [unique[(row.run, row.host, row.seq)] for row in inserted]
    by_host: dict[tuple[str, str], list[Event]] = {}
    for event in new:
        by_host.setdefault((event.run, event.host), []).append(event)
    # Hosts in one order, runs after all hosts: whoever else writes takes the same locks in the same order.
    ended = {run for (run, name), own in sorted(by_host.items()) if _let_speak(c, run, name, own, at)}
    for run in sorted(ended):
        close_run(c, run, at)
    return len(new)


def read(c: Connection, run: str, name: str | None, after: int, kind: str | None) -> list[Event]:
    """Events by host and number."""
    query = select(events).where(events.c.run == run, events.c.seq > after).order_by(events.c.host, events.c.seq)
    if name is not None:
        query = query.where(events.c.host == name)
    if kind is not None:
        query = query.where(events.c.kind == kind)
    return [Event(row.run, row.host, row.seq, row.at, row.kind, json.loads(row.body)) for row in c.execute(query)]


def next_seq(c: Connection, run: str, name: str) -> int:
    """The first number that is not there."""
    following = events.alias()
    mine = (events.c.run == run, events.c.host == name)
    if c.execute(select(events.c.seq).where(*mine, events.c.seq == 1)).one_or_none() is None:
        return 1
    after = exists().where(following.c.run == run, following.c.host == name, following.c.seq == events.c.seq + 1)
    return int(c.execute(select(func.min(events.c.seq)).where(*mine, ~after)).scalar_one()) + 1


def _make_room(c: Connection, run: str, name: str, at: datetime) -> None:
    """A run the ledger has nothing of (it was made anew, or another centre began it) is kept as of kind "found"."""
    if c.execute(select(run_hosts.c.host).where(of(run, name))).one_or_none():
        return
    province = c.execute(select(settings.c.value).where(settings.c.name == "province")).scalar_one_or_none()
    add_run(c, run, province=province or "", playbook="", kind="found", at=at)
    add_hosts(c, run, [(name, "")])


def _row(event: Event, at: datetime) -> dict[str, object]:
    return {
        "run": event.run,
        "host": event.host,
        "seq": event.seq,
        "at": event.at,
        "kind": event.kind,
        "body": dumps(dict(event.body)).decode(),
        "recorded": at,
    }


def _let_speak(c: Connection, run: str, name: str, new: Sequence[Event], at: datetime) -> bool:
    """Bring the host's row up to date with its newest events (older ones that come late change nothing there); whether
    it ended."""
    values: dict[str, object] = {"last_heard": at}
    newest = c.execute(
        select(events.c.kind, func.max(events.c.seq).label("seq"))
        .where(events.c.run == run, events.c.host == name)
        .group_by(events.c.kind)
    ).all()
    last = {row.kind: row.seq for row in newest}
    for event in new:
        if event.seq != last[event.kind]:
            continue
        if event.kind == "state":
            values["site_state"] = str(event.body.get("state", ""))
        elif event.kind == "task":
            values["task"] = str(event.body.get("task", ""))
        elif event.kind == "result":
            values |= _result(event, at)
    c.execute(update(run_hosts).where(of(run, name)).values(values))
    return "state" in values


def _result(event: Event, at: datetime) -> dict[str, object]:
    state = _RESULTS.get(str(event.body.get("outcome")))
    if state is None:
        raise BadEvent(f"{event.host}: a result says neither of {', '.join(_RESULTS)}")
    reason = "" if state is State.DONE else str(event.body.get("reason") or "")
    return {"state": state, "reason": reason, "ended": at, "next_try": None, "result_seq": event.seq}
