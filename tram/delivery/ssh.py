"""The carrier for a line: OpenSSH's own client, asked for the smallest handshake that is safe."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from tram.core.errors import TramError
from tram.core.run import run
from tram.delivery.line import Barred, Line, LineLost, NoRunner
from tram.delivery.policy import Policy
from tram.register import Host, Province
from tram.register.connection import connection, ssh_path

RUNNER = "/usr/local/sbin/tram-site"
COURIER = "/usr/local/sbin/tram-courier"
EXCHANGE = f"sudo -n {RUNNER} exchange"

# One name of each kind instead of OpenSSH's dozens: 9.6 kB of handshake become 5.4 kB. They are in every OpenSSH of
# Debian and in what hardening guides leave; a host that has none of them is asked again with the full lists.
_LEAN = (
    "KexAlgorithms=curve25519-sha256@libssh.org",
    "Ciphers=chacha20-poly1305@openssh.com",
    "MACs=hmac-sha2-256-etm@openssh.com",
    "PubkeyAcceptedAlgorithms=ssh-ed25519",
    "CASignatureAlgorithms=ssh-ed25519",
)
_NOT_AGREED = ("no matching", "unable to negotiate", "no mutual signature")
_BARRED = (
    "permission denied",
    "host key verification failed",
    "remote host identification has changed",
    "too many authentication failures",
    "a password is required",
    "is not in the sudoers file",
)
_NO_RUNNER = ("command not found", "no such file or directory", "not found")
_HINTS = {
    "host key verification failed": "pin it first: tram host bootstrap; if it is pinned, the host has another key now",
    "permission denied": "take it over first: tram host bootstrap",
    "a password is required": "its operator lost sudo: tram host bootstrap --user root",
}


class SshCarrier:
    """One host by ssh. Its sessions share a connection (ControlMaster) for `policy.linger`, but for fresh ones."""

    def __init__(self, province: Province, host: Host, policy: Policy) -> None:
        self.host = host
        self.policy = policy
        self._way = connection(province)
        self._operator = province.operator
        self._lean = True

    def open(self, *, fresh: bool = False) -> Line:
        """A session with the host's runner."""
        return self._line(EXCHANGE, fresh=fresh)

    def install(self) -> Line:
        """A session with a Python program that is read from the session's own beginning."""
        return self._line(INSTALLER, fresh=False)

    def courier(self, verb: str, seconds: int) -> Line:
        """A session with `tram-courier`: a tar file goes in, one comes out."""
        return self._line(f"sudo -n {COURIER} {verb} - {seconds}", fresh=False)

    def _line(self, command: str, *, fresh: bool) -> Line:
        shared = None if fresh or not self.policy.linger else self._shared
        alone = fresh or shared is None or not shared.exists()
        argv = ["ssh", *self._options(shared), str(self.host.address), command]
        environment = {name: value for name, value in os.environ.items() if name not in ("LANG", "LANGUAGE")}
        environment = {name: value for name, value in environment.items() if not name.startswith("LC_")}
        patience = self.policy.connect + self.policy.answer
        return Line(argv, patience=patience, fresh=alone, env=environment, translate=self._meaning)

    def _options(self, shared: Path | None) -> Sequence[str]:
        way, policy = self._way, self.policy
        words = [
            *(("-F", str(way.config_file)) if way.config_file else ()),
            *("-T", "-l", self._operator),
        ]
        options = [
            "BatchMode=yes",
            "ClearAllForwardings=yes",
            "Compression=yes",
            "LogLevel=ERROR",
            "UpdateHostKeys=no",
            "PreferredAuthentications=publickey",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={way.user_known_hosts}",
            f"IdentityFile={ssh_path(way.key_file)}",
            f"ConnectTimeout={max(1, round(policy.connect.total_seconds()))}",
            f"ServerAliveInterval={max(1, round(policy.alive_every.total_seconds()))}",
            f"ServerAliveCountMax={policy.alive_count}",
            *((*_LEAN, f"HostKeyAlgorithms={self._pinned}") if self._lean else ()),
            f"ControlPath={ssh_path(shared) if shared else 'none'}",
            f"ControlMaster={'auto' if shared else 'no'}",
            *((f"ControlPersist={max(1, round(policy.linger.total_seconds()))}",) if shared else ()),
        ]
        return [*words, *(word for option in options for word in ("-o", option))]

    @cached_property
    def _shared(self) -> Path | None:
        """The socket of this host's shared connection; None where its path would be too long for a socket."""
        base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"tram-{os.getuid()}"
        base.mkdir(mode=0o700, exist_ok=True)
        found = base.stat()
        if found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise Barred(f"{base} is not ours alone", hint="remove it; connections are left open in there")
        what = f"{self._way.config_file} {self._way.known_hosts} {self._operator} {self.host.address}"
        path = base / hashlib.sha256(what.encode()).hexdigest()[:24]
        return path if len(os.fsencode(path)) < 88 else None  # ssh adds 17 while it makes it; the kernel allows 108

    @cached_property
    def _pinned(self) -> str:
        """The host's certificate where there is an authority, and the kind of key that is pinned for the host: to offer
        any other costs bytes and ends in a refusal."""
        found = run(["ssh-keygen", "-F", str(self.host.address), "-f", self._way.known_hosts], check=False).stdout
        kinds = [line.split()[1] for line in found.splitlines() if line and not line.startswith(("#", "@"))]
        first = "ssh-ed25519" if "ssh-ed25519" in kinds or not kinds else kinds[0]
        plain = "rsa-sha2-512" if first == "ssh-rsa" else first
        return f"ssh-ed25519-cert-v01@openssh.com,{plain}" if self._way.authority.exists() else plain

    def _meaning(self, code: int, words: str, *, anything: bool) -> TramError:
        """Which of our errors the end of an ssh is."""
        said = [line for line in words.splitlines() if "unable to resolve host" not in line]  # sudo, about itself
        name, last, words = self.host.inventory_name, said[-1] if said else f"ssh ended with {code}", "\n".join(said)
        low = words.lower()
        if self._lean and any(word in low for word in _NOT_AGREED):
            self._lean = False
            return LineLost(f"{name}: it speaks none of the short list of methods; asked again with all of them")
        for word in _BARRED:
            if word in low and not anything:
                return Barred(f"{name}: {last}", hint=_HINTS.get(word, "see docs/runbooks: a site does not answer"))
        if not anything and code != 255 and (code == 127 or any(word in low for word in _NO_RUNNER)):
            return NoRunner(f"{name}: has no runner yet", hint=f"tram deliver --install --limit {name}")
        if not anything and code != 255 and words:
            return Barred(
                f"{name}: its runner does not start: {last}", hint="look at it: tram deliver --install sets it up anew"
            )
        return LineLost(f"{name}: {last}" if code == 255 and words else f"{name}: the connection broke")


# Reads its own source from the front of its input, then goes on with the rest. No shell word of it is data.
INSTALLER = 'sudo -n python3 -I -c "import sys;exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"'
