"""From no ledger, or an older one, to the one this version reads: steps forward, each in one transaction, none back."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, inspect, text

from tram.core.errors import BadInput

Step = Sequence[str]

# Never change a step that was released: add one. Each is plain SQL that SQLite and PostgreSQL read alike.
FIRST: Step = (
    "CREATE TABLE settings (name VARCHAR PRIMARY KEY, value VARCHAR NOT NULL)",
    """CREATE TABLE runs (run VARCHAR PRIMARY KEY, province VARCHAR NOT NULL, playbook VARCHAR NOT NULL,
       kind VARCHAR NOT NULL, started VARCHAR NOT NULL, ended VARCHAR)""",
    """CREATE TABLE run_hosts (run VARCHAR NOT NULL REFERENCES runs (run), host VARCHAR NOT NULL, site VARCHAR NOT NULL,
       state VARCHAR NOT NULL, reason TEXT NOT NULL, serial BIGINT, attempts INTEGER NOT NULL,
       started VARCHAR, ended VARCHAR, last_heard VARCHAR, next_try VARCHAR,
       bytes_down BIGINT NOT NULL, bytes_up BIGINT NOT NULL, bytes_total BIGINT,
       site_state VARCHAR, task TEXT, tasks_done INTEGER, tasks_total INTEGER, result_seq BIGINT,
       lease_owner VARCHAR, lease_until VARCHAR, PRIMARY KEY (run, host))""",
    "CREATE INDEX run_hosts_by_host ON run_hosts (host)",
    """CREATE TABLE events (run VARCHAR NOT NULL, host VARCHAR NOT NULL, seq BIGINT NOT NULL, at VARCHAR NOT NULL,
       kind VARCHAR NOT NULL, body TEXT NOT NULL, recorded VARCHAR NOT NULL, PRIMARY KEY (run, host, seq),
       FOREIGN KEY (run, host) REFERENCES run_hosts (run, host))""",
    "CREATE TABLE serials (host VARCHAR PRIMARY KEY, serial BIGINT NOT NULL)",
    """CREATE TABLE rollouts (run VARCHAR PRIMARY KEY REFERENCES runs (run), stack VARCHAR NOT NULL,
       inventory TEXT NOT NULL, state VARCHAR NOT NULL, wish VARCHAR, policy TEXT NOT NULL,
       controller VARCHAR, controller_until VARCHAR)""",
    "CREATE UNIQUE INDEX one_rollout_a_stack ON rollouts (stack) WHERE state NOT IN ('done', 'aborted')",
    """CREATE TABLE waves (run VARCHAR NOT NULL REFERENCES rollouts (run), number INTEGER NOT NULL,
       name VARCHAR NOT NULL, state VARCHAR NOT NULL, soak_seconds DOUBLE PRECISION NOT NULL,
       needs_approval INTEGER NOT NULL, objections TEXT NOT NULL, started VARCHAR, settled VARCHAR, ended VARCHAR,
       PRIMARY KEY (run, number))""",
    """CREATE TABLE wave_hosts (run VARCHAR NOT NULL REFERENCES rollouts (run), host VARCHAR NOT NULL,
       wave INTEGER NOT NULL, place INTEGER NOT NULL, why TEXT NOT NULL, forecast TEXT NOT NULL,
       PRIMARY KEY (run, host))""",
    """CREATE TABLE approvals (run VARCHAR NOT NULL REFERENCES rollouts (run), wave INTEGER NOT NULL,
       at VARCHAR NOT NULL, who VARCHAR NOT NULL, accepted TEXT NOT NULL, PRIMARY KEY (run, wave, at))""",
)

# What each host was given, so that it can be said later who has something else by now.
TREES: Step = ("ALTER TABLE run_hosts ADD COLUMN tree VARCHAR",)

STEPS: Sequence[Step] = (FIRST, TREES)

# PostgreSQL only: two controllers that open a new ledger together take turns. The number means nothing.
_ADVISORY_LOCK = 7_261_954


class LedgerTooNew(BadInput):
    """The ledger was written by a later version; an older one must not touch it."""


def migrate(connection: Connection, steps: Sequence[Step] = STEPS) -> int:
    """Bring the database forward inside the caller's write transaction; returns how many steps that took.

    Raises: LedgerTooNew, and then nothing was changed.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
    found = version(connection)
    if found is None:
        connection.execute(text("CREATE TABLE schema_version (version INTEGER NOT NULL)"))
        connection.execute(text("INSERT INTO schema_version VALUES (0)"))
        found = 0
    if found > len(steps):
        raise LedgerTooNew(
            f"the ledger is of schema version {found}, this version of tram knows {len(steps)}",
            hint="use the newer tram that wrote it, or another ledger (TRAM_LEDGER)",
        )
    for number, step in enumerate(steps[found:], start=found + 1):
        for statement in step:
            connection.execute(text(statement))
        connection.execute(text("UPDATE schema_version SET version = :number"), {"number": number})
    return len(steps) - found


def version(connection: Connection) -> int | None:
    """How many steps were done; None for a database that is no ledger yet."""
    if not inspect(connection).has_table("schema_version"):
        return None
    return int(connection.execute(text("SELECT version FROM schema_version")).scalar_one())
