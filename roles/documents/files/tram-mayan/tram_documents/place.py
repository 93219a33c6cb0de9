"""Where everything is, and how programs are run there."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

ETC = Path("/etc/mayan")
LIB = Path("/usr/local/lib/tram-mayan")
OPT = Path("/opt/mayan")
STATE = Path("/var/lib/tram-mayan")
CACHE = Path("/var/cache/tram-mayan")
DATA = Path("/var/lib/mayan")
CURRENT = OPT / "current"


class Trouble(Exception):
    """Something an operator has to know, in a sentence."""


def settings() -> dict[str, Any]:
    """What the role wrote for this program."""
    found: dict[str, Any] = json.loads((ETC / "settings.json").read_text(encoding="utf-8"))
    return found


def wanted() -> str:
    """Name of the release that the role wants: Mayan's version and a digest of every file it is made of."""
    lists = [ETC / "requirements.txt", ETC / "scripts.txt"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in lists)).hexdigest()[:12]
    version = next(
        line.split()[0].partition("==")[2]
        for line in lists[0].read_text(encoding="utf-8").splitlines()
        if line.startswith("mayan-edms==")
    )
    return f"{version}-{digest}"


def number(name: str) -> tuple[int, ...]:
    """The version of a release's name, to be compared."""
    return tuple(int(part) for part in name.partition("-")[0].split(".") if part.isdigit())


def release(name: str) -> Path:
    """Directory of a release."""
    return OPT / "releases" / name


def read(name: str) -> str:
    """A word of the state; empty when there is none."""
    path = STATE / name
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def write(name: str, content: str) -> None:
    """Write a word of the state, whole and on the disk, or not at all."""
    replace(STATE / name, content + "\n")


def replace(path: Path, content: str) -> None:
    """Put a file in place at once."""
    new = path.with_name(f".{path.name}.new")
    with new.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)


def environment(**more: str) -> dict[str, str]:
    """The environment Mayan's own units have (/etc/mayan/environment), and what is given over it."""
    lines = (ETC / "environment").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")]
    return {"PATH": "/usr/bin:/bin", **dict(pairs), **more}


def run(argv: list[str], *, what: str, **how: Any) -> str:
    """Run a program; its output.

    Raises Trouble with the last lines it said when it fails.
    """
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/", **how)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-15:]
        raise Trouble(f"{what}: " + "\n".join(said))
    return done.stdout


def manage(name: str, *words: str, stdin: str = "", **more: str) -> str:
    """Run a command of Mayan's, of the release of that name, as Mayan's user."""
    program = str(release(name) / "venv/bin/mayan-edms.py")
    return run(
        [str(release(name) / "venv/bin/python"), program, *words],
        what=f"mayan-edms.py {words[0]}",
        env=environment(**more),
        user="mayan",
        group="mayan",
        extra_groups=["clamav"],
        umask=0o027,
        input=stdin,
    )
