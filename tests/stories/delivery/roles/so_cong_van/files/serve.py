#!/usr/bin/python3
"""Serves one page at 127.0.0.1:8099, as it was when this began: who changes it must restart this."""

import os
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGE = Path(sys.argv[1]).read_bytes()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)


server = ThreadingHTTPServer(("127.0.0.1", 8099), Handler)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:  # sd_notify(3): it answers from now on
    systemd.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
server.serve_forever()
