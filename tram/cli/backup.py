"""`tram backup`: what the hub has of each host, whether it is whole, and how it comes back."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tram.act.backup import Tampered, Wish, ask_hub, document_path, keeper, mailbox_path, passphrase, tell
from tram.act.backup import restore as bring_back
from tram.act.centre import root_keys, seal
from tram.act.come import come
from tram.act.target import targets
from tram.cli.i18n import _, both
from tram.cli.rollout_words import size
from tram.cli.staging import centre_key
from tram.cli.timers import Install, print_or_install
from tram.core.errors import BadInput, TramError
from tram.ledger import default_url
from tram.register import Host, Province, Site, load
from tram.rollout.policy import load_policy
from tram.rollout.timer import Call, behind_the_night, make_units

app = typer.Typer(no_args_is_help=True, help=_("Backups: what there is, whether it is whole, bringing it back."))

LAB = Path("inventories/lab")
_ENDS = _("Ends with 0, 1 when something failed or is missing, 2 for wrong input, when nothing was changed.")
_EXAMPLES = _("Examples:")

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[SITE|HOST]...", help=_("These only; default: all that are backed up."))
]
Inventory = Annotated[Path, typer.Option("--inventory", "-i", metavar="DIR", help=_("The province's folder."))]
AsJson = Annotated[bool, typer.Option("--json", help=_("Print the results as JSON."))]
DryRun = Annotated[bool, typer.Option("--dry-run", help=_("Only say what would be done."))]


@dataclass(frozen=True, slots=True)
class Told:
    """What the hub says of one host, or what is in the way."""

    host: str
    said: Any = None
    problem: TramError | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "host": self.host,
            "said": self.said,
            "tampered": isinstance(self.problem, Tampered),
            "error": self.problem.message if self.problem else None,
        }


@app.command("list", help=_("The archives of each host, with the services in them."),
             epilog=f"{_EXAMPLES}\n\n  tram backup list\n\n  tram backup list huong-khe --json\n\n{_ENDS}")  # fmt: skip
def list_(names: Names = None, *, inventory: Inventory = LAB, as_json: AsJson = False) -> None:
    """Ask the hub; the hosts need not be alive."""
    told = _ask(inventory, names or [], ["list"])
    if not as_json:
        table = _table(both("Host"), both("Archive"), both("Services"))
        for one in told:
            for archive in one.said or []:
                table.add_row(one.host, archive["name"], ", ".join(json.loads(archive["comment"] or "{}")))
        Console(highlight=False).print(table)
    _end(told, as_json=as_json)


@app.command("check", help=_("Whether every piece of each backup is whole, and nothing is missing that was there."),
             epilog=f"{_EXAMPLES}\n\n"
             f"  tram backup check\n\n  tram backup check huong-khe-srv1 --data\n\n{_ENDS}")  # fmt: skip
def check(
    names: Names = None,
    *,
    inventory: Inventory = LAB,
    data: Annotated[bool, typer.Option("--data", help=_("Decrypt every piece, too: hours for a large one."))] = False,
    as_json: AsJson = False,
) -> None:
    """Let the hub look at each repository."""
    told = _ask(inventory, names or [], ["check"], ["--data"] if data else [])
    if not as_json:
        table = _table(both("Host"), both("Archives"), both("Newest"))
        for one in told:
            if one.said:
                table.add_row(one.host, str(one.said["archives"]), one.said["newest"] or both("none"))
        Console(highlight=False).print(table)
    _end(told, as_json=as_json)


@app.command("prune", help=_("Forget old archives at the hub; refused where archives are missing."),
             epilog=f"{_EXAMPLES}\n\n"
             f"  tram backup prune --dry-run\n\n  tram backup prune huong-khe\n\n{_ENDS}")  # fmt: skip
def prune(names: Names = None, *, inventory: Inventory = LAB, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """By the numbers of role backup_hub."""
    told = _ask(inventory, names or [], ["prune"], ["--dry-run"] if dry_run else [])
    if not as_json:
        table = _table(both("Host"), both("Forgotten"), both("Kept"))
        for one in told:
            if one.said:
                table.add_row(one.host, str(len(one.said["pruned"])), str(len(one.said["left"])))
        Console(highlight=False).print(table)
    _end(told, as_json=as_json)


@app.command("night", help=_("Prune, then check, every backup: what a timer calls."),
             epilog=f"{_EXAMPLES}\n\n  tram backup night\n\n{_ENDS}")  # fmt: skip
def night(names: Names = None, *, inventory: Inventory = LAB, as_json: AsJson = False) -> None:
    """A host whose history is missing is neither pruned nor called whole."""
    told = _ask(inventory, names or [], ["prune"])
    whole = [one.host for one in told if one.problem is None]
    told = [one for one in told if one.problem] + (_ask(inventory, whole, ["check"]) if whole else [])
    if not as_json:
        for one in told:
            if one.said:
                said = _("{host}: {count} archives, whole").format(host=one.host, count=one.said["archives"])
                Console(highlight=False).print(said, markup=False)
    _end(told, as_json=as_json)


@app.command("seed", help=_("Take a host's first backup from a stick that is in the hub."),
             epilog=f"{_EXAMPLES}\n\n  tram-backup seed /media/usb                   (at the host, as root)\n\n"
             f"  tram backup seed huong-khe-srv1 --from /media/usb\n\n{_ENDS}")  # fmt: skip
def seed(
    host: Annotated[str, typer.Argument(metavar="HOST", help=_("Whose it is."))],
    *,
    stick: Annotated[str, typer.Option("--from", metavar="DIR", help=_("Where the stick is mounted at the hub."))],
    inventory: Inventory = LAB,
) -> None:
    """What would take an ADSL line weeks."""
    province = load(inventory)
    _hosts(province, [host])
    with come(targets(province, [keeper(province, host)])[0], centre_key(province)) as session:
        ask_hub(session, ["seed", host, "--from", stick], passphrase(province.secrets_dir, host))


@app.command("forget", help=_("After the hub went back to an older state: have hosts go on with that one."),
             epilog=f"{_EXAMPLES}\n\n  tram backup forget huong-khe\n\n{_ENDS}")  # fmt: skip
def forget(names: Names = None, *, inventory: Inventory = LAB) -> None:
    """Tell each host; who was not reached is named."""
    province = load(inventory)
    hosts = [host.inventory_name for _site, host in _hosts(province, names or [])]
    silent = tell(targets(province, hosts), centre_key(province))
    for name, why in silent.items():
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"{name}: {why}", markup=False)
    if silent:
        raise typer.Exit(1)


@app.command("centre", help=_("What only the centre has (secrets, register, ledger), closed for the safe's key."),
             epilog=f"{_EXAMPLES}\n\n  tram backup centre --to /media/usb --recipient age1…\n\n"
             + _("Opened by: age -d -i KEYFILE FILE | tar -xJf -") + f"\n\n{_ENDS}")  # fmt: skip
def centre(
    *,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help=_("Where the file goes: a stick, a share."))],
    recipient: Annotated[
        str, typer.Option(metavar="age1…", help=_("Public half of the key in the safe (age-keygen)."))
    ],
    inventory: Inventory = LAB,
) -> None:
    """One file; nobody without the safe's key reads it."""
    province = load(inventory)
    typer.echo(seal(province, default_url(province.code), recipient, to))
    for path in root_keys(province):
        text = _("{path} lies here still: it belongs in the safe alone (roles/pki/README.md)")
        Console(stderr=True, highlight=False, soft_wrap=True).print(text.format(path=path), markup=False)


@app.command("timer", help=_("Let this machine prune and check each night."),
             epilog=f"{_EXAMPLES}\n\n"
             "  tram backup timer -i inventories/ha-tinh\n\n"
             f"  tram backup timer -i inventories/ha-tinh --install\n\n{_ENDS}")  # fmt: skip
def timer(
    *,
    inventory: Inventory = LAB,
    install: Install = False,
) -> None:
    """Print the two units that call `tram backup night`, or put them in place."""
    province = load(inventory)
    call = Call(
        f"tram-backup-{province.code}",
        "backup night",
        f"prune and check the backups of {province.code} at the hub",
        "each night",
        # A night missed is made up for.
        f"OnCalendar=*-*-* {behind_the_night(load_policy(inventory))}:00 UTC\n"
        "RandomizedDelaySec=10min\nPersistent=true\n",
        longest=timedelta(hours=12),
    )
    print_or_install(make_units(province, call, project=Path.cwd()), install=install)


@app.command(
    "restore",
    help=_("Bring back services, a mailbox, a document or paths of a host, beside what is there or in its place."),
    epilog=f"{_EXAMPLES}\n\n  tram backup restore huong-khe-srv1 --service mail --dry-run\n\n"
    "  tram backup restore huong-khe-srv1 --mailbox van-thu@huong-khe.tinh.example\n\n"
    "  tram backup restore so-noi-vu-srv1 --document 15/QĐ-SNV --to /var/tmp/back\n\n"
    f"  tram backup restore huong-khe-srv1 --path /etc/postfix --in-place --overwrite\n\n{_ENDS}",
)
def restore(
    host: Annotated[str, typer.Argument(metavar="HOST", help=_("Which host's, brought to that host."))],
    *,
    inventory: Inventory = LAB,
    services: Annotated[list[str] | None, typer.Option("--service", metavar="NAME", help=_("A whole service."))] = None,
    mailboxes: Annotated[list[str] | None, typer.Option("--mailbox", metavar="ADDRESS", help=_("One mailbox."))] = None,
    document: Annotated[
        str,
        typer.Option("--document", metavar="WORDS", help=_("One document, by words of its name, number or subject.")),
    ] = "",
    paths: Annotated[list[str] | None, typer.Option("--path", metavar="PATH", help=_("A file or folder."))] = None,
    archive: Annotated[str, typer.Option("--archive", metavar="NAME", help=_("Which archive."))] = "latest",
    to: Annotated[str | None, typer.Option("--to", metavar="DIR", help=_("Into this folder at the host."))] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help=_("Where it was."))] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help=_("Also where something is; that is kept beside under another name."))
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Have the host fetch it from the hub."""
    wanted = [*(paths or []), *map(mailbox_path, mailboxes or [])]
    if not wanted and not services and not document:
        raise BadInput("what is to come back?", hint="say --service NAME, --mailbox ADDRESS, --document or --path PATH")
    if to and in_place:
        raise BadInput("--to and --in-place contradict each other", hint="choose one")
    province = load(inventory)
    who = f"{getpass.getuser()}@{socket.gethostname()}"
    _hosts(province, [host])
    if document:
        secret = passphrase(province.secrets_dir, host)
        with come(targets(province, [keeper(province, host)])[0], centre_key(province)) as session:
            archive, path = document_path(session, host, document, archive, secret)
        wanted.append(path)
    wish = Wish(archive, tuple(services or ()), tuple(wanted), to, in_place, overwrite, dry_run, who)
    with come(targets(province, [host])[0], centre_key(province)) as session:
        found = bring_back(session, wish)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    table = _table(both("What"), both("Where"), both("Files"), both("Size"), both("What was there"))
    for one in found["restored"]:
        table.add_row(one["path"], one["target"], str(one["files"]), size(one["bytes"]), one["aside"] or "")
    console = Console(highlight=False)
    console.print(table)
    text = _("Would be brought back from {archive}.") if dry_run else _("Brought back from {archive}.")
    console.print(text.format(archive=found["archive"]), markup=False)


def _hosts(province: Province, names: Sequence[str]) -> list[tuple[Site, Host]]:
    """The hosts with the function backup, or those of them that are named, or at a site that is.

    Raises: BadInput.
    """
    known = [(site, host) for site in province.sites for host in site.hosts if "backup" in host.functions]
    if not known:
        raise BadInput(
            f"{province.folder}: no host has the function backup", hint="add it in sites/<code>.yml, then deliver it"
        )
    for name in names:
        if not any(name in (site.code, host.inventory_name) for site, host in known):
            listed = ", ".join(host.inventory_name for _site, host in known)
            raise BadInput(f"{name}: is no host or site that is backed up", hint=f"there are: {listed}")
    return [(site, host) for site, host in known if not names or {site.code, host.inventory_name} & set(names)]


def _ask(inventory: Path, names: Sequence[str], words: Sequence[str], options: Sequence[str] = ()) -> list[Told]:
    """One question to the hub for each host, over connections side by side."""
    province = load(inventory)
    hosts = [host.inventory_name for _site, host in _hosts(province, names)]
    where = {host: targets(province, [keeper(province, host)])[0] for host in hosts}
    key = centre_key(province)

    def one(host: str) -> Told:
        try:
            secret = passphrase(province.secrets_dir, host)
            with come(where[host], key) as session:
                return Told(host, ask_hub(session, [*words, host, *options], secret))
        except TramError as problem:
            return Told(host, problem=problem)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(one, hosts))


def _table(*headings: str) -> Table:
    table = Table()
    for number, heading in enumerate(headings):
        table.add_column(heading, no_wrap=number == 0, overflow="fold")
    return table


def _problems(told: Sequence[Told]) -> Iterator[TramError]:
    return (one.problem for one in told if one.problem)


def _end(told: Sequence[Told], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([one.plain() for one in told], ensure_ascii=False, indent=1))
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for problem in [] if as_json else _problems(told):
        console.print(f"{problem.message}\n  {problem.hint}" if problem.hint else problem.message, markup=False)
    if any(_problems(told)):
        raise typer.Exit(1)
