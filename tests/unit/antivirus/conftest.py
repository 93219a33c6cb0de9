"""A hub that speaks HTTPS, a scanner that knows hashes, and a host between them: all of it thrown away."""

from __future__ import annotations

import datetime
import hashlib
import http.server
import ipaddress
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PROGRAM = Path(__file__).parents[3] / "roles/antivirus/files/tram-antivirus"
NAME = "mirror.tinh.example"
PROFILES = ["full", "reduced", "province", "on-demand"]
EICAR = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-" + "ANTIVIRUS-TEST-FILE!$H+H*"

# What clamscan would do with hashes: 0 clean, 1 found, 2 for signatures that cannot be read.
CLAMSCAN = r"""#!/bin/sh
for word; do case $word in --database=*) database=${word#*=} ;; esac; done
cat "$database"/* | grep -qv '^[0-9a-f]*:[0-9]*:' && echo 'LibClamAV Error: Malformed database' && exit 2
sum=$(sha256sum <"$word")
cat "$database"/* | grep -q "^${sum%% *}:" && exit 1
exit 0
"""

sys.path.insert(0, str(PROGRAM))


def line(content: str, name: str) -> str:
    """A signature by hash, as a .hsb has it."""
    raw = content.encode()
    return f"{hashlib.sha256(raw).hexdigest()}:{len(raw)}:{name}:73\n"


@dataclass
class Hub:
    """The hub: releases it signs, files it serves, what it was asked and told."""

    top: Path
    port: int = 0
    release: bytes = b"{}"
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    break_at: int | None = None
    sent: int = 0

    def text(self, serial: int, more: dict[str, str] | None = None, **changed: Any) -> str:
        """A release as JSON, and its files into what is served; `changed` replaces keys."""
        canary = f"canary {serial}"
        contents = {"tram-canary.hsb": line(canary, f"Tram.Canary.{serial}"), **(more or {})}
        entries = []
        for name, content in contents.items():
            raw = content.encode()
            digest = hashlib.sha256(raw).hexdigest()
            self.files[digest] = raw
            entries.append({"name": name, "sha256": digest, "bytes": len(raw), "profiles": PROFILES})
        return json.dumps({
            "format": 1, "serial": serial, "made": "2026-11-22T05:00:00Z", "note": "mẫu", "sweep": False,
            "canary": canary, "files": entries, "official": None, **changed,
        }, ensure_ascii=False)  # fmt: skip

    def sign(self, text: str, *, key: str = "key", namespace: str = "tram-signatures") -> str:
        """An OpenSSH signature."""
        seen = subprocess.run(
            ["ssh-keygen", "-Y", "sign", "-f", self.top / key, "-n", namespace],
            input=text.encode(), capture_output=True, check=True,
        )  # fmt: skip
        return seen.stdout.decode()

    def publish(self, serial: int, more: dict[str, str] | None = None, **changed: Any) -> None:
        """What a host sees from now on."""
        text = self.text(serial, more, **changed)
        self.release = json.dumps({"release": text, "signature": self.sign(text)}).encode()


class Answers(http.server.BaseHTTPRequestHandler):
    """nginx, as far as a host needs it."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        self.hub.asked.append((self.path, self.headers.get("Range", "")))
        if self.path.startswith("/signatures/seen/"):
            self.hub.seen.append(self.path.removeprefix("/signatures/seen/"))
            self.send_response(204)
            self.end_headers()
        elif self.path == "/signatures/release.json":
            etag = f'"{hashlib.sha256(self.hub.release).hexdigest()[:16]}"'
            if self.headers.get("If-None-Match") == etag:
                self.send_response(304)
                self.end_headers()
            else:
                self.give(self.hub.release, etag=etag)
        elif (digest := self.path.removeprefix("/signatures/files/")) in self.hub.files:
            self.give(self.hub.files[digest])
        else:
            self.send_error(404)

    def give(self, content: bytes, etag: str = "") -> None:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(found[1]) if found else 0
        if found and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if found else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if etag:
            self.send_header("ETag", etag)
        self.end_headers()
        body = content[start:]
        if self.hub.break_at is not None and self.hub.break_at < len(body):
            body = body[: self.hub.break_at]
            self.close_connection = True
        self.wfile.write(body)
        self.hub.sent += len(body)

    def log_message(self, *_: object) -> None:
        pass


class Scanner:
    """clamd, as far as hashes go: PING, VERSION, RELOAD, INSTREAM, FILDES."""

    def __init__(self, path: Path, database: Path) -> None:
        self.path, self.database = path, database
        self.known: dict[str, str] = {}
        self.scanned: list[bytes] = []
        self.says: dict[bytes, str] = {}
        self.deny_files = False
        self.reload()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(str(path))
        self.sock.listen(50)
        threading.Thread(target=self.serve, daemon=True).start()

    def reload(self) -> None:
        self.known = {}
        for path in self.database.glob("*.hsb"):
            for text in path.read_text(encoding="utf-8").splitlines():
                digest, _, name, *_ = text.split(":")
                self.known[digest] = name

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.sock.accept()
            except OSError:
                return
            with client:
                self.answer(client)

    def answer(self, client: socket.socket) -> None:
        said, handles, _, _ = socket.recv_fds(client, 1 << 16, 1)
        while b"\0" not in said:
            said += client.recv(1 << 16)
        command, _, rest = said.partition(b"\0")
        reply = {b"zPING": "PONG", b"zVERSION": "ClamAV 1.4.3/0/x", b"zRELOAD": "RELOADING"}.get(command, "")
        if command == b"zRELOAD":
            self.reload()
        elif command == b"zINSTREAM":
            reply = self.verdict("stream", self.stream(client, rest))
        elif command == b"zFILDES":
            if not handles:
                _, handles, _, _ = socket.recv_fds(client, 1, 1)
            content = b""
            os.lseek(handles[0], 0, os.SEEK_SET)
            while part := os.read(handles[0], 1 << 16):
                content += part
            os.close(handles[0])
            reply = "fd[10]: Permission denied. ERROR" if self.deny_files else self.verdict("fd[10]", content)
        client.sendall(reply.encode() + b"\0")

    def stream(self, client: socket.socket, rest: bytes) -> bytes:
        content = b""
        while True:
            while len(rest) < 4:
                rest += client.recv(1 << 16)
            (size,) = struct.unpack("!I", rest[:4])
            rest = rest[4:]
            if not size:
                return content
            while len(rest) < size:
                rest += client.recv(1 << 16)
            content, rest = content + rest[:size], rest[size:]

    def verdict(self, what: str, content: bytes) -> str:
        self.scanned.append(content)
        for part, said in self.says.items():
            if part in content:
                return f"{what}: {said}"
        name = self.known.get(hashlib.sha256(content).hexdigest())
        return f"{what}: {name}.UNOFFICIAL FOUND" if name else f"{what}: OK"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A province's CA, the hub's and a host's certificate, and keys that sign: for this test run only."""
    top = tmp_path_factory.mktemp("authority")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA")])
    now = datetime.datetime.now(datetime.UTC)

    def certificate(subject: str, own: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(name)
            .public_key(own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            names = [x509.DNSName(subject), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(key, hashes.SHA256())

    (top / "ca.crt").write_bytes(certificate("CA", key, ca=True).public_bytes(serialization.Encoding.PEM))
    for subject in (NAME, "host"):
        own = ec.generate_private_key(ec.SECP256R1())
        (top / f"{subject}.key").write_bytes(
            own.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        (top / f"{subject}.crt").write_bytes(
            certificate(subject, own, ca=False).public_bytes(serialization.Encoding.PEM)
        )
    for signer in ("key", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "x", "-f", top / signer], check=True)
    public = (top / "key.pub").read_text(encoding="utf-8")
    (top / "signers").write_text(f'hub namespaces="tram-signatures" {public}', encoding="utf-8")
    return top


@pytest.fixture
def hub(authority: Path) -> Iterator[Hub]:
    made = Hub(authority)
    handler = type("Handler", (Answers,), {"hub": made})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / f"{NAME}.crt", authority / f"{NAME}.key")
    context.load_verify_locations(authority / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def settings(hub: Hub, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A host of its own."""
    from tram_antivirus import settings, state, update  # noqa: PLC0415 - the path comes first

    places = {name: tmp_path / name for name in ("database", "state", "bin", "run")}
    for place in (*places.values(), *(places["state"] / room for room in ("release", "scan", "quarantine"))):
        place.mkdir()
    program = places["bin"] / "clamscan"
    program.write_text(CLAMSCAN, encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(places["bin"]), prepend=":")
    # A tenth of a second each on a busy disk; no test cuts the power.
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(update, "become", lambda user: None)
    monkeypatch.setattr(update, "CONFIRM_SECONDS", 1)
    monkeypatch.setattr(state, "journal", lambda *_, **event: None)
    raw = {
        "host": "srv1", "profile": "province", "profile_why": "2048 MB", "resident": True, "on_access": "off",
        "mirror_name": NAME, "mirror_address": "127.0.0.1", "mirror_port": hub.port,
        "announced_in": "release.signatures.tinh.example", "key_file": str(authority / "host.key"),
        "chain_file": str(authority / "host.crt"), "ca_file": str(authority / "ca.crt"), "poll_seconds": 20,
        "ask_minutes": 60, "spread_seconds": 0, "official_spread_minutes": 0, "hung_seconds": 60, "load_seconds": 30,
        "found": "quarantine", "scan_paths": ["/"], "sweep_paths": [], "skip_paths": [], "report_only_paths": [],
        "scan_hours": 1, "max_file_bytes": 1000000, "remember_files": 1000, "keep_findings": 10,
        "signers": str(authority / "signers"), "database": str(places["database"]), "state": str(places["state"]),
        "socket": str(tmp_path / "clamd.ctl"), "heard": str(places["run"] / "heard.json"),
    }  # fmt: skip
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(raw), encoding="utf-8")
    return settings.Settings(path)


@pytest.fixture
def scanner(settings: Any) -> Iterator[Scanner]:
    made = Scanner(settings.socket, settings.database)
    yield made
    made.sock.close()
