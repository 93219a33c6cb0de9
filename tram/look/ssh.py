"""One host, one connection, one batch, and what the host's sshd offered in the handshake.

By `tram.look.eager` where that way is open, which waits the fewest times; else by OpenSSH's own client.
"""

from __future__ import annotations

import os
import re
import secrets
import select
import selectors
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import paramiko

from tram.core.errors import ProgramFailed
from tram.look import eager
from tram.look.program import COMMAND, Look, Seen, harmless, packed, program, read
from tram.register import Host, Province
from tram.register.connection import connection, ssh_path

_OFFERS = {
    "KEX algorithms": "kex",
    "host key algorithms": "hostkeys",
    "ciphers stoc": "ciphers",
    "MACs stoc": "macs",
}
_REASONS = (
    ("host key verification failed", "it has another key than the one pinned for it: tram host bootstrap"),
    ("identification has changed", "it has another key than the one pinned for it: tram host bootstrap"),
    ("permission denied", "it refuses the centre's key: tram host bootstrap"),
    ("a password is required", "sudo is refused: its operator needs sudo without a password (tram host bootstrap)"),
    ("not in the sudoers", "sudo is refused: its operator needs sudo without a password (tram host bootstrap)"),
    ("not allowed to execute", "sudo is refused: its operator needs sudo without a password (tram host bootstrap)"),
    ("sudo: command not found", "it has no sudo: tram host bootstrap"),
    ("sudo: not found", "it has no sudo: tram host bootstrap"),
    ("connection timed out", "it does not answer"),
    ("no route to host", "it does not answer"),
    ("connection refused", "nothing listens on its ssh port"),
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a host may take: to be reached, and for everything."""

    connect: timedelta = timedelta(seconds=15)
    whole: timedelta = timedelta(seconds=120)


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen of a host. `error` is empty, or the one reason why all of it, or the rest of it, is unknown."""

    host: str
    error: str
    seen: Mapping[str, Seen] = field(default_factory=dict)
    offers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    way: str = ""


def look_at(province: Province, host: Host, looks: Sequence[Look], patience: Patience, *, hurry: bool = True) -> Looked:
    """Ask a host everything; with `hurry` in few round trips where that can be. Never raises for what is wrong with it.

    Raises: ProgramFailed when there is no ssh here.
    """
    began, nonce = time.monotonic(), secrets.token_hex(8)
    given = packed(program(looks, nonce))
    found = _eagerly(province, host, given, patience) if hurry else None
    way = "eager" if found else "openssh"
    said = found or _by_openssh(province, host, given, patience)
    seen = read(said.out, looks, nonce)
    complete = b"@look " + nonce.encode() + b" end " in said.out
    late = f"it did not answer all of it within {patience.whole.total_seconds():.0f} s" if said.late else ""
    error = "" if complete else late or _reason(said.code, said.words)
    return Looked(host.inventory_name, error, seen, said.offers, time.monotonic() - began, way)


def _eagerly(province: Province, host: Host, given: bytes, patience: Patience) -> eager.Answered | None:
    """What came by the quick way; None when the host is to be asked by OpenSSH."""
    connect, whole = patience.connect.total_seconds(), patience.whole.total_seconds()
    silent = eager.Answered(b"", "connection timed out", 255, late=False, offers={})
    began = time.monotonic()
    try:
        return eager.ask(_way(province, host), COMMAND, given, connect=connect, whole=whole)
    except eager.NotThisWay:
        return silent if time.monotonic() - began > connect else None
    except ConnectionRefusedError:
        return eager.Answered(b"", "connection refused", 255, late=False, offers={})
    except OSError:
        return silent


def _way(province: Province, host: Host) -> eager.Way:
    """The way as OpenSSH's own configuration describes it, as far as we understand that."""
    way, address = connection(province), str(host.address)
    file = way.config_file or Path.home() / ".ssh/config"
    said: Mapping[str, object] = {}
    if file.exists():
        try:
            said = paramiko.SSHConfig.from_path(str(file)).lookup(address)
        except (OSError, ValueError, paramiko.SSHException) as error:
            raise eager.NotThisWay(str(error)) from error
    port, proxy = str(said.get("port", 22)), str(said.get("proxycommand", ""))
    if "proxyjump" in said or said.get("hostname", address) != address or not port.isdecimal():
        raise eager.NotThisWay("a way that is OpenSSH's to know")
    return eager.Way(
        address, int(port), province.operator, way.key_file, way.known_hosts, "" if proxy == "none" else proxy
    )


def _by_openssh(province: Province, host: Host, given: bytes, patience: Patience) -> eager.Answered:
    argv = ["ssh", *_options(province, patience), str(host.address), COMMAND]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
    except FileNotFoundError as error:
        raise ProgramFailed("ssh: no such program", hint="run scripts/setup.sh") from error
    with process:
        out, words, late = _converse(process, given, patience.whole.total_seconds())
    said = words.decode("utf-8", "replace")
    return eager.Answered(out, said, process.returncode, late, _offers(said))


def _converse(process: subprocess.Popen[bytes], given: bytes, seconds: float) -> tuple[bytes, bytes, bool]:
    """Give it its input and take what it prints on both outputs, for so long and so much; whether it was late. Not
    `communicate`, which takes whatever there is."""
    assert process.stdin
    assert process.stdout
    assert process.stderr
    until, rest = time.monotonic() + seconds, memoryview(given)
    said = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    out, words = said.values()
    with selectors.DefaultSelector() as ways:
        ways.register(process.stdin, selectors.EVENT_WRITE)
        for output in (process.stdout, process.stderr):
            ways.register(output, selectors.EVENT_READ)
        while ways.get_map():
            left = until - time.monotonic()
            if left <= 0 or len(out) + len(words) > eager.MOST:
                process.kill()
                return bytes(out), bytes(words) + (b"" if left <= 0 else f"\n{eager.TOO_MUCH}".encode()), left <= 0
            for key, _ in ways.select(left):
                if key.fd in said:
                    said[key.fd] += (part := os.read(key.fd, 65536))
                    if not part:
                        ways.unregister(key.fileobj)
                    continue
                try:
                    rest = rest[os.write(key.fd, rest[: select.PIPE_BUF]) :]
                except BrokenPipeError:
                    rest = rest[:0]
                if not rest:
                    ways.unregister(key.fileobj)
                    process.stdin.close()
    return bytes(out), bytes(words), False


def _options(province: Province, patience: Patience) -> list[str]:
    """A connection of its own, so that the handshake is seen; -vv only for what the host's sshd offers."""
    way = connection(province)
    options = [
        "BatchMode=yes",
        "ClearAllForwardings=yes",
        "ControlPath=none",
        "ControlMaster=no",
        "UpdateHostKeys=no",
        "PreferredAuthentications=publickey",
        "GSSAPIAuthentication=no",
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={way.user_known_hosts}",
        f"IdentityFile={ssh_path(way.key_file)}",
        f"ConnectTimeout={max(1, round(patience.connect.total_seconds()))}",
        "ServerAliveInterval=15",
        "ServerAliveCountMax=3",
    ]
    file = ["-F", str(way.config_file)] if way.config_file else []
    return [*file, "-vv", "-T", "-l", province.operator, *(word for option in options for word in ("-o", option))]


def _offers(said: str) -> dict[str, str]:
    """The algorithms of the host's KEXINIT (RFC 4253, 7.1), as ssh -vv writes it down."""
    _, _, theirs = said.partition("peer server KEXINIT proposal")
    found = re.findall(r"debug2: ([A-Za-z ]+): (\S*)", theirs)
    offers: dict[str, str] = {}
    for words, value in found:
        if words in _OFFERS:
            offers.setdefault(_OFFERS[words], value)
    return offers


def _reason(code: int, said: str) -> str:
    """One sentence on why there is no answer."""
    plain = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith(("debug", "OpenSSH_"))]
    low = "\n".join(plain).lower()
    for word, reason in _REASONS:
        if word in low:
            return reason
    return f"ssh ended with {code}: {harmless(plain[-1])[:300] if plain else 'no reason given'}"
