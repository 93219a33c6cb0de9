"""`tram host`: act on one host at a time, or on many at once."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from tram.act.bootstrap import Entry, bootstrap
from tram.act.connect import FirstContact
from tram.act.key import load_key, make_key
from tram.act.outcome import (
    HostResult,
    IdentityChanged,
    IdentityUnknown,
    LoginRefused,
    NotReached,
    Outcome,
    StepFailed,
)
from tram.act.password import read_password
from tram.act.target import targets
from tram.cli.i18n import _, both
from tram.core.errors import BadInput
from tram.delivery.returned import forget
from tram.register import load

app = typer.Typer(no_args_is_help=True, help=_("Take over bare hosts."))

STEPS = {
    "identity": _("pin host key"),
    "packages": _("install packages"),
    "account": _("make operator account"),
    "sudo": _("grant sudo"),
    "key": _("put in centre's key"),
}
REASONS = {
    NotReached: _("no answer: the line may be down"),
    IdentityUnknown: _("never seen before: compare its fingerprint first"),
    IdentityChanged: _("its identity changed: nothing was sent to it"),
    LoginRefused: _("it does not let us in"),
    StepFailed: _("a step ended with an error"),
}
OUTCOMES = {
    Outcome.DONE: ("green", both("done")),
    Outcome.FAILED: ("red", both("failed")),
    Outcome.NOT_REACHED: ("yellow", both("not reached")),
}
EXAMPLES = (
    _("Examples:")
    + """

  tram host bootstrap trung-tam-hub1 --inventory inventories/lab

  tram host bootstrap --all -i inventories/ha-tinh --password-file /root/first-password --accept-new

  tram host bootstrap huong-khe-srv1 -i inventories/ha-tinh --ask-password --fingerprint SHA256:…

"""
    + _("Ends with 0 when every host is done, 1 when one failed or was not reached, 2 for wrong input.")
)


@app.callback()
def group() -> None:
    """Keep `bootstrap` a sub-command even while it is the only one."""


@app.command("bootstrap", help=_("Make bare hosts managed ones: operator account, key, sudo."), epilog=EXAMPLES)
def bootstrap_hosts(
    hosts: Annotated[list[str] | None, typer.Argument(help=_("Names of hosts, as in the register."))] = None,
    *,
    inventory: Annotated[Path, typer.Option("--inventory", "-i", help=_("The province's folder."))] = Path(
        "inventories/lab"
    ),
    every: Annotated[bool, typer.Option("--all", help=_("Every host of the province."))] = False,
    user: Annotated[str, typer.Option(help=_("Whom to come as: root, or an account with sudo."))] = "root",
    password_file: Annotated[
        Path | None, typer.Option(help=_("File with that account's password; only its owner may read it."))
    ] = None,
    ask_password: Annotated[bool, typer.Option("--ask-password", "-k", help=_("Ask for the password."))] = False,
    accept_new: Annotated[
        bool, typer.Option("--accept-new", help=_("Pin hosts never seen before without comparing fingerprints."))
    ] = False,
    fingerprint: Annotated[
        str, typer.Option(metavar="SHA256:…", help=_("Fingerprint read at the console of the one host."))
    ] = "",
    parallel: Annotated[int, typer.Option(min=1, max=64, help=_("How many hosts at once."))] = 8,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=_("Only say what would change."))] = False,
    as_json: Annotated[bool, typer.Option("--json", help=_("Print the results as JSON."))] = False,
) -> None:
    """Bootstrap the hosts and print how each one ended."""
    province = load(inventory)
    chosen = targets(province, hosts or [], every=every)
    first = first_contact(fingerprint, accept_new=accept_new)
    if fingerprint and len(chosen) != 1:
        raise BadInput(f"--fingerprint is one host's, and {len(chosen)} were named", hint="name one host at a time")
    if password_file and ask_password:
        raise BadInput("--password-file and --ask-password are two ways for one thing", hint="keep one of them")
    password = read_password(password_file) if password_file else None
    if ask_password:
        password = typer.prompt(_("Password of {user}").format(user=user), hide_input=True, err=True)
    entry = Entry(
        user=user,
        password=password,
        agent=not province.lab,
        first=first,
        dry_run=dry_run,
    )
    owner = f"tram@{province.code}"
    key = (load_key if dry_run else make_key)(province.secrets_dir, owner)
    screen = Console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
        bar = progress.add_task(_("Taking over"), total=len(chosen))
        results = bootstrap(
            chosen,
            entry,
            key,
            parallel=parallel,
            ended=lambda _result: progress.advance(bar),
            afresh=lambda name: forget(province.secrets_dir, name),
        )
    if as_json:
        typer.echo(json.dumps([_plain(result) for result in results], ensure_ascii=False, indent=2))
    else:
        _show(results, dry_run=dry_run)
    if any(result.outcome is not Outcome.DONE for result in results):
        raise typer.Exit(1)


def first_contact(fingerprint: str, *, accept_new: bool) -> FirstContact:
    """What the operator gave to vouch for a machine.

    Raises: BadInput.
    """
    if fingerprint and not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", fingerprint):
        raise BadInput(
            f"--fingerprint {fingerprint}: is no SHA256 fingerprint",
            hint="it reads SHA256: and 43 letters (ssh-keygen -l)",
        )
    return FirstContact(fingerprint, accept_new)


def _plain(result: HostResult) -> dict[str, Any]:
    problem = result.problem
    return {
        "host": result.name,
        "address": result.address,
        "outcome": result.outcome.value,
        "changes": list(result.changes),
        "fingerprint": result.fingerprint,
        "problem": {"kind": type(problem).__name__, "message": problem.message, "hint": problem.hint}
        if problem
        else None,
    }


def _show(results: Sequence[HostResult], *, dry_run: bool) -> None:
    console = Console(highlight=False)
    table = Table(title=_("What would change") if dry_run else None)
    for header in (both("Host"), both("Address"), both("Outcome"), both("What happened")):
        table.add_column(header, overflow="fold")
    for result in results:
        colour, word = OUTCOMES[result.outcome]
        table.add_row(result.name, result.address, f"[{colour}]{word}[/]", escape(_happened(result)))
    console.print(table)
    for result in results:
        if result.problem:
            console.print(f"[bold red]error:[/] {escape(result.problem.message)}", soft_wrap=True)
            console.print(f"[bold]hint:[/]  {escape(result.problem.hint)}", soft_wrap=True)
    if any(result.outcome is Outcome.DONE for result in results) and not dry_run:
        console.print(_("Root's own access was left as it was: closing it is hardening's business."))


def _happened(result: HostResult) -> str:
    if result.problem:
        return next((text for kind, text in REASONS.items() if isinstance(result.problem, kind)), "")
    return ", ".join(STEPS.get(step, step) for step in result.changes) or _("nothing to do")
