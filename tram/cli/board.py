"""`tram board`: serve the board, and its local accounts."""

from __future__ import annotations

import sys
from getpass import getpass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from tram.cli.i18n import _
from tram.core.errors import BadInput
from tram_board.access import Person
from tram_board.people import make_person, remove_account
from tram_board.province import read_register
from tram_board.settings import read_settings

SERVE_EXAMPLES = """\
Example:

  tram board serve --settings /etc/tram/board/board.toml"""
PERSON_EXAMPLES = """\
Examples:

  tram board person truc --role operator --settings /etc/tram/board/board.toml

  tram board person vanthu --role viewer --site huong-khe < password.txt"""
_DEFAULT = Path("/etc/tram/board/board.toml")

app = typer.Typer(no_args_is_help=True, help=_("The board an operator opens every morning."))

File = Annotated[Path, typer.Option("--settings", metavar="FILE", help=_("The board's settings: board.toml."))]


@app.command("serve", help=_("Serve the board; TLS is nginx's, before it."), epilog=SERVE_EXAMPLES)
def serve(settings: File = _DEFAULT) -> None:
    """Serve until ended."""
    from tram_board.serving import serve as run  # noqa: PLC0415 a whole web server: not for an account

    run(read_settings(settings))


@app.command("person", help=_("Make a local account, or give one a new password."), epilog=PERSON_EXAMPLES)
def person(
    name: Annotated[str, typer.Argument(metavar="NAME", help=_("The account's name: a post, not a person's."))],
    *,
    role: Annotated[str, typer.Option("--role", help=_("operator sees everything; viewer one site and below."))] = "",
    site: Annotated[str | None, typer.Option("--site", help=_("The viewer's site."))] = None,
    remove: Annotated[bool, typer.Option("--remove", help=_("Take the account away."))] = False,
    settings: File = _DEFAULT,
) -> None:
    """Ask for the password (or read it from standard input) and write the account down."""
    read = read_settings(settings)
    if remove:
        remove_account(read.accounts, name)
        Console(highlight=False).print(escape(_("{name} can no longer log in").format(name=name)))
        return
    known = [one.code for one in read_register(read.register).sites]
    password = _asked() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    make_person(read.folder, known, Person(name, role, site), password)
    Console(highlight=False).print(escape(_("{name} can log in").format(name=name)))


def _asked() -> str:
    first = getpass(_("Password: "))
    if first != getpass(_("Again: ")):
        raise BadInput("the two are not the same", hint="nothing was changed")
    return first
