"""Runs on the host, as root, read from standard input: puts the site runtime there, from where the last try stopped.

Standard library only, Python 3.11 and later. It is sent as source, so it imports nothing of ours. Its input: one line
of JSON (what to put where), then the artefact's bytes from the offset it answers. Its output: a line of JSON for each
thing it has to say: {"have": n} bytes that are on the disk, {"step": what it does now}, {"done": true} or
{"error": sentence}.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any, TextIO

BASE = Path("/opt/tram/runtime")
OURS = Path("/var/lib/tram")
PIECE = 1 << 16
MARGIN = 32 << 20
UNPACKED = 16  # times the artefact: sources and their compiled form


class Stop(Exception):
    """What is in the way, in a sentence."""


def say(**words: object) -> None:
    """One line to the centre."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def alone(lock: TextIO) -> None:
    """Hold the lock, and end who held it: its connection may be long dead without this end having noticed."""
    for _ in range(50):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            with contextlib.suppress(ValueError, ProcessLookupError):
                os.kill(int(lock.read()), signal.SIGTERM)
            time.sleep(0.2)
        else:
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            return
    raise Stop("the connection before this one has not ended yet: try again")


def write(path: Path, text: str, mode: int) -> bool:
    """Put a file where it belongs, whole or not at all; whether that changed anything."""
    data = text.encode()
    with contextlib.suppress(OSError):
        if path.read_bytes() == data and path.stat().st_mode & 0o777 == mode:
            return False
    new = path.with_name(f".tram-new.{path.name}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    if path.parent == Path("/etc/sudoers.d"):
        found = subprocess.run(["visudo", "-cqf", new], capture_output=True, text=True, check=False)
        if found.returncode != 0:
            new.unlink()
            raise Stop(f"visudo does not take {path}: {found.stdout.strip()[-200:]}")
    new.replace(path)
    return True


def receive(given: io.BufferedReader, part: Path, size: int, digest: str) -> None:
    """The artefact in `part`, whole: what is there already is not sent again."""
    with part.open("ab") as file:
        have = os.fstat(file.fileno()).st_size
        if have > size:
            file.truncate(0)
            have = 0
        found = os.statvfs(part.parent)
        free, needed = found.f_bavail * found.f_frsize, size - have + UNPACKED * size + MARGIN
        if free < needed:
            raise Stop(f"{part.parent} has {free >> 20} MB free, needed are {needed >> 20} MB")
        say(have=have)
        while have < size:
            piece = given.read1(min(PIECE, size - have))
            if not piece:
                raise Stop(f"the connection ended at {have} of {size} bytes")
            file.write(piece)
            have += len(piece)
            if have % PIECE < len(piece) or have == size:
                file.flush()
                os.fsync(file.fileno())
                say(have=have)
    with part.open("rb") as whole:
        came = hashlib.file_digest(whole, "sha256").hexdigest()
    if came != digest:
        part.unlink()
        raise Stop("what came is not the runtime that was sent; it was thrown away: send it again")


def unpack(part: Path, name: str) -> None:
    """The runtime's directory, complete under its name or not there."""
    new = BASE / f".{name}.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(0o755)
    say(step="unpack")
    with tarfile.open(part, "r:xz") as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is None or member.name.startswith("/") or ".." in member.name.split("/"):
                raise Stop(f"the runtime holds {member.name[:100]}")
            path = new / member.name
            path.parent.mkdir(0o755, parents=True, exist_ok=True)
            with path.open("wb") as file:
                shutil.copyfileobj(content, file)
            path.chmod(member.mode & 0o755)
    say(step="compile")
    # Compiled once and never looked at again whether a source changed: nothing in here does.
    argv: list[str | Path] = [
        sys.executable,
        "-I",
        "-m",
        "compileall",
        "-q",
        "--invalidation-mode",
        "unchecked-hash",
        new,
    ]
    null = subprocess.DEVNULL
    subprocess.run(argv, stdin=null, stdout=null, stderr=null, check=False)
    os.sync()
    new.rename(BASE / name)


def switch(name: str, keep: int) -> None:
    """Make it the one that is used, and remove those that nobody needs."""
    link = BASE / "current"
    if not link.is_symlink() or str(link.readlink()) != name:
        new = BASE / "current.new"
        new.unlink(missing_ok=True)
        new.symlink_to(name)
        new.replace(link)
    others = [path for path in BASE.iterdir() if len(path.name) == len(name) and path.name != name]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for old in others[keep:]:
        shutil.rmtree(old, ignore_errors=True)


def settle(given: dict[str, Any]) -> bool:
    """Launcher, units, sudo's rule, who this host is; whether anything changed."""
    launcher = (BASE / given["id"] / "bin/tram-site").read_text()
    changed = write(Path("/usr/local/sbin/tram-site"), launcher, 0o755)
    for path, mode, text in given["files"]:
        changed = write(Path(path), text, mode) or changed
    for words in given["commands"] if changed else ():
        ran = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            raise Stop(f"{' '.join(words)}: {(ran.stderr or ran.stdout).strip()[-300:]}")
    return changed


def main() -> None:
    """Everything, each step safe to begin again."""
    os.umask(0o022)
    source = sys.stdin.buffer
    assert isinstance(source, io.BufferedReader)
    given = json.loads(source.readline())
    name, incoming = given["id"], OURS / "incoming"
    for path, mode in ((BASE, 0o755), (OURS, 0o755), (incoming, 0o700), (OURS / "site", 0o700)):
        path.mkdir(mode, parents=True, exist_ok=True)
    with (incoming / "lock").open("a+") as lock:
        alone(lock)
        part = incoming / f"runtime-{name}.part"
        if (BASE / name).is_dir():
            say(have=given["bytes"])
        else:
            receive(source, part, given["bytes"], given["sha256"])
            unpack(part, name)
        switch(name, given["keep"])
        for old in incoming.glob("*.part"):
            old.unlink()
        say(step="settle")
        changed = settle(given)
        os.sync()
    say(done=True, changed=changed)


if __name__ == "__main__":
    try:
        main()
    except Stop as problem:
        say(error=str(problem))
        sys.exit(1)
    except (OSError, ValueError, KeyError, tarfile.TarError) as problem:
        say(error=f"{type(problem).__name__}: {problem}")
        sys.exit(1)
