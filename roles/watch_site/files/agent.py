#!/usr/bin/python3
"""Read this host's metrics each minute and bring them to the hub; each reading is on the disk until the hub has it.

What is sent is deflated against the page the hub took last, so of a page that hardly changed hardly anything crosses
the line. The newest reading goes first: after an outage the hub knows how the host is before it learns how it was;
then what waited follows, oldest first, no faster than it may.
"""

from __future__ import annotations

import argparse
import bisect
import json
import os
import random
import re
import socket
import ssl
import sys
import threading
import time
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

EARLIEST = 1_577_836_800
"""2020. A clock before that proves nothing, and neither does a sample by it."""
SERIES = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
NOT_SENT = {"instance", "job", "site", "host", "device_error", "fstype"}
WINDOW = 32_768
"""How far back deflate looks."""
BLOCK = 4096
"""What a file takes on the disk at least."""
BATCH_PAGES, BATCH_BYTES = 30, 500_000
BURST_SECONDS = 2
READINGS_IN_MEMORY = 30
HEADERS = 130
"""Bytes of TCP/IP and TLS that a request costs beside itself."""
CONNECT_SECONDS, ANSWER_SECONDS = 10, 30
LONGEST_WAIT = 12.0
"""Between two tries; with it and the two above, what is live is at the hub within a minute of the line's return."""
SESSION_SECONDS = 86_400
"""A connection is made anew each day, so that a renewed certificate is taken up."""


class Refused(OSError):
    """The hub does not take this, whenever it is sent."""


def choose(page: str, settings: argparse.Namespace) -> tuple[list[str], int]:
    """The lines of node_exporter's page that leave the host, and how many were too many."""
    lines: list[str] = []
    for line in page.split("\n"):
        found = SERIES.match(line)
        if not found or not settings.keep.fullmatch(found[1]):
            continue
        labels = dict(LABEL.findall(found[2] or ""))
        if settings.no_disk.fullmatch(labels.get("mountpoint", "")):
            continue
        sent = {name: value for name, value in labels.items() if name not in NOT_SENT and value}
        if settings.of_others:
            # What the centre says of others is of them; the hub believes it of its own host alone.
            sent |= {f"of_{name}": labels[name] for name in ("site", "host") if labels.get(name)}
        inner = ",".join(f'{name}="{value}"' for name, value in sent.items())
        lines.append(f"{found[1]}{{{inner}}} {found[3]}" if inner else f"{found[1]} {found[3]}")
    return lines[: settings.max_series], max(0, len(lines) - settings.max_series)


def read(target: str) -> str:
    """Node_exporter's page. Raises: OSError, ValueError."""
    host, _, port = target.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(f"GET /metrics HTTP/1.0\r\nHost: {target}\r\n\r\n".encode())
        answer = b""
        while piece := sock.recv(1 << 16):
            answer += piece
            if len(answer) > 4_000_000:
                raise ValueError("its page has more than 4 MB")
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.partition(b"\r\n")[0]
    if b" 200 " not in status + b" ":
        raise ValueError(f"it answers {status.decode(errors='replace') or 'nothing'}")
    if not body.endswith(b"\n"):
        raise ValueError("its page is cut off")  # half a number is another number
    return body.decode("utf-8")


class Spool:
    """Readings on the disk, one file each, named by its time in milliseconds; beyond the bound the oldest go."""

    def __init__(self, folder: Path, bound: int) -> None:
        self.folder, self.bound = folder, bound
        self.sizes: dict[int, int] = {}
        self.unwritten: dict[int, bytes] = {}
        self.dropped, self.dropped_at, self.saved = 0, 0.0, 0
        with suppress(OSError, ValueError):  # none was lost so far, or the disk spoilt it
            count, when = (folder / "dropped").read_text(encoding="ascii").split()
            self.dropped, self.dropped_at, self.saved = int(count), float(when), int(count)
        self.lock, self.more = threading.Lock(), threading.Event()
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path.name.isdigit():
                self.sizes[int(path.name)] = _blocks(path.stat().st_size)
            elif path.name != "dropped":
                _unlink(path)
        self.times = sorted(self.sizes)

    def add(self, at: int, text: bytes) -> None:
        """Keep a reading; when this returns a loss of power does not take it, unless the disk takes nothing any more:
        then the last ones are kept in memory, so that the hub learns of the full disk."""
        try:
            size = self._write(str(at), zlib.compress(text, 9))
        except OSError as error:
            tell(f"{self.folder} cannot be written, what is read stays in memory: {error}")
            size = 0
        with self.lock:
            if at not in self.sizes:
                bisect.insort(self.times, at)
            self.sizes[at] = size
            self.unwritten.pop(at, None)
            if not size:
                self.unwritten[at] = text
            oldest = set(sorted(self.unwritten)[:-READINGS_IN_MEMORY])
            over = sum(self.sizes.values()) - self.bound
            for time_ in self.times[:-1]:
                if over <= 0:
                    break
                oldest.add(time_)
                over -= self.sizes[time_]
        self.lose(len(oldest))
        self.remove(oldest)
        self.more.set()

    def _write(self, name: str, packed: bytes) -> int:
        """Put a file in place, whole; what it takes on the disk. Raises: OSError."""
        new = self.folder / f"{name}.new"
        with new.open("wb") as file:
            file.write(packed)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self.folder / name)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return _blocks(len(packed))

    def next(self) -> list[tuple[int, bytes]]:
        """The newest alone, or the oldest of those that waited; empty when the hub has everything."""
        with self.lock:
            newest = self.times[-1] if self.times else 0
            live = newest > (time.time() - 120) * 1000
            wanted = [newest] if live else self.times[:BATCH_PAGES]
            kept = dict(self.unwritten)
        found: list[tuple[int, bytes]] = []
        size = 0
        for at in wanted:
            try:
                text = kept.get(at) or zlib.decompress((self.folder / str(at)).read_bytes())
            except FileNotFoundError:
                text = b""
            except (OSError, zlib.error) as error:
                tell(f"{self.folder / str(at)} cannot be read and is lost: {error}")
                text = b""
                self.lose(1)
            if not text:
                self.remove([at])
                continue
            found.append((at, text))
            size += len(text)
            if size > BATCH_BYTES:
                break
        return found

    def lose(self, count: int) -> None:
        """So many readings are lost for good: counted, also over a restart, and told to the hub."""
        with self.lock:
            self.dropped, self.dropped_at = self.dropped + count, time.time() if count else self.dropped_at
            if self.dropped != self.saved:
                with suppress(OSError):  # `add` tells of such a disk, and the next reading tries again
                    self._write("dropped", f"{self.dropped} {self.dropped_at:.0f}\n".encode())
                    self.saved = self.dropped

    def told(self) -> list[str]:
        """What a reading says of those that wait and of those that are lost."""
        lines = [f"tram_watch_pending {len(self.times)}", f"tram_watch_dropped_total {self.dropped}"]
        if self.dropped:
            lines.append(f"tram_watch_dropped_timestamp_seconds {self.dropped_at:.0f}")
        return lines

    def remove(self, times: Iterable[int]) -> None:
        """Forget readings: the hub has them, or they had to go."""
        with self.lock:
            for at in times:
                if self.sizes.pop(at, None) is not None:
                    self.times.remove(at)
                    self.unwritten.pop(at, None)
                    _unlink(self.folder / str(at))


def _unlink(path: Path) -> None:
    """A disk that became read-only keeps the file: after a restart it is sent again, and kept once."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        tell(f"{path} cannot be removed: {error}")


def _blocks(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


class Hub:
    """The way there: one connection that stays, and what the hub was told last."""

    def __init__(self, settings: argparse.Namespace) -> None:
        self.settings = settings
        self.sock: ssl.SSLSocket | None = None
        self.answers: BinaryIO | None = None
        self.said = b""
        self.address = ""
        self.since = 0.0

    def tell(self, pages: list[tuple[int, bytes]]) -> int:
        """Have the hub take readings; the bytes that took. Raises: OSError."""
        if self.sock is None or time.monotonic() - self.since > SESSION_SECONDS:
            self.connect()
        code, size = self._post(pack(pages, self.said))
        if code in (409, 422) and self.said:
            # It began anew, did not hear itself say yes, or has another page of the same mark.
            self.said = b""
            code, more = self._post(pack(pages, b""))
            size += more
        if code in (413, 422):
            raise Refused("the hub cannot read this")
        if code != 204:
            raise OSError(f"the hub answers {code}")
        self.said = pages[-1][1][-WINDOW:]
        return size

    def _post(self, body: bytes) -> tuple[int, int]:
        assert self.sock is not None
        assert self.answers is not None
        head = f"POST /samples HTTP/1.1\r\nHost:{self.settings.hub}\r\nContent-Length:{len(body)}\r\n\r\n".encode()
        self.sock.sendall(head + body)
        status = self.answers.readline(1000).split()
        if len(status) < 2:
            raise OSError("the hub hung up")
        length, line = 0, b"-"
        while line.strip():
            line = self.answers.readline(8000)
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        if length:
            self.answers.read(length)
        return int(status[1]), len(head) + len(body) + HEADERS

    def connect(self) -> None:
        """A connection on which both sides are known by their certificates. Raises: OSError."""
        self.close()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.settings.ca)
        context.load_cert_chain(self.settings.chain, self.settings.key)
        try:
            found = socket.getaddrinfo(self.settings.hub, self.settings.port, socket.AF_INET, socket.SOCK_STREAM)
            self.address = str(found[0][4][0])
        except OSError:
            if not self.address:
                raise
        plain = socket.create_connection((self.address, self.settings.port), timeout=CONNECT_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = context.wrap_socket(plain, server_hostname=self.settings.hub)
        self.sock.settimeout(ANSWER_SECONDS)
        self.answers = cast(BinaryIO, self.sock.makefile("rb"))
        self.since = time.monotonic()

    def close(self) -> None:
        """Let go of it."""
        for one in (self.answers, self.sock):
            if one is not None:
                one.close()
        self.sock = self.answers = None


def pack(pages: list[tuple[int, bytes]], said: bytes) -> bytes:
    """What crosses the line: the mark of what is known there already, and the rest deflated against it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, said) if said else None
    packer = packer or zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    text = b"".join(b"@%d\n%s" % page for page in pages)
    return zlib.crc32(said).to_bytes(4, "big") + packer.compress(text) + packer.flush()


def send(spool: Spool, hub: Hub, status: Path, bytes_per_second: int) -> None:
    """Bring what the spool has to the hub, for ever."""
    wait, budget, last = 1.0, float(bytes_per_second * BURST_SECONDS), time.monotonic()
    said: dict[str, Any] = {"requests": 0, "bytes": 0, "taken": 0, "error": ""}
    while True:
        spool.more.clear()
        if not (pages := spool.next()):
            spool.more.wait(timeout=5)
            continue
        times = [at for at, _text in pages]
        try:
            size = hub.tell(pages)
        except Refused as error:
            spool.lose(len(times))
            spool.remove(times)
            tell(f"{len(times)} readings are lost: {error}")
            continue
        except (OSError, ValueError) as error:
            hub.close()
            tell(f"the hub is not reached, what is read stays here: {error}")
            _note(status, said | {"error": str(error), "pending": len(spool.times), "dropped": spool.dropped})
            time.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - spreads hosts, hides nothing
            wait = min(wait * 2, LONGEST_WAIT)
            continue
        wait = 1.0
        spool.remove(times)
        # Not what a clock that was ahead once wrote: it would be the newest for long.
        newest = max((at for at in (said["taken"], *times) if at <= (time.time() + 60) * 1000), default=0)
        said |= {"requests": said["requests"] + 1, "bytes": said["bytes"] + size, "taken": newest}
        _note(status, said | {"pending": len(spool.times), "dropped": spool.dropped})
        if bytes_per_second:
            # People use the same line: what is too much now is sent later.
            now = time.monotonic()
            budget = min(budget + (now - last) * bytes_per_second, bytes_per_second * BURST_SECONDS) - size
            last = now
            if budget < 0:
                time.sleep(-budget / bytes_per_second)


def _note(status: Path, said: dict[str, Any]) -> None:
    new = status.with_suffix(".new")
    try:
        new.write_text(json.dumps(said) + "\n", encoding="utf-8")
        new.rename(status)
    except OSError as error:
        tell(f"{status} says what was before: {error}")


def watch(spool: Spool, settings: argparse.Namespace) -> None:
    """Read the host's metrics at the same second of each minute, for ever."""
    # Hosts spread over some seconds, behind the exporters' own second.
    offset = 5 + zlib.crc32(socket.gethostname().encode()) % 20
    while True:
        now = time.time()
        at = ((now - offset) // settings.every + 1) * settings.every + offset
        time.sleep(at - now)
        if at < EARLIEST or abs(time.time() - at) > settings.every:
            continue
        try:
            lines, over = choose(read(settings.target), settings)
            lines.append("up 1")
            if over:
                tell(f"{over} series are more than watch_site_max_series and were left out")
        except (OSError, ValueError) as error:
            tell(f"{settings.target} cannot be read: {error}")
            lines, over = ["up 0"], 0
        lines += [*spool.told(), f"tram_watch_series_over {over}"]
        spool.add(round(at * 1000), ("\n".join(lines) + "\n").encode())


def tell(text: str) -> None:
    """To the journal, as a notice."""
    print(f"<5>{text}", file=sys.stderr, flush=True)


def main() -> None:
    """Until told to stop; an end of either half is the end of both, and systemd begins anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", type=Path)
    parser.add_argument("--check", action="store_true", help="read the settings and end")
    options = parser.parse_args()
    settings = argparse.Namespace(**json.loads(options.settings.read_text(encoding="utf-8")))
    settings.keep, settings.no_disk = re.compile(settings.keep), re.compile(settings.no_disk)
    if options.check:
        return
    spool = Spool(Path(os.environ["STATE_DIRECTORY"]) / "spool", settings.buffer_max_bytes)
    status = Path(os.environ["RUNTIME_DIRECTORY"]) / "said.json"

    def half() -> None:
        try:
            watch(spool, settings)
        except Exception as error:
            tell(f"reading ends, and the agent with it: {error!r}")
        finally:
            os._exit(1)

    threading.Thread(target=half, daemon=True).start()
    send(spool, Hub(settings), status, settings.bytes_per_second)


if __name__ == "__main__":
    main()
