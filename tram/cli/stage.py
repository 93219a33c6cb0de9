"""`tram stage`: what the next wave needs is near its hosts before their window opens."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from tram.act.key import CentreKey, load_key
from tram.act.stage import Plan, Tell, stage
from tram.act.staging import Limits
from tram.act.wheels import Shelf, fill_folder, fill_shelf
from tram.bundle.packages import packages_of
from tram.bundle.runtime import pack_of
from tram.cli.i18n import _
from tram.cli.rollout_words import clock, size
from tram.cli.stage_view import plain_staged, print_staged
from tram.core.canonical import digest
from tram.core.errors import BadInput
from tram.delivery.memory import runtime
from tram.ledger import open_ledger, utc_now
from tram.register import Host, Province, Site, load
from tram.rollout.policy import Policy, load_policy
from tram.rollout.targets import Targets, find_playbook, targets
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
    parallel: Annotated[int, typer.Option(min=1, max=64, help=_("How many hosts at once."))] = 8,
) -> None:
    """Work out what the hosts lack, fetch it to the hub, then to the sites' caches in their quiet hours."""
    province, policy = load(inventory), load_policy(inventory)
    playbook = find_playbook(stack)
    found = targets(playbook, province)
    hosts, title = _chosen(province, stack, found, policy, limit or [], every=every)
    key = centre_key(province)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if not hosts:
        console.print(_("No wave is left to stage for."))
        return
    with console.status(_("Reading roles")):
        packages = packages_of(playbook, province, [host for _site, host in hosts], secrets=province.secrets_dir)
        built = runtime()
        whole = pack_of(built.files, built.files)
        parts = {built.base.sha256: built.base.path.read_bytes(), digest(whole): whole}
    plan = Plan(
        hosts, packages, parts, _limits(hosts, policy, max_bytes, now=now or dry_run), dry=dry_run, parallel=parallel
    )
    plan = replace(plan, limits={code: one and replace(one, dry=dry_run) for code, one in plan.limits.items()})
    with _progress(console, quiet=as_json) as tell:
        staged = stage(province, plan, key, tell)
    if as_json:
        typer.echo(json.dumps(plain_staged(staged, stack, title, dry=dry_run), ensure_ascii=False, indent=1))
    else:
        opens = policy.quiet.opens(utc_now(), policy.utc_offset)
        print_staged(Console(highlight=False), staged, title, dry=dry_run, opens=clock(opens))
    if not staged.ready and not dry_run:
        raise typer.Exit(1)


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


def centre_key(province: Province) -> CentreKey:
    """The centre's key.

    Raises: BadInput when it was never made.
    """
    key = load_key(province.secrets_dir, f"tram@{province.code}")
    if key is None:
        name = province.hub_host.inventory_name
        raise BadInput("the centre has no key yet", hint=f"take the hub over first: tram host bootstrap {name}")
    return key


def _chosen(
    province: Province, stack: str, found: Targets, policy: Policy, limit: Sequence[str], *, every: bool
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
    name = Path(stack).stem if stack.endswith((".yml", ".yaml")) else stack
    coming = next_wave(open_ledger(province.code), name, found, policy)
    return coming.hosts, _("wave {number}").format(number=coming.number)


def _limits(
    hosts: Sequence[tuple[Site, Host]], policy: Policy, max_bytes: int | None, *, now: bool
) -> dict[str, Limits | None]:
    """What each site's line may carry now; the hub has no line."""
    here = utc_now()
    open_now = policy.quiet.opens(here, policy.utc_offset) == here
    limits: dict[str, Limits | None] = {}
    for site, _host in hosts:
        if site.link is None:
            limits[site.code] = Limits()
        elif now or open_now:
            until: datetime | None = None if now else policy.quiet.closes(here, policy.utc_offset)
            limits[site.code] = Limits(max_bytes or policy.link(site.link.link_class).stage_bytes, until)
        else:
            limits[site.code] = None
    return limits


@contextmanager
def _progress(console: Console, *, quiet: bool) -> Iterator[Tell]:
    """A bar for each cache."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TextColumn("{task.fields[file]}"))
    with Progress(*columns, console=console, disable=quiet, transient=True) as bars:
        tasks = {}

        def tell(place: str, fetched: int, of: int, file: str) -> None:
            if place not in tasks:
                tasks[place] = bars.add_task(place, file="")
            bars.update(tasks[place], completed=fetched, total=of, file=file[:40])

        yield tell
