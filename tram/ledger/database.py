"""One database, SQLite or PostgreSQL, behind the same two doors: `read` and `write`, each one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError, InterfaceError

from tram.core.errors import BadInput, TramError
from tram.ledger.migrations import STEPS, Step, migrate, version

# A writer waits this long for another one. Writes take milliseconds; only a stopped machine holds the file longer.
_BUSY_SECONDS = 30


class LedgerFailed(TramError):
    """The ledger's database does not answer, is full, damaged, or not ours to write."""


class Database:
    """An opened and migrated ledger database."""

    def __init__(self, url: str, steps: Sequence[Step] = STEPS) -> None:
        """Open it, make it when it is SQLite and missing, and bring it to this version's schema.

        Raises: BadInput for a URL that names neither kind; LedgerTooNew; LedgerFailed.
        """
        self.url = _checked(url)
        self._engine = _engine(self.url)
        with self.read() as connection:
            current = version(connection) == len(steps)
        if not current:
            with self.write() as connection:
                migrate(connection, steps)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only looks: it sees one state of things from begin to end, and stops nobody.

        Raises: LedgerFailed.
        """
        with self._said(), self._engine.connect() as plain:
            # SQLite's readers always see one state; PostgreSQL's only when asked.
            level = {} if plain.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
            connection = plain.execution_options(**level)
            with connection.begin():
                yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes: all of it, on the disk when this ends, or nothing.

        SQLite takes the write lock at once, because one that only finds out later that it must wait cannot wait.

        Raises: LedgerFailed.
        """
        with self._said(), self._engine.connect() as plain:
            connection = plain.execution_options(tram_writes=True)
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Give the connections back; the next use opens new ones."""
        self._engine.dispose()

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise  # a fault of ours, not of the database
        except (DatabaseError, InterfaceError) as error:
            words = str(error.orig).strip().splitlines()[:1] or ["no message"]
            raise LedgerFailed(
                f"ledger {self.url.render_as_string(hide_password=True)}: {words[0]}",
                hint="is its disk full, its directory yours, its server up? Nothing of this step was recorded",
            ) from error


def upsert(connection: Connection, table: Table) -> Any:
    """An INSERT into `table` that can say ON CONFLICT: both databases spell it alike, SQLAlchemy types it apart."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def _checked(text: str) -> URL:
    hint = "sqlite:////var/lib/x/ledger.db, or postgresql://user@host/name (password in ~/.pgpass)"
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise BadInput("the ledger's address is no URL", hint=hint) from error
    if url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername != "sqlite" or not url.database or url.database == ":memory:":
        raise BadInput(f"the ledger cannot live in {url.render_as_string(hide_password=True)}", hint=hint)
    return url


@cache
def _engine(url: URL) -> Engine:
    """The connections to one database, shared by all of a process who open it: a ledger is opened for every host."""
    if url.drivername != "sqlite":
        return create_engine(url, pool_pre_ping=True, pool_size=4, max_overflow=60)
    path = Path(url.database or "")
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
    except OSError as error:
        raise LedgerFailed(
            f"ledger {path}: {error.filename}: {error.strerror}", hint="its directory must be yours"
        ) from error
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, pool_size=4, max_overflow=60)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _record: Any) -> None:
    """WAL: readers and the writer do not stop one another. FULL: what was committed outlives a power cut."""
    connection.isolation_level = None  # the driver must not begin transactions by itself: _begin does
    cursor = connection.cursor()
    if cursor.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("tram_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
