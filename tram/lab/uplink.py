"""The lab's stand-in for the centre's way to the internet: an HTTP proxy that knows the package mirror, nothing else.

`python -m tram.lab.uplink --lab NAME --address A`. It listens inside the hub's router namespace and asks the mirror
from the machine's own network, so that no lab host has, or needs, a route outside.
"""

from __future__ import annotations

import argparse
import http.client
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tram.lab.mirror import Mirror, machine_mirror
from tram.lab.namespace import inside
from tram.lab.paths import lab_paths

PORT = 3142
_CHUNK_BYTES = 1 << 16
_PATIENCE_SECONDS = 60
# A mirror that stumbles for a moment is no story of the lab's: asked again after these, then told.
_PAUSES_SECONDS = (1, 3, 9, 0)
_STUMBLES = 500
# Hop-by-hop headers a proxy must not pass on (RFC 9110 7.6.1).
_HOP = {"connection", "proxy-connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"}


class _Broken(Exception):
    """A transfer broke off after it had begun: only closing the connection tells the other side."""


class _Uplink(ThreadingHTTPServer):
    daemon_threads = True
    mirror: Mirror


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Uplink

    def do_GET(self) -> None:
        self._relay("GET")

    def do_HEAD(self) -> None:
        self._relay("HEAD")

    def _relay(self, method: str) -> None:
        url = urlsplit(self.path)
        scheme = self.server.mirror.hosts.get(url.netloc)
        if scheme is None:
            self.send_error(403, "not the package mirror", "the lab has no internet, only the machine's package mirror")
            return
        target = url.path + (f"?{url.query}" if url.query else "")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        headers["Host"] = url.netloc
        for pause in _PAUSES_SECONDS:
            connection, path = self._mirror(scheme, url.netloc, target)
            try:
                connection.request(method, path, headers=headers)
                answer = connection.getresponse()
                if answer.status < _STUMBLES or not pause:
                    self._pass_on(method, answer)
                    return
                self.log_error("%s: %d %s", self.path, answer.status, answer.reason)
            except _Broken as error:
                self.close_connection = True
                self.log_error("%s: %s", self.path, error)
                return
            except (OSError, http.client.HTTPException) as error:
                self.log_error("%s: %s", self.path, error)
            finally:
                connection.close()
            time.sleep(pause)
        self.send_error(502, "the mirror does not answer")

    def _mirror(self, scheme: str, host: str, target: str) -> tuple[http.client.HTTPConnection, str]:
        proxy = self.server.mirror.proxy
        if proxy and scheme == "http":
            return http.client.HTTPConnection(
                urlsplit(proxy).netloc, timeout=_PATIENCE_SECONDS
            ), f"http://{host}{target}"
        if scheme == "https":
            return http.client.HTTPSConnection(host, timeout=_PATIENCE_SECONDS), target
        return http.client.HTTPConnection(host, timeout=_PATIENCE_SECONDS), target

    def _pass_on(self, method: str, answer: http.client.HTTPResponse) -> None:
        length = answer.getheader("Content-Length")
        passed = 0
        try:
            self.send_response(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            if length is None and answer.status not in (204, 304):
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            while method != "HEAD" and (chunk := answer.read(_CHUNK_BYTES)):
                self.wfile.write(chunk)
                passed += len(chunk)
        except (OSError, http.client.HTTPException) as error:
            raise _Broken(str(error)) from error
        if method != "HEAD" and answer.status not in (204, 304) and length is not None and passed < int(length):
            raise _Broken(f"{passed} of {length} bytes")


def main() -> None:
    """Listen in the namespace, work from the machine; run until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lab", required=True)
    parser.add_argument("--address", required=True)
    args = parser.parse_args()
    mirror = machine_mirror()
    # A listening socket stays in the namespace it was made in; the threads that answer connect from home.
    with inside(lab_paths(args.lab).core):
        server = _Uplink((args.address, PORT), _Request)
    server.mirror = mirror
    server.serve_forever()


if __name__ == "__main__":
    main()
