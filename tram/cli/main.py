"""`tram`: joins the sub-commands, prints errors once, picks the exit code."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from tram.cli.i18n import _
from tram.core.errors import TramError

# Name: what is run (its module's Typer or function), and its help in the list. An operator at an old machine waits for
# what a command needs, not for what all of them need together (Ansible, pyinfra, SQLAlchemy, spreadsheets …).
COMMANDS = {
    "demo": (
        "tram.cli.demo:demo",
        "Provision the province in a box and prove its mail: lab up, bootstrap, every role, every verify play.",
    ),
    "deliver": ("tram.cli.deliver:deliver", "Deliver a playbook and print how each host ended."),
    "lab": ("tram.cli.lab:app", "The province in a box: real Debian hosts behind emulated WAN links."),
    "sites": ("tram.cli.sites:app", _("The site register: who is where, on which link, with which hosts.")),
    "host": ("tram.cli.host:app", _("Take over bare hosts.")),
    "rollout": ("tram.cli.rollout:app", _("Take a change through the province in waves, on evidence.")),
    "stage": ("tram.cli.stage:app", _("Have what the next wave needs near its hosts before their window opens.")),
    "status": ("tram.cli.status:status", _("How the province is now, on one screen; the exit code says it, too.")),
    "board": ("tram.cli.board:app", _("The board an operator opens every morning.")),
    "runs": ("tram.cli.runs:app", _("What was delivered to whom, how far it is, how it ended.")),
    "accounts": ("tram.cli.accounts:app", _("People's accounts: from rosters into the directory.")),
    "documents": ("tram.cli.documents:app", _("Documents: the practice as code, and who has what in hand.")),
    "harden": ("tram.cli.harden:app", _("Harden hosts, and take single controls back.")),
    "audit": ("tram.cli.audit:audit", _("Where each host stands against the security baselines; changes nothing.")),
    "hardware": ("tram.cli.hardware:app", _("Aging hardware: what a disk's reading means, what to replace first.")),
    "metrics": (
        "tram.cli.metrics:app",
        _("What the centre knows of hosts, as metrics: deliveries and the baseline."),
    ),
    "antivirus": ("tram.cli.antivirus:app", _("Antivirus: what is in effect on each host.")),
    "outbreak": (
        "tram.cli.outbreak:app",
        _("An outbreak: make a signature, publish it, follow it, see findings."),
    ),
    "backup": ("tram.cli.backup:app", _("Backups: what there is, whether it is whole, bringing it back.")),
    "replace": ("tram.cli.rebuild:replace", _("A dead host's work on a new machine: roles, backup, proof, its place.")),
    "drill": ("tram.cli.drill:app", _("Drills: show that what must work one day does work.")),
    "courier": (
        "tram.cli.courier:app",
        _("A USB stick goes where the line does not: pack at the centre, load and return at the site, unpack here."),
    ),
}


def load_command(name: str) -> Any:
    """The command of that name, its module imported now."""
    module, attribute = COMMANDS[name][0].split(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        command: Any = typer.main.get_group(found)
    else:
        alone = typer.Typer(add_completion=False)
        alone.command(epilog=getattr(sys.modules[module], "EXAMPLES", None))(found)
        command = typer.main.get_command(alone)
    command.name = name
    return command


class Lazy(TyperGroup):
    """Lists every command, loads the one that is run (or completed)."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The name, command and remaining arguments that `args` mean."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name in COMMANDS else command, rest


app = typer.Typer(
    name="tram",
    cls=Lazy,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Provision, harden and watch a province's servers, over bad links and on old machines.",
)


def _listed() -> None:
    """Stands in the list of commands; `Lazy` runs the real one."""


for _name, (_where, _text) in COMMANDS.items():
    app.command(_name, help=_text)(_listed)


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 failed, 2 bad input or unable machine, 130 interrupted."""
    try:
        app()
    except TramError as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"[bold red]error:[/] {escape(error.message)}")
        if error.hint:
            console.print(f"[bold]hint:[/]  {escape(error.hint)}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
