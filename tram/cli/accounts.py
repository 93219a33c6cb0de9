"""`tram accounts`: rosters into the directory, passwords onto paper, and who uses what he was given."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from tram.accounts.applying import apply_changes
from tram.accounts.directory import read_state
from tram.accounts.funnel import Mailbox, csv_lines, funnels, metrics, read_counters
from tram.accounts.issuing import Batch, Desk, Slip, due, issue, new_password
from tram.accounts.plan import Plan, Policy, make_plan, utc_now
from tram.accounts.roster import Roster, read_rosters
from tram.accounts.sending import letter, recipients
from tram.accounts.slips import draw_slips
from tram.act.come import come
from tram.act.directory import HubDirectory, hand_in, mail_counters
from tram.act.key import CentreKey, load_key
from tram.act.target import targets
from tram.cli.accounts_view import plain_funnel, plain_plan, show_funnels, show_plan
from tram.cli.i18n import _
from tram.cli.timers import Install, figures_place, print_or_install
from tram.core.errors import BadInput, TramError
from tram.register import Province, Site, load
from tram.register.problem import did_you_mean
from tram.rollout.timer import Call, make_units
from tram_exporters.textfile import put

app = typer.Typer(no_args_is_help=True, help=_("People's accounts: from rosters into the directory."))

_EXAMPLES = _("Examples:")
_SHEETS = _("One row a person; headings and the rule for addresses: docs/contracts/accounts.md.")
LAB = Path("inventories/lab")
METRICS = Path("/var/lib/prometheus/node-exporter/tram_accounts.prom")
"""Where Debian's node exporter looks (textfile collector)."""

Rosters = Annotated[
    list[Path], typer.Argument(metavar="FILE.xlsx|.csv …", help=_("The rosters, as agencies send them."))
]
Inventory = Annotated[Path, typer.Option("--inventory", "-i", metavar="DIR", help=_("The province's folder."))]
Agency = Annotated[
    str, typer.Option("--agency", metavar="CODE", help=_("Whose roster it is, where no column says it."))
]
MostLeavers = Annotated[
    int,
    typer.Option("--most-leavers", min=0, max=100, help=_("Percent of an agency's people that may leave in one run.")),
]
DeleteAfter = Annotated[
    int | None,
    typer.Option(
        "--delete-after", min=1, metavar="DAYS", help=_("Delete who was disabled so long ago; default: never.")
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help=_("Print the results as JSON."))]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rosters to be compared with a province's directory, by what rules, and how to tell."""

    province: Province
    roster: Roster
    policy: Policy
    as_json: bool

    def plan(self, door: HubDirectory) -> Plan:
        """What would have to change."""
        return make_plan(self.province, self.roster, read_state(door, self.province.domain), self.policy, utc_now())


def _of_rosters(act: Callable[[Comparison], None]) -> Callable[..., None]:
    """The command of an act that compares rosters with the directory: `plan` and `apply` take the same."""

    def command(
        rosters: Rosters,
        *,
        inventory: Inventory = LAB,
        agency: Agency = "",
        most_leavers: MostLeavers = 20,
        delete_after: DeleteAfter = None,
        as_json: AsJson = False,
    ) -> None:
        province = load(inventory)
        policy = Policy(most_leavers / 100, None if delete_after is None else timedelta(days=delete_after))
        act(Comparison(province, read_rosters(rosters, province, agency=agency), policy, as_json))

    return command


def _plan(asked: Comparison) -> None:
    with hub_directory(asked.province) as door:
        made = asked.plan(door)
    _tell(made, asked.roster, as_json=asked.as_json, title=_("What would change"))


def _apply(asked: Comparison) -> None:
    began = time.monotonic()
    with hub_directory(asked.province) as door:
        made = asked.plan(door)
        if not asked.as_json:
            _tell(made, asked.roster, as_json=False, title=_("What changes"))
        apply_changes(door, made.changes)
    if asked.as_json:
        _tell(made, asked.roster, as_json=True, title="")
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(_("{count} changes made in {seconds} s").format(
        count=len(made.changes), seconds=f"{time.monotonic() - began:.1f}"
    ), markup=False)  # fmt: skip
    if made.count().get("join"):
        console.print(_("Their passwords: tram accounts slips {agencies}").format(
            agencies=" ".join(sorted({change.agency for change in made.changes if change.kind == "join"}))
        ), markup=False)  # fmt: skip


app.command(
    "plan",
    help=_("Say what rosters would change; change nothing."),
    epilog=f"{_EXAMPLES}\n\n  tram accounts plan so-noi-vu.xlsx\n\n"
    f"  tram accounts plan danh-sach/*.xlsx --json | jq '.changes[] | select(.kind == \"leave\")'\n\n{_SHEETS}\n\n"
    + _("Ends with 0, 1 when the directory could not be asked, 2 with every wrong cell of the rosters."),
)(_of_rosters(_plan))
app.command(
    "apply",
    help=_("Make the directory say what rosters say; the second time nothing changes."),
    epilog=f"{_EXAMPLES}\n\n  tram accounts apply so-noi-vu.xlsx\n\n"
    f"  tram accounts apply danh-sach/*.xlsx --delete-after 365\n\n{_SHEETS}\n\n"
    + _("Ends with 0 when all of it is done, 1 when it stopped on the way (run it again), 2 when nothing was changed."),
)(_of_rosters(_apply))


@app.command(
    "slips",
    help=_("Give initial passwords to those who have none, and print them as slips (PDF)."),
    epilog=f"{_EXAMPLES}\n\n  tram accounts slips so-noi-vu huong-khe --to phieu/\n\n  tram accounts slips --all\n\n"
    "  tram accounts slips so-noi-vu --mail\n\n  tram accounts slips --again CB0042\n\n"
    + _("Ends with 0 when every slip is printed, 1 when it stopped on the way (run it again), 2 for wrong input."),
)
def slips(
    agencies: Annotated[list[str] | None, typer.Argument(metavar="[AGENCY …]", help=_("Codes of agencies."))] = None,
    *,
    inventory: Inventory = LAB,
    every: Annotated[bool, typer.Option("--all", help=_("Every agency."))] = False,
    again: Annotated[
        list[str] | None,
        typer.Option("--again", metavar="CODE", help=_("A new password for this employee; repeatable.")),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help=_("Where to; default: among the province's secrets."))
    ] = None,
    mail: Annotated[
        bool, typer.Option("--mail", help=_("Send them, locked, to each agency's administrators, too."))
    ] = False,
) -> None:
    """Only who has no password gets one, unless asked for again."""
    province = load(inventory)
    names = {site.code: site.name for site in province.sites}
    pages = {site.code: f"https://webmail.{site.domain}/" for site in province.sites if _has(site, "webmail")}
    chosen = [*names] if every else agencies or []
    for code in chosen:
        if code not in names:
            raise BadInput(f"{code}: no such agency in the register", hint=did_you_mean(code, [*names]))
    if not chosen and not again:
        raise BadInput("whose slips?", hint="name agencies, or --all, or --again CODE")
    console = Console(highlight=False, soft_wrap=True)
    memory = province.secrets_dir / "accounts"
    now = utc_now()
    made: list[Batch] = []
    with hub_directory(province) as door:
        state = read_state(door, province.domain)
        people = due(state, chosen, [code.upper() for code in again or ()], memory)
        admins = {code: recipients(state, code) for code in people} if mail else {}
        for code, entries in people.items():
            passphrase = new_password() if mail else ""
            desk = Desk(memory, to or memory / "slips", _drawing(passphrase, pages.get(code, "")))
            batch = issue(door, (code, names.get(code, code)), entries, desk, now)
            made.append(batch)
            console.print(_("{agency}: {count} slips in {file}").format(
                agency=names.get(code, code), count=len(batch.codes), file=batch.file
            ), markup=False)  # fmt: skip
            if mail:
                hand_in(door.session, letter(province, names.get(code, code), admins[code], batch.file))
                console.print(_("Sent to {who}. Tell them by telephone what opens it: {word}").format(
                    who=", ".join(admins[code]), word=passphrase
                ), markup=False)  # fmt: skip
    if not made:
        console.print(_("Nobody lacks a password there."))


@app.command(
    "report",
    help=_("The funnel of each agency: on the roster, issued, activated, used in 30 days, sent."),
    epilog=f"{_EXAMPLES}\n\n  tram accounts report\n\n  tram accounts report --csv > su-dung.csv\n\n"
    "  tram accounts report --metrics /var/lib/prometheus/node-exporter/tram_accounts.prom\n\n"
    + _("Ends with 0 when every mail host answered, 1 when a figure is unknown, 2 for wrong input."),
)
def report(
    *,
    inventory: Inventory = LAB,
    as_csv: Annotated[bool, typer.Option("--csv", help=_("Print the results as CSV."))] = False,
    as_json: AsJson = False,
    textfile: Annotated[
        Path | None, typer.Option("--metrics", metavar="FILE.prom", help=_("Write them for Prometheus, too."))
    ] = None,
    parallel: Annotated[int, typer.Option(min=1, max=64, help=_("How many hosts at once."))] = 8,
) -> None:
    """Counters only: from the directory and from the mail hosts."""
    province = load(inventory)
    with hub_directory(province) as door:
        state = read_state(door, province.domain)
    agencies = [site.code for site in province.sites if any(one.agency == site.code for one in state.people)]
    counters, failures = _counters(province, agencies, parallel)
    now = utc_now()
    rows = funnels(state, agencies, counters, now)
    if textfile:
        put(textfile, metrics(rows, now))
    if as_json:
        typer.echo(json.dumps([plain_funnel(row) for row in rows], ensure_ascii=False, indent=1))
    elif as_csv:
        typer.echo(csv_lines(rows), nl=False)
    else:
        show_funnels(rows, {site.code: site.name for site in province.sites})
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for failure in failures:
        console.print(escape(failure.message))
    if any(row.used is None for row in rows):
        raise typer.Exit(1)


@app.command(
    "timer",
    help=_("Let this machine count each night who uses what he was given."),
    epilog=f"{_EXAMPLES}\n\n  tram accounts timer -i inventories/ha-tinh\n\n"
    "  tram accounts timer -i inventories/ha-tinh --install\n\n"
    + _("As root for the whole machine, otherwise for your account. Without --install it only prints them."),
)
def timer(
    *,
    inventory: Inventory = LAB,
    install: Install = False,
    textfile: Annotated[
        Path, typer.Option("--metrics", metavar="FILE.prom", help=_("Where the figures for Prometheus go."))
    ] = METRICS,
) -> None:
    """Print the two units that call `tram accounts report --metrics` for the province, or put them in place."""
    province = load(inventory)
    call = Call(
        f"tram-accounts-{province.code}",
        "accounts report",
        f"count who of {province.code} uses what he was given",
        "each night",
        # After the offices' day and before the next: a line that is down then is asked the next night.
        "OnCalendar=*-*-* 20:30:00 UTC\nRandomizedDelaySec=10min\nPersistent=true\n",
        arguments=("--metrics", figures_place(textfile, install=install)),
        longest=timedelta(hours=1),
    )
    print_or_install(make_units(province, call, project=Path.cwd()), install=install)


@contextmanager
def hub_directory(province: Province) -> Iterator[HubDirectory]:
    """The directory at the hub, over one connection that is closed at the end.

    Raises: BadInput when the centre has no key; NotReached, IdentityUnknown, IdentityChanged, LoginRefused.
    """
    hub = next((host for host in province.hub.hosts if "directory" in host.functions), province.hub_host)
    with come(targets(province, [hub.inventory_name])[0], _key(province)) as session:
        yield HubDirectory(session)


def _key(province: Province) -> CentreKey:
    key = load_key(province.secrets_dir, f"tram@{province.code}")
    if key is None:
        hub = province.hub_host.inventory_name
        raise BadInput("the centre has no key yet", hint=f"take the hub over first: tram host bootstrap {hub}")
    return key


def _has(site: Site, function: str) -> bool:
    return any(function in host.functions for host in site.hosts)


def _drawing(passphrase: str, page: str) -> Callable[[str, Sequence[Slip]], bytes]:
    return lambda agency, slips: draw_slips(agency, slips, utc_now(), page=page, passphrase=passphrase)


def _tell(made: Plan, roster: Roster, *, as_json: bool, title: str) -> None:
    if as_json:
        typer.echo(json.dumps(plain_plan(made, roster), ensure_ascii=False, indent=1))
    else:
        show_plan(made, roster, title)


def _counters(
    province: Province, agencies: Sequence[str], parallel: int
) -> tuple[dict[str, dict[str, Mailbox] | None], list[TramError]]:
    """The counters of each agency's mail host (none where there is no such host), and why some are unknown."""
    hosts = {site.code: site.mail_host.inventory_name for site in province.sites if site.mail_host}
    hosts = {agency: hosts[agency] for agency in agencies if agency in hosts}
    key = _key(province)

    def ask(name: str) -> dict[str, Mailbox] | TramError:
        try:
            with come(targets(province, [name])[0], key) as session:
                return read_counters(mail_counters(session))
        except TramError as error:
            return error

    names = sorted({*hosts.values()})
    with ThreadPoolExecutor(parallel) as pool:
        answers = dict(zip(names, pool.map(ask, names), strict=True))
    found: dict[str, dict[str, Mailbox] | TramError] = {agency: answers[name] for agency, name in hosts.items()}
    return (
        {agency: None if isinstance(one := found.get(agency, {}), TramError) else one for agency in agencies},
        [one for one in answers.values() if isinstance(one, TramError)],
    )
