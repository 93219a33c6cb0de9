"""Log in on a connection, run commands over it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import BinaryIO, Self

import paramiko

from tram.act.outcome import LoginRefused, NotReached
from tram.act.target import Target

PING_EVERY = timedelta(seconds=15)
"""How often we ask whether the host is still there."""

SILENCE = timedelta(minutes=2)
"""How long a host may owe an answer: as long as Ansible waits (ansible.cfg), a shorter cut is no failure."""

MAX_KEYS = 5
"""sshd hangs up after six tries (MaxAuthTries); one is kept for the password."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in and with what: keys are tried in their order, after the password when there is one."""

    user: str
    keys: tuple[paramiko.PKey, ...]
    password: str | None = None

    def __repr__(self) -> str:
        return f"Login({self.user!r})"  # never the password, in no traceback either


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command on a host ended with and printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def last_words(self) -> str:
        """The last line it printed, which is where programs say why they failed."""
        return next(iter(reversed((self.stdout + "\n" + self.stderr).strip().splitlines())), f"exit {self.code}")


class Session:
    """A logged-in connection. Use it with `with`: it is closed at the end."""

    def __init__(self, target: Target, transport: paramiko.Transport, user: str) -> None:
        self.target = target
        self.transport = transport
        self.user = user
        Thread(target=_watch, args=(transport,), daemon=True).start()

    def run(self, command: str, *, stdin: str = "", within: timedelta = timedelta(minutes=1)) -> Answer:
        """Run a shell command to its end; `stdin` is what it reads.

        Raises: NotReached when it prints nothing for `within`, the host falls silent, or the connection breaks.
        """
        output = BytesIO()
        return replace(self.save(command, output, stdin=stdin, within=within), stdout=_text(output.getvalue()))

    def save(self, command: str, file: BinaryIO, *, stdin: str = "", within: timedelta) -> Answer:
        """Run a shell command and write what it prints to `file` as it comes; the answer's `stdout` stays empty.

        Raises: NotReached as `run` does.
        """
        errors = BytesIO()
        try:
            with self.transport.open_session(timeout=SILENCE.total_seconds()) as channel:
                channel.settimeout(within.total_seconds())
                channel.exec_command(command)
                with suppress(OSError):  # it may end without reading everything; how it ended says more
                    channel.sendall(stdin.encode())
                    channel.shutdown_write()
                for read, sink in ((channel.recv, file), (channel.recv_stderr, errors)):
                    while block := read(65536):
                        sink.write(block)
                if not channel.status_event.wait(SILENCE.total_seconds()) or channel.exit_status == -1:
                    raise EOFError
                return Answer(channel.exit_status, "", _text(errors.getvalue()))
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise NotReached(
                f"{self.target.name}: the connection broke in the middle of the work",
                hint="run this again when the line is back: it goes on where it stopped",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.transport.close()


def _watch(transport: paramiko.Transport) -> None:
    """Close a connection on which the host owes an answer for too long: all that waits on it then ends, too.

    paramiko itself would wait for ever. The keepalive beside it makes a proxy command notice that its line is gone.
    """
    transport.set_keepalive(round(PING_EVERY.total_seconds()))
    while transport.is_active():
        ping = Thread(target=_ping, args=(transport,), daemon=True)
        ping.start()
        ping.join(SILENCE.total_seconds())
        if ping.is_alive():
            transport.sock.close()
            transport.close()
        transport.join(PING_EVERY.total_seconds())


def _ping(transport: paramiko.Transport) -> None:
    with suppress(paramiko.SSHException, EOFError, OSError):  # it was closed: who uses it is told
        transport.global_request("keepalive@openssh.com", wait=True)


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


def log_in(target: Target, transport: paramiko.Transport, login: Login) -> Session:
    """A session as `login.user`; the connection is closed when nothing we have is accepted.

    Raises: LoginRefused, NotReached.
    """
    try:
        if any(_tries(transport, login)):
            return Session(target, transport, login.user)
    except (EOFError, OSError, paramiko.SSHException) as error:
        transport.close()
        raise NotReached(f"{target.name}: the connection broke while logging in", hint="run this again") from error
    transport.close()
    tried = [*(["the password"] if login.password is not None else []), f"{len(login.keys[:MAX_KEYS])} key(s)"]
    raise LoginRefused(
        f"{target.name}: {login.user} is not let in with {' nor '.join(tried)}",
        hint="give root's password with --password-file or --ask-password, or load root's key into your ssh agent",
    )


def _tries(transport: paramiko.Transport, login: Login) -> Iterator[bool]:
    if login.password is not None:
        yield _let_in(transport, partial(transport.auth_password, login.user, login.password))
    for key in login.keys[:MAX_KEYS]:
        if not transport.is_active():  # sshd hangs up when it has seen enough
            return
        yield _let_in(transport, partial(transport.auth_publickey, login.user, key))


def _let_in(transport: paramiko.Transport, attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except paramiko.AuthenticationException as error:
        if "timeout" in str(error):  # no answer is not a refusal
            raise TimeoutError from error
    return transport.is_authenticated()


def read_keys(paths: Iterable[Path]) -> list[paramiko.PKey]:
    """The private keys in these files; those that are missing, encrypted or of an unknown kind are left out.

    Encrypted keys are the agent's business.
    """
    keys = []
    for path in paths:
        with suppress(OSError, ValueError, TypeError, paramiko.SSHException, paramiko.pkey.UnknownKeyType):
            keys.append(paramiko.PKey.from_path(path))
    return keys
