"""Brings the database to a release: set up once, upgraded with a dump before, put back when an upgrade fails."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from .place import ETC, STATE, Trouble, manage, number, read, replace, run, settings, wanted, write

NAME = "mayan"
LOADING, BEFORE = "mayan_loading", "mayan_before"
DUMPS = STATE / "dumps"
UNFINISHED = STATE / "upgrading.json"


PSQL = ["psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1", "--dbname"]


def psql(sql: str, database: str = "postgres") -> str:
    """Ask PostgreSQL as its own administrator, by its socket."""
    return run([*PSQL, database, "--command", sql], what="psql", user="postgres", group="postgres").strip()


def there(name: str) -> bool:
    """Whether there is a database of this name."""
    return name in psql("SELECT datname FROM pg_database").split()


def create(name: str = NAME) -> None:
    """Make the database and its owner where they are missing. Its owner logs in by being that user: no password."""
    if not psql("SELECT 1 FROM pg_roles WHERE rolname = 'mayan'"):
        psql("CREATE ROLE mayan LOGIN")
    if not there(name):
        way = "ENCODING 'UTF8' TEMPLATE template0 LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"
        psql(f"CREATE DATABASE {name} OWNER mayan {way}")


def set_up(name: str) -> None:
    """First setup: tables, defaults, the key for sessions. Begun anew when a run was killed in it; it bears that."""
    create()
    password = json.loads((ETC / "accounts.json").read_text(encoding="utf-8"))["administrator"]
    first = {"MAYAN_AUTOADMIN_PASSWORD": json.dumps(password)}
    manage(name, "common_initial_setup", "--force", "--no-dependencies", **first)
    write("database", name)


def upgrade(old: str, new: str) -> None:
    """Dump, then upgrade. When it fails the dump is put back, so the old release goes on where it was.

    Raises Trouble with what failed.
    """
    stop()
    recover()
    dumped = dump(old)
    replace(UNFINISHED, json.dumps({"dump": str(dumped), "old": old, "new": new}))
    try:
        manage(new, "common_perform_upgrade", "--no-dependencies")
    except Trouble as error:
        restore(dumped)
        UNFINISHED.unlink()
        raise Trouble(f"the upgrade from {old} to {new} failed and was taken back, {old} runs on: {error}") from error
    write("database", new)
    UNFINISHED.unlink()
    forget_old_dumps()


def recover() -> bool:
    """Put back what a run was killed in the middle of; whether there was any."""
    if not UNFINISHED.exists():
        return False
    said = json.loads(UNFINISHED.read_text(encoding="utf-8"))
    if read("database") != said["new"]:
        print(f"an upgrade to {said['new']} was cut off: putting back {said['dump']}", file=sys.stderr)
        stop()
        restore(Path(said["dump"]))
    UNFINISHED.unlink()
    return True


def stop() -> None:
    """Let nobody write while the database is dumped or put back."""
    run(["systemctl", "stop", "mayan-web.service", "mayan-worker-*.service"], what="systemctl stop")


def dump(old: str) -> Path:
    """Dump the database to a file of root's."""
    DUMPS.mkdir(mode=0o700, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = DUMPS / f"{old}-{stamp}.dump"
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        words = ["pg_dump", "--format", "custom", NAME]
        done = subprocess.run(
            words, stdout=file, stderr=subprocess.PIPE, user="postgres", group="postgres", cwd="/", check=False
        )
    if done.returncode != 0 or part.stat().st_size == 0:
        part.unlink()
        raise Trouble(
            f"nothing was upgraded, because the database could not be dumped first: {done.stderr.decode().strip()}"
        )
    part.rename(path)
    return path


def restore(path: Path) -> None:
    """Put the database back as a dump has it."""
    psql(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
    create()
    with path.open("rb") as file:
        words = ["pg_restore", "--exit-on-error", "--dbname", NAME]
        run(words, what="pg_restore", stdin=file, user="postgres", group="postgres")


def hand_out() -> None:
    """The database as SQL on standard output, and of which release it is: what a backup keeps.

    Raises Trouble.
    """
    print(f"-- release {read('database')}", flush=True)
    done = subprocess.run(
        ["pg_dump", NAME], stderr=subprocess.PIPE, text=True, user="postgres", group="postgres", cwd="/", check=False
    )
    if done.returncode != 0:
        raise Trouble(f"the database cannot be dumped: {done.stderr.strip()[-300:]}")


def take_back(sql: BinaryIO) -> None:
    """Put the database back as `hand_out` gave it; the one that was there stays beside it as mayan_before. What Mayan's
    own setup has done since is to be done anew. `sql` is a file and must not read ahead.

    Raises Trouble; the database is as it was then.
    """
    found = re.fullmatch(rb"-- release ([0-9][0-9a-z.-]+)\n", sql.readline(200))
    if not found:
        raise Trouble("this is no dump of `tram-mayan dump`. Nothing was changed")
    name = found[1].decode()
    if number(name) > number(wanted()):
        raise Trouble(f"the dump is of {name}, newer than {wanted()} here: apply the newer role first")
    if not is_whole(sql):
        raise Trouble("the dump is cut off. Nothing was changed")
    stop()
    recover()
    psql(f"DROP DATABASE IF EXISTS {LOADING} WITH (FORCE)")
    create(LOADING)
    words = [*PSQL, LOADING, "--single-transaction", "--output", "/dev/null", "--file", "-"]
    try:
        run(words, what="psql", stdin=sql, user="postgres", group="postgres")
    except Trouble:
        psql(f"DROP DATABASE IF EXISTS {LOADING} WITH (FORCE)")
        raise
    # By which tables it is, before it is in use: a run killed from here on is completed by the next.
    for word, content in (("accounts", "older"), ("practice", "older"), ("database", name)):
        write(word, content)
    swap = f"ALTER DATABASE {LOADING} RENAME TO {NAME}"
    if there(NAME):
        psql(f"DROP DATABASE IF EXISTS {BEFORE} WITH (FORCE)")
        # One question is one transaction: at no moment is there no database.
        swap = f"ALTER DATABASE {NAME} RENAME TO {BEFORE}; {swap}"
    psql(swap)


def is_whole(sql: BinaryIO) -> bool:
    """Whether a dump has its end: psql takes the end of the file for the end of a table, and says that all is well."""
    if not sql.seekable():
        raise Trouble("a dump is read from a file (tram-mayan load <FILE), not from a pipe. Nothing was changed")
    here = sql.tell()
    sql.seek(max(here, sql.seek(0, 2) - 500))
    end = sql.read()
    sql.seek(here)
    return b"\n-- PostgreSQL database dump complete\n" in end


def forget_old_dumps() -> None:
    """Keep only the latest dumps."""
    for path in sorted(DUMPS.glob("*.dump"), key=lambda path: path.stat().st_mtime)[: -int(settings()["keep_dumps"])]:
        path.unlink()
