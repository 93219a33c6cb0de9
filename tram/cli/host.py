"""`tram host`: act on one host at a time, or on many at once."""

from __future__ import annotations

import typer

from tram.cli.i18n import _

app = typer.Typer(no_args_is_help=True, help=_("Take over bare hosts."))


@app.callback()
def group() -> None:
    """Keep `bootstrap` a sub-command even while it is the only one."""
