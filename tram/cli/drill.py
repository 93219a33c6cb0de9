"""`tram drill`: restores proven month by month, and drills for people on the lab."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tram.act.certificate import proven
from tram.cli.backup import LAB, AsJson, Inventory
from tram.cli.i18n import _, both, language
from tram.cli.rebuild import ENDS, PROOFS, Proofs, Spare
from tram.cli.rebuild import drill as restore
from tram.cli.timers import Install, print_or_install
from tram.core.errors import BadInput, TramError
from tram.lab.drill import Drill, Language, Stage, drills, play, stage
from tram.lab.lab import open_lab
from tram.register import load
from tram.rollout.proving import first_due, turns
from tram.rollout.timer import Call, make_units

app = typer.Typer(no_args_is_help=True, help=_("Drills: show that what must work one day does work."))
_EXAMPLES = _("Examples:")
Count = Annotated[int, typer.Option(min=1, metavar="N", help=_("At most so many hosts in one night."))]

app.command(
    "restore",
    help=_("Rebuild a host from its backup on a spare machine, prove it, sign that, and empty the spare."),
    epilog=f"{_EXAMPLES}\n\n  tram drill restore huong-khe --spare huong-khe-srv2\n\n{ENDS}",
)(restore)


@app.command("due", help=_("Whose restore is to be proven when, and who is overdue; ends with 1 when anybody is."),
             epilog=f"{_EXAMPLES}\n\n  tram drill due\n\n  tram drill due --json")  # fmt: skip
def due(*, inventory: Inventory = LAB, out: Proofs = PROOFS, as_json: AsJson = False) -> None:
    """By the certificates the centre has signed: docs/runbooks/backup-old.md."""
    province, now = load(inventory), datetime.now(UTC)
    found = turns(province, proven(province, out), now)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], default=str, indent=1))
    else:
        table = Table()
        for heading in (both("Host"), both("Wave"), both("Turn"), both("Last proven"), both("State")):
            table.add_column(heading, no_wrap=True)
        for one in found:
            state = both("overdue") if one.overdue else both("due") if one.due else both("done this month")
            last = f"{one.proven:%Y-%m-%d}" if one.proven else both("never")
            table.add_row(one.host, str(one.wave), f"{one.day:%Y-%m-%d}", last, state)
        Console(highlight=False).print(table)
    if any(one.overdue for one in found):
        raise typer.Exit(1)


@app.command("night", help=_("Prove the restore of whose turn it is: what a timer calls."),
             epilog=f"{_EXAMPLES}\n\n  tram drill night --spare trung-tam-spare\n\n{ENDS}")  # fmt: skip
def night(*, spare: Spare, inventory: Inventory = LAB, out: Proofs = PROOFS, count: Count = 1) -> None:
    """One after another on the one spare; one that fails is named, and the next is tried."""
    province = load(inventory)
    failed = 0
    for host in first_due(turns(province, proven(province, out), datetime.now(UTC)), count):
        try:
            # Nobody is there to read a fingerprint; a lab's spare is a new one each time.
            restore(host, spare=spare, inventory=inventory, out=out, accept_new=province.lab)
        except TramError as error:
            failed += 1
            Console(stderr=True, highlight=False, soft_wrap=True).print(f"{host}: {error.message}", markup=False)
    if failed:
        raise typer.Exit(1)


@app.command("timer", help=_("Let this machine prove restores night by night."),
             epilog=f"{_EXAMPLES}\n\n  tram drill timer --spare trung-tam-spare --install\n\n{ENDS}")  # fmt: skip
def timer(
    *,
    spare: Spare,
    inventory: Inventory = LAB,
    count: Count = 1,
    install: Install = False,
) -> None:
    """Print the two units that call `tram drill night`, or put them in place."""
    province = load(inventory)
    call = Call(
        f"tram-drill-{province.code}",
        "drill night",
        f"prove that the backups of {province.code} come back, each host's once a month",
        "each night",
        # When the night's backups have come (role backup) and been checked (tram backup timer).
        "OnCalendar=*-*-* 23:30:00 UTC\nRandomizedDelaySec=10min\n",
        arguments=("--spare", spare, "--count", str(count)),
        longest=timedelta(hours=20),
    )
    print_or_install(make_units(province, call, project=Path.cwd()), install=install)


def _for_people(name: str, drill: Drill) -> None:
    """Make a command of a drill."""
    tongue: Language = "en" if language(os.environ) == "en" else "vi"
    texts = drill.en if tongue == "en" else drill.vi

    def command(
        *,
        lab: Annotated[str | None, typer.Option("--lab", "-n", metavar="NAME", help=_("Which lab."))] = None,
        site: Annotated[str | None, typer.Option(metavar="SITE", help=_("Which site; default: the first."))] = None,
        pause: Annotated[bool, typer.Option(help=_("Wait for Enter before each step."))] = False,
        as_json: AsJson = False,
    ) -> None:
        _play(name, drill, stage(open_lab(lab), site), tongue, pause=pause, as_json=as_json)

    text = _("{name}: what happens, what to look at, what is expected. On the lab only.").format(name=texts.name)
    app.command(name, help=text, epilog=f"{_EXAMPLES}\n\n  tram drill {name} --pause\n\n  tram drill {name} --json")(
        command
    )


def _play(name: str, drill: Drill, where: Stage, tongue: Language, *, pause: bool, as_json: bool) -> None:
    """Each step in the operator's language and below it in the other; ends with 1 when a look was not as expected."""
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    other: Language = "vi" if tongue == "en" else "en"
    texts = {"vi": drill.vi, "en": drill.en}
    for one in (tongue, other):
        console.print(f"{texts[one].name}. {texts[one].story}", markup=False)

    def wait() -> None:
        if pause:
            console.input(_("Enter to go on … "))

    marks = {None: "→", True: "✓", False: "✗"}
    told: list[dict[str, object]] = []
    for seen in play(drill, where, wait):
        console.print(f"{marks[seen.held]} {seen.text[tongue]}\n  {seen.text[other]}", markup=False)
        if seen.step.look:
            console.print(f"  $ {seen.step.look.format(**where.names())}   [{seen.seconds:.0f} s]", markup=False)
        if seen.held is False:
            console.print(seen.printed.strip()[-500:], markup=False)
        told.append({"look": seen.step.look, "held": seen.held, "seconds": round(seen.seconds, 1),
                     "vi": seen.text["vi"], "en": seen.text["en"]})  # fmt: skip
    if as_json:
        typer.echo(json.dumps({"drill": name, "site": where.site.code, "steps": told}, ensure_ascii=False, indent=1))
    if any(one["held"] is False for one in told):
        raise typer.Exit(1)


for _name, _drill in drills().items():
    if _name in ("restore", "due", "night", "timer"):
        raise BadInput(f"drills.yml: {_name} is a command already")
    _for_people(_name, _drill)
