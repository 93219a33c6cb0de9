"""The one family of errors an operator is meant to read."""

from __future__ import annotations


class TramError(Exception):
    """Something an operator can understand and act on.

    `message` says what and where in one sentence; `hint` says what to do next. Only `tram.cli` prints it and picks the
    exit code: `exit_code` is 1 for a failure of the work itself, 2 for bad input or a machine that cannot do it.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadInput(TramError):
    """What the operator gave (a file, an argument) is wrong; nothing was changed."""

    exit_code = 2


class NotCapable(TramError):
    """This machine lacks something the work needs; nothing was changed."""

    exit_code = 2


class ProgramFailed(TramError):
    """An outside program ended with an error, or did not end in time."""
