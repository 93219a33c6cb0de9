"""`tram harden`: the baseline onto hosts, what stands where, and single controls taken back or put on again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tram.cli.deliver import deliver
from tram.cli.harden_plan import (
    LOOKS,
    Recorded,
    Waiver,
    add_waivers,
    checked,
    drop_waivers,
    find_controls,
    find_hosts,
    records,
    waived,
)
from tram.cli.i18n import _, both
from tram.core.errors import BadInput
from tram.look import look_at_all
from tram.register import Host, Province, load
from tram.register.host_vars import change_controls_off, controls_off
from tram_audit.loading import Rules, load_rules

app = typer.Typer(no_args_is_help=True, help=_("Harden hosts, and take single controls back."))

PLAYBOOK = "harden"
_COMMENT = "Taken back by `tram harden undo`; `tram harden redo` puts them on again."
_EXAMPLES = _("Examples:")
_ENDS = _("Ends with 0 when all are done, 1 when one failed or was not reached, 2 for wrong input.")

Inventory = Annotated[Path, typer.Option("--inventory", "-i", metavar="DIR", help=_("The province's folder."))]
Security = Annotated[Path, typer.Option("--security", metavar="DIR", help=_("The folder of baselines and waivers."))]
Controls = Annotated[list[str], typer.Argument(metavar="CONTROL...", help=_("Ids of controls in security/baselines."))]
OneHost = Annotated[str, typer.Option("--host", metavar="HOST", help=_("The host, by its name in the register."))]
Check = Annotated[bool, typer.Option("--check", help=_("Only say what would change."))]
Push = Annotated[bool, typer.Option("--push", help=_("Plain Ansible, task by task over the line."))]
AsJson = Annotated[bool, typer.Option("--json", help=_("Print the results as JSON."))]
LAB, SECURITY = Path("inventories/lab"), Path("security")


@app.command(
    "apply",
    help=_("Deliver the hardening playbook to hosts and print how each ended."),
    epilog=f"{_EXAMPLES}\n\n  tram harden apply\n\n  tram harden apply --limit huong-khe --check\n\n{_ENDS}",
)
def apply(
    *,
    inventory: Inventory = LAB,
    limit: Annotated[
        list[str] | None, typer.Option("--limit", "-l", metavar="HOST", help=_("This host, or site; may be repeated."))
    ] = None,
    check: Check = False,
    push: Push = False,
    as_json: AsJson = False,
) -> None:
    """`tram deliver harden`, to all hosts when none is named."""
    deliver(PLAYBOOK, inventory=inventory, limit=limit, every=not limit, check=check, push=push, as_json=as_json)


@app.command(
    "status",
    help=_("Which controls are on and off on each host, by its own records; changes nothing."),
    epilog=f"{_EXAMPLES}\n\n  tram harden status\n\n  tram harden status --host huong-khe-srv1 --json\n\n"
    + _("Ends with 0 when every host could be asked, 1 otherwise, 2 for wrong input."),
)
def status(
    *,
    inventory: Inventory = LAB,
    host: Annotated[
        list[str] | None, typer.Option("--host", metavar="HOST", help=_("Only this host; may be repeated."))
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask hosts for the records of role `control`."""
    province = load(inventory)
    every = [one for site in province.sites for one in site.hosts]
    rows = ask(province, find_hosts(province, host) if host else every)
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        _show(rows)
    if any(row["known"] is False for row in rows):
        raise typer.Exit(1)


@app.command(
    "undo",
    help=_("Take controls back on a host: what stood before them is put back exactly."),
    epilog=f"{_EXAMPLES}\n\n  tram harden undo kernel-ptrace --host huong-khe-srv1\n\n"
    "  tram harden undo ssh-kex --host huong-khe-srv1 --owner 'Trưởng phòng CNTT' --reason 'máy in cũ' "
    "--until 2027-03-31"
    f"\n\n{_ENDS}",
)
def undo(
    controls: Controls,
    *,
    host: OneHost,
    inventory: Inventory = LAB,
    security: Security = SECURITY,
    owner: Annotated[str, typer.Option("--owner", help=_("Of the waiver: the post that answers for it."))] = "",
    reason: Annotated[str, typer.Option("--reason", help=_("Of the waiver: why it cannot be met now."))] = "",
    until: Annotated[
        str, typer.Option("--until", metavar="DAY", help=_("Of the waiver: the last day it counts (2027-03-31)."))
    ] = "",
    check: Check = False,
    push: Push = False,
    as_json: AsJson = False,
) -> None:
    """Write `control_off` of the host, and a waiver when one is given; deliver; say what was put back."""
    province, rules, meant, codes = _meant(inventory, security, host, controls, undoing=True)
    waiver = checked(Waiver(owner, reason, until))
    change = change_controls_off(inventory, host, add=codes, comment=_COMMENT)
    _say(_("{file}: {key}: {codes}").format(file=change.path, key="control_off", codes=", ".join(change.off)))
    if not check:
        if waiver:
            missing = [code for code in codes if not waived(rules, code, host)]
            if missing:
                path = add_waivers(security, province.code, host, missing, waiver)
                _say(_("{file}: waived until {day}: {codes}").format(file=path, day=until, codes=", ".join(missing)))
        change.write()
    due = [code for code in codes if not waiver and not waived(rules, code, host)]
    if due:
        words = _("a waiver is due, without it the audit fails: {codes} (--owner, --reason, --until)")
        _say(words.format(codes=", ".join(due)))
    if not check:
        _deliver(province, rules, meant, codes, inventory=inventory, push=push, as_json=as_json)


@app.command(
    "redo",
    help=_("Put controls on again that were taken back on a host."),
    epilog=f"{_EXAMPLES}\n\n  tram harden redo kernel-ptrace --host huong-khe-srv1\n\n{_ENDS}",
)
def redo(
    controls: Controls,
    *,
    host: OneHost,
    inventory: Inventory = LAB,
    security: Security = SECURITY,
    check: Check = False,
    push: Push = False,
    as_json: AsJson = False,
) -> None:
    """Take the controls out of `control_off` of the host, and the host out of their waivers; deliver."""
    province, rules, meant, codes = _meant(inventory, security, host, controls, undoing=False)
    off = controls_off(inventory, host)
    if unknown := [code for code in codes if code not in off]:
        hint = f"off there: {', '.join(off)}" if off else "none is off there"
        raise BadInput(f"{host}: {', '.join(unknown)} is not taken back in its host_vars", hint=hint)
    change = change_controls_off(inventory, host, remove=codes)
    left = ", ".join(change.off) or "–"
    _say(_("{file}: {key}: {codes}").format(file=change.path, key="control_off", codes=left))
    if check:
        return
    change.write()
    if dropped := drop_waivers(security, province.code, host, codes):
        words = _("waivers that are not needed any more are gone: {codes}")
        _say(words.format(codes=", ".join(dropped)))
    _deliver(province, rules, meant, codes, inventory=inventory, push=push, as_json=as_json)


def _meant(
    inventory: Path, security: Path, host: str, controls: Sequence[str], *, undoing: bool
) -> tuple[Province, Rules, Host, list[str]]:
    """What an operator's words name: province and rules, checked, the host in them, the ids of the controls."""
    province, rules = load(inventory), load_rules(security)
    codes = [one.id for one in find_controls(rules, controls, undoing=undoing)]
    [meant] = find_hosts(province, [host])
    return province, rules, meant, codes


def ask(province: Province, hosts: Sequence[Host]) -> list[dict[str, Any]]:
    """For each host, by its own records, what is on and off; `wanted_off` is what the centre asks for."""
    rows = []
    for host, looked in zip(hosts, look_at_all(province, hosts, LOOKS), strict=True):
        name = host.inventory_name
        wanted = list(controls_off(province.folder, name))
        found = records(looked)
        if found is None:
            seen = looked.seen.get("records")
            why = looked.error or (seen.ended or f"exit {seen.code}" if seen else "") or "it did not say"
            rows.append({"host": name, "known": False, "why": why, "wanted_off": wanted})
            continue
        rows.append(
            {
                "host": name,
                "known": True,
                "on": [one.control for one in found if not one.off],
                "off": [one.control for one in found if one.off],
                "wanted_off": wanted,
                "recorded": {one.control: {"since": one.at, "things": sorted(one.things)} for one in found},
            }
        )
    return rows


def _deliver(
    province: Province,
    rules: Rules,
    host: Host,
    codes: Sequence[str],
    *,
    inventory: Path,
    push: bool,
    as_json: bool,
) -> None:
    """The playbook to this host; then, from the host's own records, what became of the controls."""
    name, ended = host.inventory_name, 0
    try:
        deliver(PLAYBOOK, inventory=inventory, limit=[name], push=push, as_json=as_json)
    except typer.Exit as problem:
        ended = problem.exit_code
    if ended:
        _say(_("{host}: what was decided is written down; the next delivery carries it out").format(host=name))
        raise typer.Exit(ended)
    [looked] = look_at_all(province, [host], LOOKS)
    found = {one.control: one for one in records(looked) or []}
    for code in codes:
        _say(_became(name, code, found.get(code), rules.controls[code].title.vi))


def _became(host: str, code: str, record: Recorded | None, title: str) -> str:
    if record is None:
        return _("{host}: {code} ({title}) has no record: nothing of it was changed here").format(
            host=host, code=code, title=title
        )
    things = ", ".join(sorted(record.things)) or "–"
    if record.off:
        return _("{host}: {code} ({title}) is put back: {things}").format(
            host=host, code=code, title=title, things=things
        )
    return _("{host}: {code} ({title}) is on: {things}").format(host=host, code=code, title=title, things=things)


def _show(rows: Sequence[dict[str, Any]]) -> None:
    table = Table()
    for heading in (both("Host"), both("On"), both("Taken back"), both("Not carried out yet")):
        table.add_column(heading)
    for row in rows:
        if not row["known"]:
            unknown = both("Unknown")
            table.add_row(row["host"], f"[yellow]{unknown}[/]", escape(row["why"]), "")
            continue
        pending = [code for code in row["wanted_off"] if code in row["on"]]
        pending += [code for code in row["off"] if code not in row["wanted_off"]]
        table.add_row(row["host"], str(len(row["on"])), ", ".join(row["off"]) or "–", ", ".join(pending) or "–")
    Console(highlight=False).print(table)


def _say(text: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(escape(text))
