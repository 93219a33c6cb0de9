"""`timer` of a command that systemd may call by itself: its units on paper, or in place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tram.cli.i18n import _
from tram.core.errors import BadInput
from tram.rollout.timer import Units, install_units, unit_folder

Install = Annotated[bool, typer.Option("--install", help=_("Write the units for systemd, and start them."))]


def print_or_install(units: Units, *, install: bool) -> None:
    """Print the units, or write and start them and say so."""
    folder = unit_folder()
    if not install:
        for suffix, text in (("service", units.service), ("timer", units.timer)):
            typer.echo(f"# {folder}/{units.name}.{suffix}\n{text}")
        return
    for path in install_units(units, folder):
        typer.echo(path)
    typer.echo(_("{name}.timer is on; what it does: journalctl -u {name}").format(name=units.name))
    if folder.is_relative_to(Path.home()):
        typer.echo(_("It runs while you are logged in; also without: loginctl enable-linger"))


def figures_place(file: Path, *, install: bool) -> str:
    """Where a timer is to write its figures, as its unit names it.

    Raises: BadInput when it is to be installed and there is no such folder.
    """
    if install and not file.absolute().parent.is_dir():
        raise BadInput(
            f"{file.absolute().parent}: no such folder",
            hint="apt install prometheus-node-exporter, or --metrics FILE",
        )
    return str(file.absolute())
