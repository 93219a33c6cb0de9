"""`tram deliver`: a playbook to hosts, over whatever the line is."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tram.cli.carrying import begin, carry, put_together
from tram.cli.deliver_view import View
from tram.cli.i18n import _, both
from tram.cli.rollout_words import STATES, add_columns, coloured, size
from tram.cli.runs import find_run
from tram.core.errors import BadInput, TramError
from tram.delivery.fallback import push as push_to
from tram.delivery.fallback import pushed
from tram.delivery.host import Delivered, Way, find_host, install_host
from tram.ledger import Job, Ledger, Outcome, open_ledger
from tram.register import Host, Province, load
from tram.rollout.targets import find_playbook, targets

EXAMPLES = (
    _("Examples:")
    + """

  tram deliver mail --all

  tram deliver playbooks/base.yml --limit huong-khe-srv1 --check

  tram deliver mail --all --inventory inventories/ha-tinh --no-wait

  tram deliver --install --limit huong-khe-srv1

  tram deliver --resume last

"""
    + _("Ends with 0 when all are done, 1 when one failed or was not reached, 2 for wrong input.")
)


def deliver(
    playbook: Annotated[str, typer.Argument(metavar="PLAYBOOK", help=_("A stack such as mail, or a file."))] = "",
    *,
    inventory: Annotated[
        Path, typer.Option("--inventory", "-i", metavar="DIR", help=_("The province's folder."))
    ] = Path("inventories/lab"),
    limit: Annotated[
        list[str] | None, typer.Option("--limit", "-l", metavar="HOST", help=_("This host, or site; may be repeated."))
    ] = None,
    every: Annotated[bool, typer.Option("--all", help=_("Every host the playbook is for."))] = False,
    check: Annotated[bool, typer.Option("--check", help=_("Only say what would change."))] = False,
    push: Annotated[bool, typer.Option("--push", help=_("Plain Ansible, task by task over the line."))] = False,
    install: Annotated[bool, typer.Option("--install", help=_("Put the runtime on the hosts first."))] = False,
    resume: Annotated[
        str, typer.Option("--resume", metavar="RUN", help=_("Go on with a run whose hosts are not all done."))
    ] = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help=_("Stay until the hosts have reported."))] = True,
    now: Annotated[bool, typer.Option("--now", help=_("In spite of the line's hours and cap."))] = False,
    parallel: Annotated[int, typer.Option(min=1, max=64, help=_("How many hosts at once."))] = 8,
    as_json: Annotated[bool, typer.Option("--json", help=_("Print the results as JSON."))] = False,
) -> None:
    """Deliver a playbook and print how each host ended."""
    province = load(inventory)
    ledger = open_ledger(province.code)
    screen = Console(stderr=True, highlight=False)
    with View(screen) as view:
        if install:
            chosen = _hosts(province, None, limit or [], every=every)
            _install(province, chosen, view)
            if not playbook and not resume:
                return
        if resume:
            jobs = _owed(ledger, province, find_run(ledger, resume))
            meant = [find_host(province, job.host)[1] for job in jobs]
            contents = {} if push else put_together(province, Path(jobs[0].playbook), meant, check=jobs[0].check)
        else:
            if not playbook:
                raise BadInput("which playbook?", hint="for example: tram deliver mail --all")
            file = find_playbook(playbook).resolve()
            meant = _hosts(province, file, limit or [], every=every)
            contents = {} if push else put_together(province, file, meant, check=check)
            jobs = begin(ledger, province, file, meant, check=check)
        if push:
            results = _push(ledger, jobs, view)
        else:
            way = Way(wait=wait, now_anyway=now)
            results = carry(ledger, province, jobs, view, contents=contents, way=way, parallel=parallel)
    if as_json:
        typer.echo(json.dumps([_plain(ledger, result) for result in results], ensure_ascii=False, indent=2))
    else:
        _show(ledger, results)
    if any(result.ended.outcome is not Outcome.DONE and not (result.unheard and not wait) for result in results):
        raise typer.Exit(1)


def _hosts(province: Province, playbook: Path | None, limit: Sequence[str], *, every: bool) -> list[Host]:
    """The hosts that are meant: of those the playbook is for (None: of all)."""
    if bool(limit) == every:
        raise BadInput("which hosts?", hint="name them with --limit, or say --all")
    known = [(site, host) for site in province.sites for host in site.hosts]
    meant = list(targets(playbook, province).hosts) if playbook else known
    if every:
        return [host for _site, host in meant]
    wanted = [name.strip() for text in limit for name in text.split(",") if name.strip()]
    names = {name for site, host in known for name in (site.code, host.inventory_name)}
    if unknown := [name for name in wanted if name not in names]:
        raise BadInput(f"{province.folder}: no host or site {', '.join(unknown)}", hint="tram sites list shows them")
    found = [host for site, host in meant if site.code in wanted or host.inventory_name in wanted]
    if not found:
        raise BadInput(f"{playbook} is not for {', '.join(wanted)}", hint="look at its hosts:, and at the register")
    return found


def _owed(ledger: Ledger, province: Province, run: str) -> list[Job]:
    """What is left of a run."""
    shown = ledger.show(run)
    folder = str(province.folder.resolve())
    left = [row for row in shown.hosts if row.outcome in (None, Outcome.NOT_REACHED)]
    if not left:
        raise BadInput(f"run {run}: every host has reported", hint=f"tram runs show {run}")
    playbook, check = shown.run.playbook, shown.run.kind == "check"
    return [Job(run, row.host, row.site, playbook, folder, ledger.url, check) for row in left]


def _push(ledger: Ledger, jobs: Sequence[Job], view: View) -> list[Delivered]:
    """All hosts in one plain Ansible run."""
    recap = push_to(jobs[0], [job.host for job in jobs], view.tell)
    results = [pushed(job, recap) for job in jobs]
    for result in results:
        ledger.finish(result.run, result.host, result.ended.outcome, result.ended.reason)
    return results


def _install(province: Province, hosts: Sequence[Host], view: View) -> None:
    """The runtime on each of these hosts; every one is tried before the first problem is told."""
    problems: list[TramError] = []
    lock = Lock()

    def one(host: Host) -> None:
        try:
            install_host(province, host.inventory_name, view.tell)
        except TramError as problem:
            with lock:
                problems.append(problem)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, hosts))
    for problem in problems[1:]:
        view.note(problem.message)
    if problems:
        raise problems[0]


def _plain(ledger: Ledger, result: Delivered) -> dict[str, Any]:
    """A result for machines."""
    found = asdict(result)
    ended = found.pop("ended")
    row = ledger.host(result.run, result.host)
    results = ledger.events(result.run, result.host, kind="result")
    return {
        **found,
        "outcome": str(ended["outcome"]),
        "state": str(row.state),
        "reason": ended["reason"],
        "next_try": ended["next_try"].isoformat() if ended["next_try"] else None,
        "stats": dict(results[-1].body.get("stats", {})) if results else None,
    }


# What of a reason has room in a table; the whole of it is in the ledger.
_REASON_LETTERS = 160


def _show(ledger: Ledger, results: Sequence[Delivered]) -> None:
    console = Console(highlight=False)
    table = Table(title=results[0].run if results else None)
    headings = (both("Host"), both("Outcome"), both("Sent / received"), both("Took"), both("Reason"))
    add_columns(table, *headings)
    for result in results:
        state = ledger.host(result.run, result.host).state
        word = coloured(STATES[state], lines=True)
        if result.unheard:
            word = f"[cyan]{both('running, not heard yet').replace(' · ', chr(10))}[/]"
        reason = textwrap.shorten(result.ended.reason, _REASON_LETTERS, placeholder=" …")
        if result.files:
            reason = f"{reason} {_('{count} files came back').format(count=len(result.files))}".strip()
        took = f"{result.seconds:.1f} s" if result.seconds else "–"
        carried = f"{size(result.sent)} / {size(result.received)}"
        table.add_row(result.host, word, carried, took, escape(reason))
    console.print(table)
    for result in results:
        if result.ended.outcome is Outcome.FAILED:
            next_step = _("what happened: tram runs show {run} --host {host}").format(run=result.run, host=result.host)
            console.print(f"[red]{result.host}[/]: {next_step}", soft_wrap=True)
    left = [result.host for result in results if result.ended.outcome is Outcome.NOT_REACHED and not result.unheard]
    if left:
        words = _("not reached yet: {hosts}; go on with: tram deliver --resume {run}")
        console.print(words.format(hosts=", ".join(left), run=results[0].run), soft_wrap=True)
