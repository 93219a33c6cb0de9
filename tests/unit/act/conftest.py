"""A small host that speaks ssh on loopback: enough of one to be taken over, with a key that can change.

It simulates the wire and the logins, not Debian: what operator.sh does on a real host is proved in the lab.
"""

from __future__ import annotations

import shlex
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tram.act.bootstrap import Entry, bootstrap_host
from tram.act.come import come
from tram.act.connect import FirstContact
from tram.act.key import CentreKey, make_key
from tram.act.session import Session
from tram.act.target import Target

STEPS = ("account", "sudo", "key")


def new_key(folder: Path, name: str = "host_key") -> paramiko.PKey:
    """A fresh ed25519 key, as ssh-keygen -A makes one."""
    path = folder / name
    path.write_bytes(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return paramiko.Ed25519Key.from_private_key_file(str(path))


class SimulatedHost:
    """sshd with root's password, and an operator once operator.sh came; `commands` is what it was told to run."""

    def __init__(self, *keys: paramiko.PKey, password: str = "root's own") -> None:
        self.keys = keys
        self.password = password
        self.operator: tuple[str, str] | None = None
        self.operator_sudo = True
        self.script_error = ""
        self.hangs_up_on = ""
        self.falls_silent_on = ""
        self.broken_greetings = 0
        self.programs: dict[str, tuple[int, str, str]] = {}
        self.commands: list[str] = []
        self.logins: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.transports: list[paramiko.Transport] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self.listener.accept()
                if self.broken_greetings:
                    self.broken_greetings -= 1
                    line.sendall(b"SSH-2.0-broken\r\n" + b"\xff" * 16)
                    continue
                transport = paramiko.Transport(line)
                for key in self.keys:
                    transport.add_server_key(key)
                self.transports.append(transport)
                transport.start_server(event=threading.Event(), server=Seat(self, transport))

    def close(self) -> None:
        self.listener.close()
        for transport in self.transports:
            transport.close()

    def answer(self, user: str, command: str, stdin: bytes) -> tuple[int, str, str]:
        """Exit code, standard output and error of a command."""
        words = shlex.split(command)
        if words[:2] == ["sudo", "-n"]:
            if not self.operator_sudo:
                return 1, "", "sudo: a password is required\n"
            words, user = words[2:], "root"
        if words[:3] == ["sh", "-s", "--"] and user == "root":
            assert stdin.rstrip().endswith(b'main "$@" </dev/null')
            if self.script_error:
                return 1, "", self.script_error + "\n"
            due = () if self.operator else STEPS
            if words[3] == "apply":
                self.operator = (words[4], words[5].split()[1])
            return 0, "".join(f"change {step}\n" for step in due), ""
        if words[0] in self.programs:
            return self.programs[words[0]]
        return 0, "packed" if words[-1].startswith("journalctl") else "", ""


class Seat(paramiko.ServerInterface):
    """One connection to the host."""

    def __init__(self, host: SimulatedHost, transport: paramiko.Transport) -> None:
        self.host = host
        self.transport = transport
        self.user = ""

    def get_allowed_auths(self, username: str) -> str:
        return "password,publickey"

    def check_auth_password(self, username: str, password: str) -> int:
        return self._let(username, username == "root" and password == self.host.password)

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return self._let(username, self.host.operator == (username, key.get_base64()))

    def _let(self, username: str, good: bool) -> int:
        self.user = username
        if good:
            self.host.logins.append(username)
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._run, args=(channel, command.decode()), daemon=True).start()
        return True

    def _run(self, channel: paramiko.Channel, command: str) -> None:
        self.host.commands.append(command)
        if self.host.hangs_up_on and self.host.hangs_up_on in command:
            self.transport.close()
            return
        if self.host.falls_silent_on and self.host.falls_silent_on in command:
            # As when the line is cut: nobody hangs up, nothing comes any more.
            self.transport.packetizer.send_message = lambda _message: None
            return
        stdin = channel.makefile("rb").read()
        code, out, err = self.host.answer(self.user, command, stdin)
        channel.sendall(out.encode())
        channel.sendall_stderr(err.encode())
        channel.send_exit_status(code)
        channel.close()


@pytest.fixture
def simulate(tmp_path: Path) -> Iterator[Callable[..., SimulatedHost]]:
    """Start a simulated host; give it host keys, or it makes one ed25519."""
    hosts: list[SimulatedHost] = []

    def start(*keys: paramiko.PKey) -> SimulatedHost:
        hosts.append(SimulatedHost(*(keys or (new_key(tmp_path, f"host_key_{len(hosts)}"),))))
        return hosts[-1]

    yield start
    for host in hosts:
        host.close()


@pytest.fixture
def centre_key(tmp_path: Path) -> CentreKey:
    """The centre's key pair, in a secrets folder of this test alone."""
    return make_key(tmp_path / "secrets", "tram@test")


@pytest.fixture
def aim(tmp_path: Path) -> Callable[..., Target]:
    """A target that points at a port of this machine, its pins in this test's folder."""

    def target(port: int, name: str = "huong-khe-srv1", **more: object) -> Target:
        return Target(name=name, address="127.0.0.1", operator="tram", pins=tmp_path / "known_hosts", port=port, **more)  # type: ignore[arg-type]

    return target


@pytest.fixture
def hub(simulate: Callable[..., SimulatedHost]) -> SimulatedHost:
    """A hub that answers as it is told (`programs`)."""
    return simulate()


@pytest.fixture
def session(hub: SimulatedHost, aim: Callable[..., Target], centre_key: CentreKey) -> Session:
    """The centre, logged in at the hub."""
    target = aim(hub.port, "hub1")
    bootstrap_host(target, Entry(password=hub.password, agent=False, first=FirstContact(accept_new=True)), centre_key)
    return come(target, centre_key)
