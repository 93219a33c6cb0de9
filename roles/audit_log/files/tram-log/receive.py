#!/usr/bin/python3
"""Receive what hosts send of their journals, and file it only under the name in the certificate of who sends.

Nothing is acknowledged before it is on the disk. When the disk is nearly full nothing is taken any more: the hosts keep
it, and the journal here says so.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
import socket
import ssl
import sys
import threading
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import chain
import record

FROM_ONE_ADDRESS = 8
"""Connections: a host has one; one that is cut off may have old ones for a while."""
HANDSHAKE_SECONDS = 30


def main() -> None:
    """Listen until told to stop."""
    options = arguments()
    threading.stack_size(512 * 1024)
    receiver = Receiver(options)
    threading.Thread(target=receiver.look_after, daemon=True).start()
    listeners = [socket.create_server((address, options.port), backlog=128) for address in options.address]
    for listener in listeners[1:]:
        threading.Thread(target=receiver.accept, args=(listener,), daemon=True).start()
    receiver.accept(listeners[0])


def say(severity: int, text: str) -> None:
    """A line for the journal."""
    print(f"<{severity}>{record.printable(text)}", file=sys.stderr, flush=True)


class Receiver:
    """The connections there are, and what is known of each host."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.top: Path = options.directory
        self.lock = threading.Lock()
        self.from_address: Counter[str] = Counter()
        self.connections: dict[str, ssl.SSLSocket] = {}
        self.locks: dict[str, threading.Lock] = {}
        self.heard: dict[str, dict[str, Any]] = self._remembered()
        self.context: tuple[float, ssl.SSLContext] | None = None
        self.full = False

    def _remembered(self) -> dict[str, dict[str, Any]]:
        try:
            known = json.loads((self.top / "status.json").read_text(encoding="utf-8"))["hosts"]
            hosts = {host: {**what, "heard": int(what["heard"])} for host, what in known.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            hosts = {}
        for path in self.top.iterdir():
            if path.is_dir() and chain.HOST.match(path.name):
                hosts.setdefault(path.name, {"heard": 0})
        return dict(hosts)

    def accept(self, listener: socket.socket) -> None:
        """Take connections, a bounded number from each address."""
        while True:
            try:
                plain, (address, *_) = listener.accept()
            except OSError as error:
                say(3, f"no connection can be taken: {error}")
                time.sleep(1)
                continue
            with self.lock:
                taken = self.from_address[address] < FROM_ONE_ADDRESS
                taken = taken and self.from_address.total() < self.options.connections
                self.from_address[address] += taken
            if not taken:
                plain.close()
                continue
            threading.Thread(target=self._serve, args=(plain, address), daemon=True).start()

    def _serve(self, plain: socket.socket, address: str) -> None:
        host = ""
        try:
            with plain:
                plain.settimeout(HANDSHAKE_SECONDS)
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._secure().wrap_socket(plain, server_side=True) as sock:
                    host = name_of(sock.getpeercert())
                    self._converse(sock, host)
        except (ConnectionError, TimeoutError, ssl.SSLEOFError) as error:
            if host:
                say(6, f"{host} ({address}) is gone: {error}")
        except (ssl.SSLError, record.BadFrame, ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
            say(4, f"{host or 'somebody'} ({address}) was refused: {error}")
        except chain.Tampered as error:
            say(2, f"{host} ({address}): nothing more is written to a log that was tampered with: {error}")
        except OSError as error:
            say(3, f"{host} ({address}): {error}")
        finally:
            with self.lock:
                self.from_address[address] -= 1
                if not self.from_address[address]:
                    del self.from_address[address]

    def _secure(self) -> ssl.SSLContext:
        """The way we present ourselves; made anew when the certificate was renewed."""
        changed = self.options.chain.stat().st_mtime
        if self.context is None or self.context[0] != changed:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.options.ca)
            context.load_cert_chain(self.options.chain, self.options.key)
            # A session that is resumed need not show its certificate; it costs less than being sure of that.
            context.num_tickets = 0
            self.context = (changed, context)
        return self.context[1]

    def _converse(self, sock: ssl.SSLSocket, host: str) -> None:
        """Take a host's batches. A newer connection of the same host ends the older one."""
        with self.lock:
            older = self.connections.get(host)
            self.connections[host] = sock
            lock = self.locks.setdefault(host, threading.Lock())
        if older is not None:
            close(older)
        with lock:
            try:
                book = chain.Book(self.top, host)
                if book.repaired:
                    say(5, f"{host}: {book.repaired} bytes that were never acknowledged were cut off")
                self._take(sock, book)
            finally:
                with self.lock:
                    if self.connections.get(host) is sock:
                        del self.connections[host]

    def _take(self, sock: ssl.SSLSocket, book: chain.Book) -> None:
        sock.settimeout(self.options.silent_seconds)
        self._hear(book)
        sock.sendall(record.frame(record.dumps({"cursor": book.head.cursor, **self._stand(book)})))
        unpacker = zlib.decompressobj(-15)
        while True:
            packed = record.read_frame(sock)
            body = unpacker.decompress(packed, record.MAX_BATCH_BYTES)
            if unpacker.unconsumed_tail or unpacker.eof:
                raise record.BadFrame("a batch larger than may be")
            head, *records = (json.loads(part) for part in body.split(b"\n"))
            cursor, gap = head["cursor"], head["gap"]
            if not isinstance(cursor, str) or not chain.CURSOR.match(cursor) or type(gap) is not int:
                raise record.BadFrame("a batch of no place in the journal")
            lines = [record.line(book.host, item) for item in records]
            now = datetime.datetime.now().astimezone()
            if gap:
                what = f"{abs(gap)} or fewer entries of the journal were gone before they could be sent"
                lines.insert(0, self_said(book.host, now, what))
            if lines:
                if self.full:
                    raise OSError("the disk is nearly full: nothing is taken, the host keeps it")
                book.append(lines, cursor, now)
            self._hear(book)
            sock.sendall(record.frame(record.dumps(self._stand(book))))

    def _stand(self, book: chain.Book) -> dict[str, Any]:
        return {"n": book.head.number, "seal": book.head.seal}

    def _hear(self, book: chain.Book) -> None:
        with self.lock:
            self.heard[book.host] = {"heard": int(time.time()), **self._stand(book)}

    def look_after(self) -> None:
        """Four times a minute: who was heard of, old days, the disk."""
        while True:
            try:
                before, self.full = self.full, shutil.disk_usage(self.top).free < self.options.keep_free_bytes
                if self.full and not before:
                    say(2, f"disk nearly full: nothing is taken until {self.options.keep_free_bytes} bytes are free")
                self._forget_old()
                self._write_status()
            except OSError as error:
                say(3, f"the logs cannot be looked after: {error}")
            time.sleep(15)

    def _forget_old(self) -> None:
        """Remove days that are too old; when all together is too much, the oldest day of whom takes the most."""
        last = (datetime.datetime.now().astimezone().date() - datetime.timedelta(days=self.options.days)).isoformat()
        sizes: Counter[str] = Counter()
        for host in list(self.heard):
            files = chain.days(self.top / host)
            for path in files[:-1]:
                if path.stem < last:
                    path.unlink()
            sizes[host] = sum(path.stat().st_size for path in chain.days(self.top / host))
        while sizes.total() > self.options.max_bytes:
            host, _ = sizes.most_common(1)[0]
            oldest, *others = chain.days(self.top / host)
            if not others:
                say(2, f"{host} writes more on one day than all logs may take: {sizes[host]} bytes")
                self.full = True
                return
            sizes[host] -= oldest.stat().st_size
            oldest.unlink()
            say(4, f"{host}: its log of {oldest.stem} was removed early: all logs took {self.options.max_bytes} bytes")
            (self.top / host / "removed").write_text(oldest.stem + "\n", encoding="ascii")

    def _write_status(self) -> None:
        with self.lock:
            hosts = dict(sorted(self.heard.items()))
        now = int(time.time())
        silent = [host for host, what in hosts.items() if now - what["heard"] > self.options.silent_seconds]
        text = json.dumps({"at": now, "full": self.full, "silent": silent, "hosts": hosts}, indent=1)
        temporary = self.top / "status.new"
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.rename(self.top / "status.json")


def self_said(host: str, now: datetime.datetime, what: str) -> str:
    """A record of the hub's own within a host's log."""
    return f"{now.isoformat(timespec='microseconds')} {host} syslog.warning tram-log[0]: {what}"


def name_of(certificate: Any) -> str:
    """The host's name: the common name, which the certificate must also bear as DNS name.

    Raises:
        ValueError: it has none, or one that is no host's.
    """
    names = [value for part in certificate["subject"] for key, value in part if key == "commonName"]
    known = {value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"}
    if len(names) != 1 or names[0] not in known or not chain.HOST.match(names[0]):
        raise ValueError("a certificate that names no host")
    return str(names[0])


def close(sock: socket.socket) -> None:
    """End a connection that another thread reads."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def arguments() -> argparse.Namespace:
    """What the unit says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", action="append", required=True, help="listen here; may be given several times")
    parser.add_argument("--port", type=int, required=True)
    for name in ("key", "chain", "ca", "directory"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--days", type=int, default=92)
    parser.add_argument("--max-bytes", type=int, required=True)
    parser.add_argument("--keep-free-bytes", type=int, required=True)
    parser.add_argument("--silent-seconds", type=int, default=1200)
    parser.add_argument("--connections", type=int, default=1000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
