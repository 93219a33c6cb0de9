#!/usr/bin/python3
"""Take what the hosts' agents send (role watch_site), and give it to the store as text; nginx says whose it is.

A host deflates each request against the page that was taken from it last. Who does not know that page any more answers
409, and the host sends a whole one. Nothing is kept on a disk, and yes is said when the store has said so.
"""

from __future__ import annotations

import argparse
import http.client
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

WINDOW = 32_768
LONGEST_BODY, LONGEST_TEXT, MOST_LINES = 1_000_000, 8_000_000, 100_000
"""More than any agent sends; without them one site's few kilobytes would unpack to all memory there is."""
LONGEST_REFUSED = 4 << 20
"""nginx lets no more through. Who hangs up on what is still being sent is not heard, his answer neither."""
AT_ONCE, TURN_SECONDS = 4, 20
STORE_SECONDS = 60


class Unknown(Exception):
    """It was deflated against a page that is not known here."""


class Unreadable(Exception):
    """It is not what an agent sends."""


def unpack(body: bytes, known: bytes) -> list[tuple[int, bytes]]:
    """The readings of a request. Raises: Unknown, Unreadable."""
    mark = int.from_bytes(body[:4], "big")
    if mark and mark != zlib.crc32(known):
        raise Unknown
    unpacker = zlib.decompressobj(-15, known) if mark else zlib.decompressobj(-15)
    try:
        text = unpacker.decompress(body[4:], LONGEST_TEXT)
    except zlib.error as error:
        raise Unreadable(str(error)) from error
    if not unpacker.eof or not text.startswith(b"@"):
        raise Unreadable("no whole stream of pages")
    if text.count(b"\n") > MOST_LINES:
        raise Unreadable("more lines than any agent sends")
    pages = []
    for page in text[1:].split(b"\n@"):
        time, _, lines = page.partition(b"\n")
        if not time.isdigit() or len(time) > 14:
            raise Unreadable("a page without its time")
        pages.append((int(time), lines if lines.endswith(b"\n") else lines + b"\n"))
    return pages


def stamped(pages: list[tuple[int, bytes]]) -> bytes:
    """As the store reads it: each line with its time."""
    return b"".join(b"%s %d\n" % (line, at) for at, lines in pages for line in lines.split(b"\n") if line)


class Server(ThreadingHTTPServer):
    """Knows the last page of each host, by the labels nginx gives it."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], store: str) -> None:
        super().__init__(address, Taker)
        self.store = store
        self.known: dict[str, bytes] = {}
        self.turns = threading.BoundedSemaphore(AT_ONCE)


class Taker(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    timeout = 60

    def do_POST(self) -> None:
        """Take a request of an agent, few at once."""
        whose = urlsplit(self.path).query
        length = int(self.headers.get("Content-Length") or 0)
        if not whose or not 4 < length <= LONGEST_BODY:
            self.drain(length)
            self.answer(413 if length > LONGEST_BODY else 422)
            return
        if not self.server.turns.acquire(timeout=TURN_SECONDS):
            self.drain(length)
            self.answer(503)
            return
        try:
            code = self.taken(whose, self.rfile.read(length))
        finally:
            self.server.turns.release()
        self.answer(code)

    def drain(self, length: int) -> None:
        """Read a request that is not taken, and keep nothing of it."""
        length = min(length, LONGEST_REFUSED)
        for start in range(0, length, 1 << 16):
            self.rfile.read(min(1 << 16, length - start))

    def taken(self, whose: str, body: bytes) -> int:
        """What the agent is answered."""
        try:
            pages = unpack(body, self.server.known.get(whose, b""))
        except Unknown:
            return 409
        except Unreadable as error:
            print(f"<4>{whose}: {error}", file=sys.stderr, flush=True)
            return 422
        if not self.stored(whose, stamped(pages)):
            return 503
        self.server.known[whose] = pages[-1][1][-WINDOW:]
        return 204

    def stored(self, whose: str, text: bytes) -> bool:
        """Whether the store has it."""
        store = http.client.HTTPConnection(self.server.store, timeout=STORE_SECONDS)
        try:
            store.request("POST", f"/api/v1/import/prometheus?{whose}", text)
            return store.getresponse().status in (200, 204)
        except (OSError, http.client.HTTPException) as error:
            print(f"<4>the store does not answer: {error}", file=sys.stderr, flush=True)
            return False
        finally:
            store.close()

    def answer(self, code: int) -> None:
        """A status, and nothing else."""
        self.send_response_only(code)
        if code != 204:
            self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: 500 hosts would be a line each, each minute."""


def main() -> None:
    """Until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8427)
    parser.add_argument("--store", default="127.0.0.1:8428")
    options = parser.parse_args()
    Server(("127.0.0.1", options.port), options.store).serve_forever()


if __name__ == "__main__":
    main()
