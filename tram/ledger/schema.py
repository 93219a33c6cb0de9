"""The ledger's tables as the queries see them; how they come to be in a database is `migrations`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Dialect, Float, ForeignKey, Integer, MetaData, String, Table, Text
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[datetime]):
    """A moment as RFC 3339 UTC text of fixed width, to the millisecond: alike in every database, and sorts as it is."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> str | None:
        """2026-11-21T19:05:00.250Z."""
        if value is None:
            return None
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"

    def process_result_value(self, value: str | None, _dialect: Dialect) -> datetime | None:
        """The aware moment."""
        return None if value is None else datetime.fromisoformat(value)


def _key(name: str) -> Column[Any]:
    return Column(name, String, primary_key=True)


metadata = MetaData()

settings = Table("settings", metadata, _key("name"), Column("value", String, nullable=False))

runs = Table(
    "runs",
    metadata,
    _key("run"),
    Column("province", String, nullable=False),
    Column("playbook", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("started", Moment, nullable=False),
    Column("ended", Moment),
)

# One host in one run. `state` is one of states.py; the lease columns say who works on it now, until when.
run_hosts = Table(
    "run_hosts",
    metadata,
    Column("run", String, ForeignKey("runs.run"), primary_key=True),
    _key("host"),
    Column("site", String, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("serial", BigInteger),
    Column("tree", String),
    Column("attempts", Integer, nullable=False),
    Column("started", Moment),
    Column("ended", Moment),
    Column("last_heard", Moment),
    Column("next_try", Moment),
    Column("bytes_down", BigInteger, nullable=False),
    Column("bytes_up", BigInteger, nullable=False),
    Column("bytes_total", BigInteger),
    Column("site_state", String),
    Column("task", Text),
    Column("tasks_done", Integer),
    Column("tasks_total", Integer),
    Column("result_seq", BigInteger),
    Column("lease_owner", String),
    Column("lease_until", Moment),
)

# `at` is the host's clock and may be wrong by years; `recorded` is the centre's.
events = Table(
    "events",
    metadata,
    _key("run"),
    _key("host"),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("recorded", Moment, nullable=False),
)

serials = Table("serials", metadata, _key("host"), Column("serial", BigInteger, nullable=False))

rollouts = Table(
    "rollouts",
    metadata,
    Column("run", String, ForeignKey("runs.run"), primary_key=True),
    Column("stack", String, nullable=False),
    Column("inventory", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("wish", String),
    Column("policy", Text, nullable=False),
    Column("controller", String),
    Column("controller_until", Moment),
)

waves = Table(
    "waves",
    metadata,
    Column("run", String, ForeignKey("rollouts.run"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", String, nullable=False),
    Column("state", String, nullable=False),
    Column("soak_seconds", Float, nullable=False),
    Column("needs_approval", Integer, nullable=False),
    Column("objections", Text, nullable=False),
    Column("started", Moment),
    Column("settled", Moment),
    Column("ended", Moment),
)

# What the plan says of each host: its wave, its place in it, why there, and the forecast (JSON).
wave_hosts = Table(
    "wave_hosts",
    metadata,
    Column("run", String, ForeignKey("rollouts.run"), primary_key=True),
    _key("host"),
    Column("wave", Integer, nullable=False),
    Column("place", Integer, nullable=False),
    Column("why", Text, nullable=False),
    Column("forecast", Text, nullable=False),
)

# Who let which wave go on, and in spite of which objections (JSON list of their keys).
approvals = Table(
    "approvals",
    metadata,
    Column("run", String, ForeignKey("rollouts.run"), primary_key=True),
    Column("wave", Integer, primary_key=True, autoincrement=False),
    Column("at", Moment, primary_key=True),
    Column("who", String, nullable=False),
    Column("accepted", Text, nullable=False),
)
