"""Runs at a package cache (the hub's, or a site's), as root, sent as source: works out what hosts lack, and fetches it.

Standard library only, Python 3.11 and later. Reads one line of JSON, prints lines of JSON, the last with `done`:

    hosts     name, architecture, sources (file name, text), dpkg's status, packages: apt says here, with lists of its
              own (in `state`, fetched through the cache), which files those hosts would fetch
    files     [address, bytes]: to be in the cache, beside what hosts lack
    mirror    name, address, port, paths: to be in this site's cache of the hub's mirror
    dry       fetch nothing but package lists
    max_bytes, until   stop before more was fetched; at that time (seconds since 1970)
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

KEPT = Path("/var/cache/apt-cacher-ng")
PIECES = Path("/var/lib/nginx/tram-mirror")
TLS = Path("/etc/ssl/tram")
SLICE = 1 << 20
PIECE = 1 << 16
TRIES = 4
FRESH_SECONDS = 3600
SILENCE_SECONDS = 120
URI = re.compile(r"^'(?P<address>http://[^']+)' \S+ (?P<size>\d+) ")


class Stop(Exception):
    """What is in the way, in a sentence."""


def say(**words: object) -> None:
    """One line to the centre."""
    sys.stdout.write(json.dumps(words, separators=(",", ":")) + "\n")
    sys.stdout.flush()


class Budget:
    """What may still be fetched."""

    def __init__(self, max_bytes: int | None, until: float | None, total: int) -> None:
        self.left, self.until, self.total = max_bytes, until, total
        self.fetched = 0

    def spend(self, size: int) -> None:
        """Count what came."""
        self.fetched += size
        if self.left is not None:
            self.left -= size

    def refuses(self, size: int) -> str:
        """Why this much more is not to be fetched now: "", "cap" or "hours"."""
        if self.until is not None and time.time() >= self.until:
            return "hours"
        return "cap" if self.left is not None and size > self.left else ""


def setting(name: str) -> str:
    """A value of this host's apt."""
    ran = subprocess.run(["apt-config", "shell", "V", name], capture_output=True, text=True, check=False)
    found = re.fullmatch(r"V='(.*)'\n?", ran.stdout)
    return found[1] if found else ""


class Apt:
    """Apt for hosts with the same sources, with package lists of its own, so that they are fetched and kept once."""

    def __init__(self, state: Path, architecture: str, sources: list[list[str]], proxy: str) -> None:
        told = json.dumps([architecture, sources]).encode()
        self.top = top = state / hashlib.sha256(told).hexdigest()[:16]
        for folder in ("state/lists/partial", "cache/archives/partial", "parts", "empty"):
            (top / folder).mkdir(parents=True, exist_ok=True)
        for name, text in sources:
            if not re.fullmatch(r"[A-Za-z0-9._-]+\.(list|sources)", name):
                raise Stop(f"{name[:100]} is no name of a file of apt's")
            (top / "parts" / name).write_text(text, encoding="utf-8")
        options = {
            "Dir::State": top / "state", "Dir::State::status": top / "status", "Dir::Cache": top / "cache",
            "Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": top / "parts",
            "Dir::Etc::preferencesparts": top / "empty", "Dir::Etc::preferences": "/dev/null",
            "Acquire::http::Proxy": proxy, "Acquire::Languages": "none", "APT::Architecture": architecture,
            "APT::Architectures": architecture, "APT::Sandbox::User": "root",
        }  # fmt: skip
        self.words = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
        self.stale = self._update()

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        return subprocess.run([*self.words, *words], capture_output=True, text=True, env=env, check=False)

    def _update(self) -> str:
        """Why the lists are not of this hour; the old ones are gone on with."""
        fresh = self.top / "fresh"
        if fresh.exists() and fresh.stat().st_mtime > time.time() - FRESH_SECONDS:
            return ""
        (self.top / "status").touch()
        ran = self._run("update")
        if ran.returncode != 0 or "Failed to fetch" in ran.stderr:
            failed = [line for line in ran.stderr.splitlines() if "Failed to fetch" in line]
            return (failed[0].partition(" ")[2] if failed else last_of(ran.stderr))[:300]
        fresh.touch()
        return ""

    def lacks(self, host: dict[str, Any]) -> tuple[list[list[Any]], str]:
        """The files this host would fetch to install its packages; or why that cannot be said."""
        (self.top / "status").write_text(host["status"], encoding="utf-8")
        ran = self._run("--yes", "--no-install-recommends", "--print-uris", "install", *host["packages"])
        if ran.returncode != 0:
            return [], last_of(ran.stderr)
        found = filter(None, map(URI.match, ran.stdout.splitlines()))
        return [[one["address"], int(one["size"])] for one in found], ""


def last_of(text: str) -> str:
    """The sentence in which apt says why."""
    lines = [line for line in text.splitlines() if line.startswith(("E:", "W:"))] or text.splitlines()
    return lines[-1].removeprefix("E: ")[:300] if lines else ""


def kept(address: str) -> int:
    """Bytes of this package that the cache has."""
    url = urlsplit(address)
    path = KEPT / unquote(url.netloc + url.path)
    with contextlib.suppress(OSError):
        if ".." not in path.parts:
            return path.stat().st_size
    return 0


def through(proxy: str, address: str) -> Iterator[bytes]:
    """A package as the cache gives it, which keeps it while it does."""
    url = urlsplit(proxy)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=SILENCE_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", address)
        yield from body(connection.getresponse())


def body(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """What came, whole or not at all."""
    if answer.status != 200:
        raise OSError(f"{answer.status} {answer.reason}")
    while piece := answer.read(PIECE):
        yield piece
    if answer.length:
        raise OSError("it broke off")


def take(name: str, size: int, had: int, source: Any, budget: Budget) -> str:
    """Have a file come; "" when it did, otherwise why not."""
    why = ""
    for again in range(TRIES):
        if again:
            time.sleep(5 * again)
        came = told = 0
        try:
            for piece in source():
                came += len(piece)
                # What the cache had of it already does not come over the line again.
                if came > had:
                    fresh = min(len(piece), came - had)
                    budget.spend(fresh)
                    told += fresh
                    if told >= SLICE:
                        say(fetched=budget.fetched, of=budget.total, file=name)
                        told = 0
        except (OSError, http.client.HTTPException) as error:
            why, had = str(error) or type(error).__name__, max(had, came)
            continue
        if came == size or size < 0:
            say(fetched=budget.fetched, of=budget.total, file=name)
            return ""
        why = f"{came} bytes came instead of {size}"
    return why


class Mirror:
    """This site's cache of the hub's mirror, asked as a host would ask it."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.name, self.address, self.port = str(told["name"]), str(told["address"]), int(told["port"])
        self.context = ssl.create_default_context(cafile=str(TLS / "ca.crt"))
        self.context.load_cert_chain(TLS / "host-chain.crt", TLS / "host.key")

    def get(self, path: str) -> Iterator[bytes]:
        """A file of the mirror."""
        raw = socket.create_connection((self.address, self.port), timeout=SILENCE_SECONDS)
        connection = http.client.HTTPSConnection(self.name, self.port, timeout=SILENCE_SECONDS)
        with contextlib.closing(connection):
            connection.sock = self.context.wrap_socket(raw, server_hostname=self.name)
            connection.request("GET", path)
            yield from body(connection.getresponse())

    @staticmethod
    def has(path: str, size: int) -> int:
        """Bytes of a file that are here, by the pieces nginx keeps (levels=1:2, key: path and range)."""
        found = 0
        for start in range(0, size, SLICE):
            key = hashlib.md5(f"{path}bytes={start}-{start + SLICE - 1}".encode(), usedforsecurity=False).hexdigest()
            if (PIECES / key[-1] / key[-3:-1] / key).exists():
                found += min(SLICE, size - start)
        return found

    def release(self) -> list[tuple[str, int]]:
        """The files of the newest release of signatures; asking for it brings the release itself."""
        told = json.loads(json.loads(b"".join(self.get("/signatures/release.json")))["release"])
        return [(f"/signatures/files/{one['sha256']}", int(one["bytes"])) for one in told["files"]]


def main() -> None:
    """Everything, each step safe to begin again."""
    given = json.loads(sys.stdin.buffer.readline())
    proxy = setting("Acquire::http::Proxy")
    if not proxy:
        raise Stop("apt of this host goes through no cache")
    state = Path(given["state"])
    state.mkdir(mode=0o755, parents=True, exist_ok=True)
    files: dict[str, int] = dict(given["files"])
    problems: list[list[str]] = []
    known: dict[str, Apt] = {}
    for host in given["hosts"]:
        told = json.dumps([host["architecture"], host["sources"]])
        if told not in known:
            known[told] = Apt(state, host["architecture"], host["sources"], proxy)
            problems += [["package lists", known[told].stale]] if known[told].stale else []
        found, wrong = known[told].lacks(host)
        say(host=host["name"], files=found, wrong=wrong)
        files |= dict(found)
    old = [path for path in state.iterdir() if path.stat().st_mtime < time.time() - 30 * 86400]
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    wanted: list[tuple[str, int, int, Any]] = []
    for address, size in files.items():
        wanted.append((address, size, min(kept(address), size), partial(through, proxy, address)))
    if given["mirror"]:
        mirror = Mirror(given["mirror"])
        paths = [(path, size) for path, size in given["mirror"]["paths"]]
        try:
            paths += mirror.release()
        except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
            problems.append(["/signatures/release.json", str(error)])
        wanted += [(path, size, mirror.has(path, size), partial(mirror.get, path)) for path, size in paths]
    lacking = [one for one in wanted if one[2] < one[1]]
    total = sum(size - had for _, size, had, _ in lacking)
    say(need=sum(one[1] for one in wanted), files_count=len(wanted), lacking=len(lacking), of=total)
    budget = Budget(given["max_bytes"], given["until"], total)
    left: list[str] = []
    why_left = ""
    for name, size, had, source in lacking if not given["dry"] else []:
        if refused := budget.refuses(size - had):
            left.append(name)
            why_left = refused
        elif wrong := take(name, size, had, source, budget):
            problems.append([name, wrong])
    say(done=True, fetched=budget.fetched, left=left, why_left=why_left, problems=problems)


if __name__ == "__main__":
    try:
        main()
    except Stop as problem:
        say(error=str(problem))
        sys.exit(1)
    except (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError, http.client.HTTPException) as problem:
        say(error=f"{type(problem).__name__}: {problem}")
        sys.exit(1)
