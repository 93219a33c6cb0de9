"""Runs on the host, as root, read from standard input: puts the site runtime there, from where the last try stopped.

Standard library only, Python 3.11 and later. It is sent as source, so it imports nothing of ours. Its input and
output: docs/contracts/runtime.md.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import io
import json
import lzma
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

PIECE = 1 << 16
MARGIN = 32 << 20
UNPACKED = 16  # times the packed size: sources and their compiled form
ENDED = ("done", "failed", "reverted", "refused")


class Stop(Exception):
    """What is in the way, in a sentence. `again`: it is out of the way now, the same may be sent again."""

    def __init__(self, words: str, *, again: bool = False) -> None:
        super().__init__(words)
        self.again = again


def say(**words: object) -> None:
    """One line to the centre."""
    sys.stdout.write(json.dumps(words, separators=(",", ":")) + "\n")
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
    raise Stop("the connection before this one has not ended yet: try again", again=True)


def digest(path: Path) -> str:
    """A file's SHA-256; "" when there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


class Runtime:
    """The runtime that is to be installed, as its index names it, below the directory that holds all of them."""

    def __init__(self, base: Path, incoming: Path, index: dict[str, Any]) -> None:
        canonical = json.dumps(index, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        if index["format"] != 1:
            raise Stop(f"the runtime's index is of format {index['format']}, known here is 1")
        self.name = hashlib.sha256(canonical).hexdigest()[:16]
        self.index, self.canonical = index, canonical
        self.base, self.incoming = base, incoming
        for path in (*index["files"], *index["base"]["names"]):
            if path.startswith("/") or ".." in path.split("/"):
                raise Stop(f"the runtime holds {path[:100]}")
        self.here = (base / self.name).is_dir()
        # What other runtimes have of it: the base, and each file of ours, by its content.
        self.old_base: Path | None = None
        self.found: dict[str, Path] = {}
        for other, told in () if self.here else self._others():
            if told["base"]["sha256"] == index["base"]["sha256"]:
                self.old_base = other
            same = (path for path, (sha256, _size) in index["files"].items() if digest(other / path) == sha256)
            self.found |= {path: other / path for path in same}
        self.lacks = set() if self.here else index["files"].keys() - self.found.keys()

    def _others(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """The runtimes that are installed, with their indexes."""
        for path in self.base.iterdir():
            with contextlib.suppress(OSError, ValueError):
                if not path.name.startswith(".") and not path.is_symlink():
                    yield path, json.loads((path / "index.json").read_bytes())

    @property
    def has_base(self) -> bool:
        """Whether the base need not come."""
        return self.here or self.old_base is not None

    def build(self, base: Path, packed: dict[str, bytes]) -> None:
        """Its directory, complete under its name or not there."""
        new = self.base / f".{self.name}.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(0o755)
        say(step="unpack")
        fresh = ["launch.py", "tram"]
        if self.old_base:
            for name in self.index["base"]["names"]:  # the same files, not copies of them: nothing ever writes to one
                shutil.copytree(self.old_base / name, new / name, copy_function=os.link)
        else:
            unpack(base, new)
            fresh += self.index["base"]["names"]
        for path, (sha256, _size) in self.index["files"].items():
            data = self.found[path].read_bytes() if path in self.found else packed.get(path, b"")
            if hashlib.sha256(data).hexdigest() != sha256:
                raise Stop(f"{path} did not come, or is not what the runtime's index says")
            (new / path).parent.mkdir(0o755, parents=True, exist_ok=True)
            (new / path).write_bytes(data)
        (new / "index.json").write_bytes(self.canonical)
        say(step="compile")
        # Compiled once and never looked at again whether a source changed: nothing in here does.
        argv = [sys.executable, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
        null = subprocess.DEVNULL
        subprocess.run([*argv, *(new / name for name in fresh)], stdin=null, stdout=null, stderr=null, check=False)
        os.sync()
        new.rename(self.base / self.name)

    def switch(self, runs: Path, keep: int) -> None:
        """Make it the one that is used; of the others stay the newest `keep` and those that waiting runs need."""
        link = self.base / "current"
        if not link.is_symlink() or str(link.readlink()) != self.name:
            new = self.base / "current.new"
            new.unlink(missing_ok=True)
            new.symlink_to(self.name)
            new.replace(link)
        needed = {self.name, *needed_by(runs)}
        others = [path for path in self.base.iterdir() if not path.is_symlink() and path.name not in needed]
        torn = [path for path in others if path.name.startswith(".")]
        whole = sorted((path for path in others if path not in torn), key=lambda path: path.stat().st_mtime)
        for old in (*torn, *whole[: max(0, len(whole) - keep)]):
            shutil.rmtree(old, ignore_errors=True)


def unpack(artefact: Path, into: Path) -> None:
    """The files of a tar that was checked: files only, and below `into`."""
    with tarfile.open(artefact, "r:xz") as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is None or member.name.startswith("/") or ".." in member.name.split("/"):
                raise Stop(f"the runtime holds {member.name[:100]}")
            path = into / member.name
            path.parent.mkdir(0o755, parents=True, exist_ok=True)
            with path.open("wb") as file:
                shutil.copyfileobj(content, file)


def needed_by(runs: Path) -> Iterator[str]:
    """The runtimes of runs that are not at their end."""
    for path in runs.glob("[!.]*"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            if json.loads((path / "state.json").read_bytes())["state"] not in ENDED:
                yield json.loads((path / "order.json").read_bytes())["runtime"]


def receive(given: io.BufferedReader, part: Path | None, size: int, start: int) -> None:
    """A file of `size` bytes in `part`, of which those from `start` on come now; what is there already is passed over.

    With no `part` all of it is passed over.
    """
    with part.open("ab") if part else contextlib.nullcontext() as file:
        have = os.fstat(file.fileno()).st_size if file else size
        if start > have:
            raise Stop(f"bytes {have} to {start} of {part} were not sent")
        while start < size:
            piece = given.read1(min(PIECE, size - start))
            if not piece:
                raise Stop(f"the connection ended at {start} of {size} bytes", again=True)
            start += len(piece)
            if file and start > have:
                file.write(piece[have - start :])
                have = start
            if file and (start % PIECE < len(piece) or start == size):
                file.flush()
                os.fsync(file.fileno())
                say(have=start, of=size)
    if part and digest(part) != part.stem:
        part.unlink()
        raise Stop("what came is not what was sent; it was thrown away", again=True)


def bring(given: io.BufferedReader, runtime: Runtime) -> None:
    """The runtime installed: say what is here, take what is not, build it."""
    incoming, base = runtime.incoming, runtime.index["base"]
    lacks = [number for number, path in enumerate(sorted(runtime.index["files"])) if path in runtime.lacks]
    parts = {path.stem: path.stat().st_size for path in incoming.glob("*.part")}
    have = base["bytes"] if runtime.has_base else parts.get(base["sha256"], 0)
    size = base["bytes"] - have + sum(runtime.index["files"][path][1] for path in runtime.lacks)
    found = os.statvfs(runtime.base)
    free, needed = found.f_bavail * found.f_frsize, size + UNPACKED * size + MARGIN
    if free < needed and not runtime.here:
        raise Stop(f"{runtime.base} has {free >> 20} MB free, needed are {needed >> 20} MB")
    say(runtime=runtime.name, base=have, lacks=lacks, parts=parts)
    if runtime.here:
        return
    whole, packed = incoming / f"{base['sha256']}.part", dict[str, bytes]()
    if lacks or not runtime.has_base:
        coming = json.loads(given.readline())
        receive(given, None if runtime.has_base else whole, base["bytes"], coming["base_from"])
        pack = incoming / f"{coming['pack']}.part"
        receive(given, pack, coming["bytes"], coming["from"])
        content, paths = io.BytesIO(lzma.decompress(pack.read_bytes())), sorted(runtime.index["files"])
        for path in (paths[number] for number in coming["files"]):
            packed[path] = content.read(runtime.index["files"][path][1])
    runtime.build(whole, packed)


def write(path: Path, data: bytes, mode: int) -> None:
    """Put a file where it belongs, whole or not at all."""
    with contextlib.suppress(OSError):
        if path.read_bytes() == data and path.stat().st_mode & 0o777 == mode:
            return
    path.parent.mkdir(0o755, parents=True, exist_ok=True)
    new = path.with_name(f".tram-new.{path.name}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    if path.parent.name == "sudoers.d":
        found = subprocess.run(["visudo", "-cqf", new], capture_output=True, text=True, check=False)
        if found.returncode != 0:
            new.unlink()
            raise Stop(f"visudo does not take {path}: {found.stdout.strip()[-200:]}")
    new.replace(path)


def main() -> None:
    """Everything, each step safe to begin again."""
    options = argparse.ArgumentParser(prog="installer", description="Install what a stick or the centre brings.")
    options.add_argument("--host", help="take what is meant for this host only")
    options.add_argument("--root", type=Path, default=Path("/"), help="the system to install into")
    told = options.parse_args()
    os.umask(0o022)
    source = sys.stdin.buffer
    assert isinstance(source, io.BufferedReader)
    given = json.loads(source.readline())
    if told.host not in (None, given["host"]):
        raise Stop(f"this is for {given['host']}, not for {told.host}")
    base, ours = told.root / "opt/tram/runtime", told.root / "var/lib/tram"
    for path, mode in ((base, 0o755), (ours, 0o755), (ours / "incoming", 0o700), (ours / "site", 0o700)):
        path.mkdir(mode, parents=True, exist_ok=True)
    with (ours / "incoming/lock").open("a+") as lock:
        alone(lock)
        runtime = Runtime(base, ours / "incoming", given["index"])
        bring(source, runtime)
        runtime.switch(ours / "site/runs", given["keep"])
        for old in runtime.incoming.glob("*.part"):
            old.unlink()
        say(step="settle")
        for path, mode, text in given["files"]:
            write(told.root / path.lstrip("/"), text.encode(), mode)
        for words in given["commands"] if told.root == Path("/") else ():
            ran = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if ran.returncode != 0:
                raise Stop(f"{' '.join(words)}: {(ran.stderr or ran.stdout).strip()[-300:]}")
        os.sync()
    say(done=True)


if __name__ == "__main__":
    try:
        main()
    except Stop as problem:
        say(error=str(problem), again=problem.again)
        sys.exit(1)
    except (OSError, ValueError, KeyError, TypeError, EOFError, tarfile.TarError, lzma.LZMAError) as problem:
        say(error=f"{type(problem).__name__}: {problem}", again=False)
        sys.exit(1)
