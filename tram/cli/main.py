"""`tram`: joins the sub-commands, prints errors once, picks the exit code."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.markup import escape

from tram.cli import courier, deliver, host, lab, rollout, runs, sites
from tram.cli.demo import demo
from tram.core.errors import TramError

app = typer.Typer(
    name="tram",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Provision, harden and watch a province's servers, over bad links and on old machines.",
)
app.command()(demo)
app.command(epilog=deliver.EXAMPLES)(deliver.deliver)
app.add_typer(lab.app, name="lab")
app.add_typer(sites.app, name="sites")
app.add_typer(host.app, name="host")
app.add_typer(rollout.app, name="rollout")
app.add_typer(runs.app, name="runs")
app.add_typer(courier.app, name="courier")


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
