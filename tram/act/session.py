"""Log in on a connection, run commands over it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import paramiko

from tram.act.outcome import LoginRefused, NotReached
from tram.act.target import Target

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

    def run(self, command: str, *, stdin: str = "", within: timedelta = timedelta(minutes=1)) -> Answer:
        """Run a shell command to its end; `stdin` is what it reads.

        Raises: NotReached when the host falls silent for `within`, or the connection breaks.
        """
        with _Guarded(self, command, within) as channel:
            with suppress(OSError):  # it may end without reading everything; how it ended says more
                channel.sendall(stdin.encode())
                channel.shutdown_write()
            stdout = channel.makefile("rb").read()
            stderr = channel.makefile_stderr("rb").read()
            code = _exit_code(channel, within)
            return Answer(code, stdout.decode(errors="replace"), stderr.decode(errors="replace"))

    def save(self, command: str, file: BinaryIO, *, within: timedelta) -> Answer:
        """Run a shell command and write what it prints to `file`, as it comes.

        Raises: NotReached as `run` does.
        """
        with _Guarded(self, command, within) as channel:
            channel.shutdown_write()
            while block := channel.recv(65536):
                file.write(block)
            stderr = channel.makefile_stderr("rb").read()
            return Answer(_exit_code(channel, within), "", stderr.decode(errors="replace"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.transport.close()


def _exit_code(channel: paramiko.Channel, within: timedelta) -> int:
    if not channel.status_event.wait(within.total_seconds()) or channel.exit_status == -1:
        raise EOFError
    return channel.exit_status


class _Guarded:
    """A channel on which every way a link can break is one error."""

    def __init__(self, session: Session, command: str, within: timedelta) -> None:
        self.session = session
        self.command = command
        self.within = within

    def __enter__(self) -> paramiko.Channel:
        try:
            self.channel = self.session.transport.open_session(timeout=self.within.total_seconds())
            self.channel.settimeout(self.within.total_seconds())
            self.channel.exec_command(self.command)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise self._lost() from error
        return self.channel

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.channel.close()
        if isinstance(error, (paramiko.SSHException, EOFError, OSError)):
            raise self._lost() from error

    def _lost(self) -> NotReached:
        return NotReached(
            f"{self.session.target.name}: the connection broke in the middle of the work",
            hint="run this again when the line is back: it goes on where it stopped",
        )


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
