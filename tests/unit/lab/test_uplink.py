"""The lab's way to the package mirror: a mirror that stumbles is asked again, a broken transfer is not hidden."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tram.lab import uplink
from tram.lab.mirror import Mirror


class _Shaky(BaseHTTPRequestHandler):
    """Answers by its path: /late after two failures, /short with less than it says, /never not at all."""

    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        if self.path == "/never" or (self.path == "/late" and self.asked < 2):
            self.close_connection = True
            return
        self.send_response(503 if self.path == "/late" and self.asked < 3 else 200)
        self.send_header("Content-Length", "9")
        self.end_headers()
        self.wfile.write(b"four" if self.path == "/short" else b"all of it")
        self.close_connection = self.path == "/short"

    def log_message(self, *_: object) -> None:
        """Not on the tests' screen."""


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[http.client.HTTPConnection, str]]:
    """A connection to the uplink, and the mirror's base address."""
    monkeypatch.setattr(uplink, "_PAUSES_SECONDS", (0.01, 0.01, 0))
    monkeypatch.setattr(uplink._Request, "log_message", lambda *_: None)
    monkeypatch.setattr(_Shaky, "asked", 0)
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), _Shaky)) as port:
        base = f"http://127.0.0.1:{port}"
        proxy = uplink._Uplink(("127.0.0.1", 0), uplink._Request)
        proxy.mirror = Mirror(main=base, security=None, proxy=None, options=())
        with serving(proxy) as door:
            connection = http.client.HTTPConnection("127.0.0.1", door, timeout=10)
            yield connection, base
            connection.close()


def test_a_mirror_that_stumbles_is_asked_again(ask: tuple[http.client.HTTPConnection, str]) -> None:
    connection, base = ask
    connection.request("GET", f"{base}/late")
    answer = connection.getresponse()
    assert (answer.status, answer.read(), _Shaky.asked) == (200, b"all of it", 3)


def test_a_mirror_that_never_answers_is_said_so(ask: tuple[http.client.HTTPConnection, str]) -> None:
    connection, base = ask
    connection.request("GET", f"{base}/never")
    assert (connection.getresponse().status, _Shaky.asked) == (502, 3)


def test_a_transfer_that_breaks_off_ends_the_connection(ask: tuple[http.client.HTTPConnection, str]) -> None:
    connection, base = ask
    connection.request("GET", f"{base}/short")
    with pytest.raises(http.client.IncompleteRead):
        connection.getresponse().read()
    assert _Shaky.asked == 1
