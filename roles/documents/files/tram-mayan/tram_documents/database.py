"""Brings the database to a release: set up once, upgraded with a dump before, put back when an upgrade fails."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from .place import ETC, STATE, Trouble, manage, read, replace, run, settings, write

NAME = "mayan"
DUMPS = STATE / "dumps"
UNFINISHED = STATE / "upgrading.json"


def psql(sql: str, database: str = "postgres") -> str:
    """Ask PostgreSQL as its own administrator, by its socket."""
    words = [
        "psql",
        "--no-psqlrc",
        "--quiet",
        "--tuples-only",
        "--no-align",
        "--set",
        "ON_ERROR_STOP=1",
        "--dbname",
        database,
    ]
    return run([*words, "--command", sql], what="psql", user="postgres", group="postgres").strip()


def create() -> None:
    """Make the database and its owner where they are missing. Its owner logs in by being that user: no password."""
    if not psql("SELECT 1 FROM pg_roles WHERE rolname = 'mayan'"):
        psql("CREATE ROLE mayan LOGIN")
    if not psql("SELECT 1 FROM pg_database WHERE datname = 'mayan'"):
        way = "ENCODING 'UTF8' TEMPLATE template0 LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'"
        psql(f"CREATE DATABASE mayan OWNER mayan {way}")


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


def forget_old_dumps() -> None:
    """Keep only the latest dumps."""
    for path in sorted(DUMPS.glob("*.dump"), key=lambda path: path.stat().st_mtime)[: -int(settings()["keep_dumps"])]:
        path.unlink()
