"""`tram stage`: what the next wave needs is near its hosts before their window opens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tram.act.stage import Staged
from tram.act.wheels import Shelf, fill_folder, fill_shelf
from tram.cli.i18n import _
from tram.cli.rollout_words import clock, size
from tram.cli.stage_view import plain_staged, print_staged
from tram.cli.staging import Order, carry_out, centre_key, stood_tonight
from tram.cli.timers import Install, print_or_install
from tram.core.errors import BadInput, TramError
from tram.ledger import HostRow, Ledger, Outcome, open_ledger, utc_now
from tram.register import Host, Province, Site, load
from tram.rollout.conductor import GOES_ON
from tram.rollout.policy import Policy, load_policy
from tram.rollout.targets import Targets, find_playbook, targets
from tram.rollout.timer import each_night, make_units
from tram.rollout.upcoming import next_wave

app = typer.Typer(
    no_args_is_help=True, help=_("Have what the next wave needs near its hosts before their window opens.")
)

EXAMPLES = (
    _("Examples:")
    + """

  tram stage wave mail

  tram stage wave mail --limit huong-khe --dry-run

  tram stage wave base -i inventories/ha-tinh --all --max-bytes 200000000 --json

"""
    + _("Ends with 0 when all is there (with --dry-run: always), 1 when something has yet to come, 2 for wrong input.")
)
NIGHT_EXAMPLES = (
    _("Examples:")
    + """

  tram stage night

  tram stage night mail --json

"""
    + _("Whoever is ready is not asked again before the next night. Each host is in the ledger: tram runs.")
)
TIMER_EXAMPLES = (
    _("Examples:")
    + """

  tram stage timer -i inventories/ha-tinh

  tram stage timer mail -i inventories/ha-tinh --install

"""
    + _("As root for the whole machine, otherwise for your account. Without --install it only prints them.")
)
WHEELS_EXAMPLES = (
    _("Examples:")
    + """

  tram stage wheels requirements/documents.txt --suite bookworm

  tram stage wheels requirements/documents.txt --suite trixie --dry-run

  pip install --index-url https://mirror.tinh.example:8443/wheels/simple --require-hashes -r documents.txt

"""
    + _("Ends with 0 when every wheel is there, 1 when one is not to be had, 2 for wrong input.")
)

FILES_EXAMPLES = (
    _("Examples:")
    + """

  tram stage files build/npm npm

  tram stage files build/npm npm --dry-run --json"""
)

Inventory = Annotated[Path, typer.Option("--inventory", "-i", metavar="DIR", help=_("The province's folder."))]
DryRun = Annotated[bool, typer.Option("--dry-run", help=_("Only say what would be fetched, and how much."))]
AsJson = Annotated[bool, typer.Option("--json", help=_("Print the results as JSON."))]
Stacks = Annotated[list[str] | None, typer.Argument(metavar="[STACK]...", help=_("Also the first wave of these."))]
Parallel = Annotated[int, typer.Option(min=1, max=64, help=_("How many hosts at once."))]
LAB = Path("inventories/lab")


@app.command("wave", help=_("Packages, signatures and runtime for the next wave of a stack."), epilog=EXAMPLES)
def wave(
    stack: Annotated[str, typer.Argument(metavar="STACK", help=_("A playbook's name, such as mail."))],
    *,
    inventory: Inventory = LAB,
    limit: Annotated[
        list[str] | None, typer.Option("--limit", "-l", metavar="HOST", help=_("This host, or site; may be repeated."))
    ] = None,
    every: Annotated[bool, typer.Option("--all", help=_("Every host of the stack, not only the next wave."))] = False,
    now: Annotated[bool, typer.Option("--now", help=_("Use the lines also outside of quiet hours."))] = False,
    max_bytes: Annotated[
        int | None, typer.Option("--max-bytes", min=1, metavar="N", help=_("The most that comes to a site, in bytes."))
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    parallel: Parallel = 8,
) -> None:
    """Work out what the hosts lack, fetch it to the hub, then to the sites' caches in their quiet hours."""
    province, policy, ledger = _opened(inventory)
    playbook = find_playbook(stack)
    found = targets(playbook, province)
    hosts, title = _chosen(stack, found, policy, ledger, limit or [], every=every)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if not hosts:
        console.print(_("No wave is left to stage for."))
        return
    order = Order(_name(stack), playbook, hosts, max_bytes, now=now, dry=dry_run, parallel=parallel)
    staged = carry_out(province, policy, ledger, order, console, quiet=as_json)
    if as_json:
        typer.echo(json.dumps(plain_staged(staged, stack, title, dry=dry_run), ensure_ascii=False, indent=1))
    else:
        _show(policy, staged, title, dry=dry_run)
    if not staged.ready and not dry_run:
        raise typer.Exit(1)


@app.command("night", help=_("The next wave of every rollout under way: what a timer calls."), epilog=NIGHT_EXAMPLES)
def night(
    stacks: Stacks = None,
    *,
    inventory: Inventory = LAB,
    as_json: AsJson = False,
    parallel: Parallel = 8,
) -> None:
    """Stage whoever is not ready yet this night; what goes wrong with one stack does not stop another."""
    province, policy, ledger = _opened(inventory)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    said, ready = [], True
    for stack, playbook in _under_way(ledger, stacks or []).items():
        try:
            found = targets(playbook, province)
            coming = next_wave(ledger, stack, found, policy)
            hosts, left = _due(coming.hosts, stood_tonight(ledger, policy, stack))
            ready &= not left
            title = _("{stack}, wave {number}").format(stack=stack, number=coming.number)
            if not hosts:
                text = _("{what}: the rest is over the cap.") if left else _("{what}: nothing is left to stage.")
                console.print(text.format(what=title), markup=False)
                continue
            order = Order(stack, playbook, hosts, parallel=parallel)
            staged = carry_out(province, policy, ledger, order, console, quiet=True)
        except TramError as problem:
            ready = False
            console.print(f"{stack}: {problem.message}", markup=False)
            continue
        ready &= staged.ready
        said.append(plain_staged(staged, stack, title, dry=False))
        if not as_json:
            _show(policy, staged, title, dry=False)
    if as_json:
        typer.echo(json.dumps(said, ensure_ascii=False, indent=1))
    if not ready:
        raise typer.Exit(1)


@app.command("timer", help=_("Let this machine stage by itself, each night."), epilog=TIMER_EXAMPLES)
def timer(
    stacks: Stacks = None,
    *,
    inventory: Inventory = LAB,
    install: Install = False,
) -> None:
    """Print the two units that call `tram stage night` in the lines' quiet hours, or put them in place."""
    for stack in stacks or []:
        find_playbook(stack)
    province, policy = load(inventory), load_policy(inventory)
    print_or_install(
        make_units(province, each_night(province, policy, stacks or []), project=Path.cwd()), install=install
    )


@app.command("wheels", help=_("Python packages by exact version and hash, for hosts to install from the hub."),
             epilog=WHEELS_EXAMPLES)  # fmt: skip
def wheels(
    requirements: Annotated[
        Path, typer.Argument(metavar="REQUIREMENTS", help=_("A file of name==version with --hash."))
    ],
    *,
    inventory: Inventory = LAB,
    suite: Annotated[str, typer.Option("--suite", metavar="NAME", help=_("Debian release of the hosts."))] = "bookworm",
    find_links: Annotated[
        list[Path] | None, typer.Option("--find-links", metavar="DIR", help=_("Take wheels from this folder, too."))
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Fetch at the centre, check every hash, put on the hub's mirror with an index pip can read."""
    province = load(inventory)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with console.status(_("Fetching")):
        shelf = fill_shelf(province, centre_key(province), requirements, suite, beside=find_links or [], dry=dry_run)
    _show_shelf(shelf, as_json=as_json)


@app.command("files", help=_("The files of a folder, below /wheels/NAME/ of the hub's mirror."), epilog=FILES_EXAMPLES)
def files(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help=_("Where the files are."))],
    name: Annotated[str, typer.Argument(metavar="NAME", help=_("What hosts know the folder by."))],
    *,
    inventory: Inventory = LAB,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Put on the hub's mirror what no index has."""
    province = load(inventory)
    _show_shelf(fill_folder(province, centre_key(province), folder, name, dry=dry_run), as_json=as_json)


def _show_shelf(shelf: Shelf, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_plain_shelf(shelf), ensure_ascii=False, indent=1))
        return
    text = _("{count} files, {all}; {sent} sent to the hub.")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(text.format(count=len(shelf.files), all=size(sum(shelf.files.values())), sent=size(shelf.sent)))
    typer.echo(shelf.url)


def _plain_shelf(shelf: Shelf) -> dict[str, object]:
    return {"url": shelf.url, "files": shelf.files, "bytes": sum(shelf.files.values()), "sent": shelf.sent}


def _opened(inventory: Path) -> tuple[Province, Policy, Ledger]:
    province, policy = load(inventory), load_policy(inventory)
    return province, policy, open_ledger(province.code)


def _name(stack: str) -> str:
    """The stack's name, of a name or a path."""
    return Path(stack).stem if stack.endswith((".yml", ".yaml")) else stack


def _show(policy: Policy, staged: Staged, title: str, *, dry: bool) -> None:
    opens = policy.quiet.opens(utc_now(), policy.utc_offset)
    print_staged(Console(highlight=False), staged, title, dry=dry, opens=clock(opens))


def _under_way(ledger: Ledger, stacks: Sequence[str]) -> dict[str, Path]:
    """The playbooks by stack: of the rollouts that `tram rollout resume` goes on with, then of those named."""
    found = {
        row.stack: Path(ledger.show(row.run).run.playbook)
        for row in reversed(ledger.rollouts.newest())
        if row.state in GOES_ON
    }
    return found | {_name(stack): find_playbook(stack) for stack in stacks if _name(stack) not in found}


def _due(hosts: Sequence[tuple[Site, Host]], stood: Mapping[str, HostRow]) -> tuple[list[tuple[Site, Host]], bool]:
    """Who is to be staged now, and whether somebody waits for another night."""
    now, left, due = utc_now(), False, []
    for pair in hosts:
        row = stood.get(pair[1].inventory_name)
        later = row is not None and row.next_try is not None and row.next_try > now
        left |= later
        if not later and (row is None or row.outcome is not Outcome.DONE):
            due.append(pair)
    return due, left


def _chosen(
    stack: str, found: Targets, policy: Policy, ledger: Ledger, limit: Sequence[str], *, every: bool
) -> tuple[tuple[tuple[Site, Host], ...], str]:
    """The hosts, and what they are called together."""
    if limit:
        for name in limit:
            if not any(name in (site.code, host.inventory_name) for site, host in found.hosts):
                names = ", ".join(host.inventory_name for _site, host in found.hosts)
                raise BadInput(f"{name}: is no host or site that {stack} is for", hint=f"there are: {names}")
        chosen = [pair for pair in found.hosts if pair[0].code in limit or pair[1].inventory_name in limit]
        return tuple(chosen), ", ".join(limit)
    if every:
        return found.hosts, _("all hosts")
    coming = next_wave(ledger, _name(stack), found, policy)
    return coming.hosts, _("wave {number}").format(number=coming.number)
