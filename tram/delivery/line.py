"""One open connection to a host's runner: a child process whose input and output are the conversation."""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import IO, Protocol, Self

from tram.core.errors import NotCapable, TramError

_PIECE_BYTES = 1 << 15
_LAST_WORDS_BYTES = 4096
_GOODBYE = timedelta(seconds=20)


class LineLost(TramError):
    """No connection, or the end of one in the middle of the work. Nothing is lost by trying again."""


class Barred(TramError):
    """The host answers but does not let us in, or is not the host we mean; trying again does not help."""


class NoRunner(TramError):
    """The host is reached and has no runner of ours."""


class Carrier(Protocol):
    """A way to a host's runner."""

    def open(self, *, fresh: bool = False) -> Line:
        """A connection to `tram-site exchange`; `fresh`: a new one of its own, nothing that was open before.

        Raises: LineLost, Barred.
        """
        ...

    def install(self) -> Line:
        """A connection to the installer (`tram.delivery.installer`) as root.

        Raises: LineLost, Barred; NotCapable where nothing can be installed this way.
        """
        ...


class Line:
    """Bytes there and back, counted. `fresh` says whether this connection was made for this conversation.

    Use it with `with`: the process is ended at the end. `patience` is how long `read` and `write` wait for the other
    end; whoever waits for something that takes its time sets it.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        patience: timedelta,
        fresh: bool = True,
        env: Mapping[str, str] | None = None,
        translate: Translate | None = None,
    ) -> None:
        self.fresh = fresh
        self.patience = patience
        self.sent = 0
        self.received = 0
        self._translate = translate or _plain
        # A file, not a pipe: a connection that is left open for others keeps its standard error.
        self._words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `close`)
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words, bufsize=0, env=env
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        self._early = bytearray()  # what came while we were writing

    def ready(self) -> bool:
        """Whether something can be read within `patience`: bytes, or the end."""
        return bool(self._early) or bool(select.select([self._out], [], [], self.patience.total_seconds())[0])

    def waiting(self) -> bool:
        """Whether something can be read without waiting."""
        return bool(self._early) or bool(select.select([self._out], [], [], 0)[0])

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes as they come.

        Raises: LineLost when the other end is gone, or silent for longer than `patience`.
        """
        if self._early:
            piece = bytes(self._early[:size])
            del self._early[:size]
            return piece
        if not self.ready():
            raise LineLost(f"nothing was heard for {self.patience.total_seconds():.0f} s")
        return self._take(size)

    def write(self, data: bytes, /) -> int:
        """Hand over all of `data`; the other end may talk meanwhile.

        Raises: LineLost when the other end is gone, or takes nothing for longer than `patience`; what it said before
        is in `unread`.
        """
        view = memoryview(data)
        while view:
            readable, writable, _ = select.select([self._out], [self._in], [], self.patience.total_seconds())
            if not readable and not writable:
                raise LineLost(f"nothing could be sent for {self.patience.total_seconds():.0f} s")
            if readable:
                self._early += self._take(_PIECE_BYTES)
            if writable:
                try:
                    done = os.write(self._in, view[:_PIECE_BYTES])
                except BlockingIOError:
                    continue
                except BrokenPipeError:
                    self._drain()
                    raise self._ended() from None
                self.sent += done
                view = view[done:]
        return len(data)

    def unread(self) -> bytes:
        """What came while we were writing, and was not read yet."""
        return bytes(self._early)

    def flush(self) -> None:
        """Nothing is held back here."""

    def read_all(self, limit: int) -> bytes:
        """Say that nothing more will be sent, and everything that comes until the other end is through.

        Raises: LineLost, also for more than `limit` bytes; what a failing program said is in it.
        """
        if self._process.stdin:
            self._process.stdin.close()
        found = bytearray()
        while piece := self._early or os.read(self._out, _PIECE_BYTES):
            found += piece
            self._early = bytearray()
            self.received = len(found)
            if len(found) > limit:
                raise LineLost(f"more than {limit} bytes came")
        if self._process.wait(_GOODBYE.total_seconds()) != 0:
            self.received = 0
            raise self._ended()
        return bytes(found)

    def finish(self) -> None:
        """Say that nothing more will be sent, and let what was sent get there."""
        with suppress(OSError, ValueError):
            if self._process.stdin:
                self._process.stdin.close()
        until = time.monotonic() + _GOODBYE.total_seconds()
        with suppress(LineLost):
            self.patience = _GOODBYE
            while time.monotonic() < until:
                self.read(_PIECE_BYTES)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.1, until - time.monotonic()))

    def close(self) -> None:
        """End the process, however it stands."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._words):
            with suppress(OSError, ValueError):
                if pipe:
                    pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, size: int) -> bytes:
        piece = os.read(self._out, size)
        if not piece:
            raise self._ended()
        self.received += len(piece)
        return piece

    def _drain(self) -> None:
        """Keep what the other end said before it hung up on us."""
        until = time.monotonic() + _GOODBYE.total_seconds()
        while select.select([self._out], [], [], max(0.0, until - time.monotonic()))[0]:
            piece = os.read(self._out, _PIECE_BYTES)
            if not piece:
                break
            self.received += len(piece)
            self._early += piece

    def _ended(self) -> TramError:
        """What the end of the process means."""
        try:
            code = self._process.wait(_GOODBYE.total_seconds())
        except subprocess.TimeoutExpired:
            code = 0
        self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, self._words.tell() - _LAST_WORDS_BYTES))
        words = self._words.read().decode(errors="replace").strip()
        return self._translate(code, words, anything=self.received > 0)


class Translate(Protocol):
    """What the end of a connection means: from exit code, last words, and whether anything was heard before."""

    def __call__(self, code: int, words: str, *, anything: bool) -> TramError: ...


def _plain(code: int, words: str, *, anything: bool) -> TramError:  # noqa: ARG001
    said = words.splitlines()[-1] if words else f"exit {code}"
    return LineLost(f"the connection ended: {said}")


class PipeCarrier:
    """A runner on this machine, over a pipe: for tests and for simulated sites. Each connection is a fresh one."""

    def __init__(self, argv: Sequence[str], *, patience: timedelta = timedelta(minutes=1)) -> None:
        self.argv = tuple(argv)
        self.patience = patience

    def open(self, *, fresh: bool = False) -> Line:  # noqa: ARG002
        """Start the runner."""
        return Line(self.argv, patience=self.patience)

    def install(self) -> Line:
        """A pipe installs nothing."""
        raise NotCapable("a runner over a pipe cannot be installed", hint="start it with its runtime in place")
