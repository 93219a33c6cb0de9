"""One host in as few round trips as ssh can do: everything is sent before it is asked for.

An ssh client waits after each step: is the service there, which methods are there, is this key right, is the channel
open. All answers but the last are known beforehand, so here request for the service, signature, channel, command and
input leave in one flight once the keys are agreed on (RFC 4252, 4254 allow it; a server works them off in order).
Five round trips are left: TCP, banner, algorithms, keys, everything else. OpenSSH's own client takes more than twice
as many (bench/audit tells both by time).

It is paramiko underneath, with one kind of message early. A host it has no method or pinned key in common with, and
whatever else is unusual, is left to OpenSSH (`tram.look.ssh`): `ask` says so by `NotThisWay`.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import paramiko
from paramiko.auth_handler import AuthHandler
from paramiko.common import (
    cMSG_CHANNEL_DATA,
    cMSG_CHANNEL_EOF,
    cMSG_CHANNEL_OPEN,
    cMSG_CHANNEL_REQUEST,
    cMSG_SERVICE_REQUEST,
)
from paramiko.hostkeys import HostKeyEntry
from paramiko.kex_curve25519 import KexCurve25519

from tram.core.proxy import ProxyLine

# Its own log says on standard error, with a traceback, what we raise in a sentence.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
# What we use of it beyond its published interface, which waits after each step. Pinned: requirements/.
_TRANSPORT: Any = paramiko.Transport
_AUTH: Any = AuthHandler
_OFFERS = {
    "kex_algo_list": "kex",
    "server_key_algo_list": "hostkeys",
    "server_encrypt_algo_list": "ciphers",
    "server_mac_algo_list": "macs",
}
_PART, _WINDOW = 16384, 2**24
MOST = 32 * 2**20
"""Bytes: more than this no host has to say, and the centre has other hosts to listen to."""
TOO_MUCH = "it says far too much"
_KEXES = ("curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256")
_CIPHERS = ("aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr")
_MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com")


class NotThisWay(Exception):
    """This host is better asked by OpenSSH. What it was told may have begun: only what may run twice is asked."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a host is reached. `proxy` is a command whose input and output are the connection; without, it is TCP."""

    address: str
    port: int
    operator: str
    key_file: Path
    known_hosts: Path
    proxy: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a command printed, on both its outputs; `late` when it had not ended in time. `offers` as sshd made them."""

    out: bytes
    words: str
    code: int
    late: bool
    offers: dict[str, str]


def ask(way: Way, command: str, given: bytes, *, connect: float, whole: float) -> Answered:
    """Carry out `command` with the input `given`; at most `whole` seconds.

    Raises: NotThisWay; TimeoutError and ConnectionRefusedError when nobody answers.
    """
    until = time.monotonic() + whole
    try:
        pinned = _pinned(way)
        key = paramiko.Ed25519Key.from_private_key_file(str(way.key_file))
    except (OSError, ValueError, paramiko.SSHException) as error:
        raise NotThisWay(str(error)) from error
    line = _Line(_dial(way, connect))
    transport = _Eager(line, command, given)
    try:
        _greet(transport, way, pinned, connect)
        transport.ask_for_all(way.operator, key)
        line.let_go()
        return _listen(transport, until)
    except (OSError, NotThisWay):
        raise
    except Exception as error:  # paramiko hands on whatever a host's bytes made it trip over
        raise NotThisWay(str(error)) from error
    finally:
        transport.close()


def _dial(way: Way, connect: float) -> socket.socket:
    if way.proxy:
        return ProxyLine(way.proxy)
    found = socket.create_connection((way.address, way.port), timeout=connect)
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return found


def _greet(transport: _Eager, way: Way, pinned: list[paramiko.PKey], connect: float) -> None:
    """Keys agreed on, and the host is the one that is pinned."""
    options = transport.get_security_options()
    options.kex, options.ciphers, options.digests = _KEXES, _CIPHERS, _MACS
    options.key_types = [key.get_name() for key in pinned]
    transport.banner_timeout = transport.handshake_timeout = connect
    transport.start_client(timeout=connect)
    if transport.get_remote_server_key() not in pinned:
        raise NotThisWay(f"{way.address} shows another key than the one pinned for it")


def _listen(transport: _Eager, until: float) -> Answered:
    channel, out, words = transport.channel, bytearray(), bytearray()
    if not transport.admitted(until):
        raise NotThisWay("it did not let us in at once")
    late = False
    while not late and len(out) <= MOST:
        try:
            channel.settimeout(max(0.05, until - time.monotonic()))
            if not (part := channel.recv(65536)):
                break
            out += part
        except TimeoutError:
            late = True
        late = late or time.monotonic() >= until
    while channel.recv_stderr_ready() and len(words) <= _WINDOW:
        words += channel.recv_stderr(65536)
    if len(out) > MOST:
        words += f"\n{TOO_MUCH}".encode()
    code = channel.recv_exit_status() if channel.exit_status_ready() else -1
    return Answered(bytes(out), words.decode("utf-8", "replace"), code, late, transport.offers)


def _pinned(way: Way) -> list[paramiko.PKey]:
    """The ed25519 key pinned for the host, by its address. Marked lines (@revoked …) are for OpenSSH to understand."""
    name = way.address if way.port == 22 else f"[{way.address}]:{way.port}"
    lines = way.known_hosts.read_text(encoding="utf-8", errors="replace").splitlines()
    if any(line.startswith("@revoked") for line in lines):
        raise NotThisWay("some key is revoked")
    keys: list[paramiko.PKey] = []
    for line in lines:
        if "ssh-ed25519" in line and not line.startswith(("@", "#")):
            entry = HostKeyEntry.from_line(line)
            if entry and entry.key and any(_same(name, pattern) for pattern in entry.hostnames or ()):
                keys.append(entry.key)
    if not keys:
        raise NotThisWay("no ed25519 key is pinned for it")
    return keys


def _same(name: str, pattern: str) -> bool:
    if pattern.startswith("|1|"):
        return paramiko.HostKeys.hash_host(name, pattern) == pattern
    return pattern == name


class _Line(socket.socket):
    """A connection that can be told to hold what is written and then to send it as one."""

    def __init__(self, through: socket.socket) -> None:
        super().__init__()  # never connected: everything goes `through`
        super().close()
        self._through, self._held, self._holds, self._lock = through, bytearray(), False, threading.Lock()

    def hold(self) -> None:
        """From now on keep what is sent."""
        self._holds = True

    def let_go(self) -> None:
        """Send what was kept, in one."""
        with self._lock:
            self._holds, held, self._held = False, bytes(self._held), bytearray()
            self._through.settimeout(30)
            view = memoryview(held)
            while view:
                view = view[self._through.send(view) :]
            self._through.settimeout(0.1)

    def send(self, data: Any, flags: int = 0) -> int:
        with self._lock:
            if self._holds:
                self._held += data
                return len(data)
            return self._through.send(data, flags)

    def recv(self, size: int, flags: int = 0) -> bytes:
        return self._through.recv(size, flags)

    def settimeout(self, seconds: float | None) -> None:
        self._through.settimeout(seconds)

    def close(self) -> None:
        self._through.close()


class _EagerAuth(AuthHandler):
    """Signs without having been told that it may; the word that it may is then passed over."""

    def _request_auth(self) -> None:
        request = paramiko.Message()
        request.add_byte(cMSG_SERVICE_REQUEST)
        request.add_string("ssh-userauth")
        transport: Any = self.transport
        transport._send_message(request)
        accepted = paramiko.Message()
        accepted.add_string("ssh-userauth")
        accepted.rewind()
        _AUTH._parse_service_accept(self, accepted)

    def _parse_service_accept(self, m: paramiko.Message) -> None:
        """Known already."""


class _Eager(paramiko.Transport):
    """One session that is opened, given its command and its input before the host has said yes to any of it."""

    _kex_info: ClassVar = {**_TRANSPORT._kex_info, "curve25519-sha256": KexCurve25519}
    _preferred_kex = _KEXES

    def __init__(self, line: _Line, command: str, given: bytes) -> None:
        super().__init__(line)
        self.channel: paramiko.Channel
        self.offers: dict[str, str] = {}
        self._line, self._command, self._given = line, command, given
        self._signed, self._opened = threading.Event(), threading.Event()

    def _activate_outbound(self) -> None:
        """The new keys are in use: that word already travels with all that follows (a second small write would wait for
        the first one's receipt: Nagle, RFC 896)."""
        self._line.hold()
        _TRANSPORT._activate_outbound(self)

    def ask_for_all(self, operator: str, key: paramiko.PKey) -> None:
        """Service, signature, channel, command, input, end of input."""
        self.auth_handler = _EagerAuth(self)
        self.auth_handler.auth_publickey(operator, key, self._signed)
        self._open()
        self._say(cMSG_CHANNEL_REQUEST, "exec", False, self._command)
        for at in range(0, len(self._given), _PART):
            self._say(cMSG_CHANNEL_DATA, self._given[at : at + _PART])
        self._say(cMSG_CHANNEL_EOF)

    def admitted(self, until: float) -> bool:
        """Wait for the yes to all of it; whether there was one."""
        for event in (self._signed, self._opened):
            event.wait(max(0.0, until - time.monotonic()))
        return self.is_authenticated() and self._opened.is_set() and bool(self.channel.active)

    def _really_parse_kex_init(self, m: paramiko.Message, ignore_first_byte: bool = False) -> dict[str, Any]:
        """The host's KEXINIT (RFC 4253, 7.1); the first one is kept, before paramiko takes it apart."""
        found: dict[str, Any] = _TRANSPORT._really_parse_kex_init(self, m, ignore_first_byte)
        if not self.offers and not ignore_first_byte:
            self.offers = {ours: ",".join(found[name]) for name, ours in _OFFERS.items()}
        return found

    def _open(self) -> None:
        """What `open_session` sends, without waiting for the answer."""
        here: Any = self
        number = here._next_channel()
        self.channel = paramiko.Channel(number)
        here._channels.put(number, self.channel)
        here.channels_seen[number] = True
        here.channel_events[number] = self._opened
        there: Any = self.channel
        there._set_transport(self)
        there._set_window(_WINDOW, 32768)
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_OPEN)
        message.add_string("session")
        for value in (number, _WINDOW, 32768):
            message.add_int(value)
        here._send_message(message)

    def _say(self, kind: bytes, *parts: str | bytes | bool) -> None:
        """A message to the channel, by the number that the first channel of a connection has at every sshd: 0."""
        message = paramiko.Message()
        message.add_byte(kind)
        message.add_int(0)
        for part in parts:
            if isinstance(part, bool):
                message.add_boolean(part)
            else:
                message.add_string(part)
        here: Any = self
        here._send_message(message)
