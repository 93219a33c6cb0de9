"""A real PostgreSQL of the test's own: a temporary cluster from Debian's package, on a unix socket only."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from tram.core.run import run


@contextmanager
def cluster() -> Iterator[str]:
    """Start a cluster and give the URL of its database `postgres`; it is ended by its process id, and removed."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert programs, "PostgreSQL is not installed: apt install postgresql (scripts/setup.sh dev)"
    binaries = programs[-1].parent
    folder = Path(tempfile.mkdtemp(prefix="tram-pg-"))
    become = _unprivileged(folder)
    data = folder / "data"
    run([*become, binaries / "initdb", "-D", data, "-U", "tram", "--auth=trust", "--no-sync", "-E", "UTF8"])
    settings = {"listen_addresses": "", "unix_socket_directories": str(folder), "fsync": "off"}
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([*become, binaries / "postgres", "-D", data, *words], stdout=log, stderr=log)
    try:
        url = f"postgresql+psycopg://tram@/postgres?host={folder}"
        _wait(url, within=30, log=folder / "log")
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=30)
        shutil.rmtree(folder)


@contextmanager
def database(url: str, name: str) -> Iterator[str]:
    """A new database in the cluster, dropped at the end."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    try:
        yield url.replace("/postgres?", f"/{name}?").replace("+psycopg", "")
    finally:
        with engine.connect() as connection:
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
        engine.dispose()


def _unprivileged(folder: Path) -> list[str]:
    """PostgreSQL does not run as root."""
    if os.getuid() != 0:
        return []
    user = pwd.getpwnam("postgres")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _wait(url: str, *, within: float, log: Path) -> None:
    engine = create_engine(url)
    end = time.monotonic() + within
    while True:
        try:
            engine.connect().close()
        except OperationalError:
            assert time.monotonic() < end, log.read_text(errors="replace")
            time.sleep(0.1)
        else:
            engine.dispose()
            return
