"""`tram rollout`: a change goes through the province in waves, and stops where the evidence does."""

from __future__ import annotations

import getpass
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from tram.cli.i18n import _
from tram.cli.rollout_live import LiveView
from tram.cli.rollout_view import new_console, plain_rollout, plain_wave, print_plan, print_rollout
from tram.cli.rollout_words import STANDINGS, coloured, host_line, reason
from tram.cli.timers import Install, print_or_install
from tram.core.errors import BadInput
from tram.core.units import parse_span
from tram.ledger import Job, Ledger, Outcome, open_ledger
from tram.ledger.rolloutbook import OVER
from tram.register import Province, load
from tram.rollout.conductor import GOES_ON, ConductedElsewhere, Conductor, Standing, approve, ask
from tram.rollout.fanout import Deliver, Work, fan_out
from tram.rollout.measure import Measure
from tram.rollout.owed import owed
from tram.rollout.plan import Wave, make_plan
from tram.rollout.policy import Policy, load_policy
from tram.rollout.record import newest, put_down
from tram.rollout.targets import find_playbook, targets
from tram.rollout.timer import going_on, make_units

PLAN_EXAMPLES = (
    _("Examples:")
    + """

  tram rollout plan mail

  tram rollout plan base -i inventories/ha-tinh --json | jq '.waves[].hosts[] | select(.forecast.fits | not)'"""
)
START_EXAMPLES = (
    _("Examples:")
    + """

  tram rollout start mail --inventory inventories/lab

  tram rollout start base -i inventories/ha-tinh --soak '2 h' --stay

  TRAM_LEDGER=postgresql://tram@hub/ha-tinh tram rollout start base -i inventories/ha-tinh --scheduler tcp://192.0.2.9:8786

"""
    + _("Ends with 0 when nothing failed, 1 when it was stopped, held, paused or aborted, 2 for wrong input.")
)
RESUME_EXAMPLES = (
    _("Examples:")
    + """

  tram rollout resume mail

  tram rollout resume mail --approve

  tram rollout resume --inventory inventories/ha-tinh

"""
    + _("Without a stack: every rollout that was interrupted or waits for a time; that is what a timer calls.")
)
ASK_EXAMPLES = (
    _("Examples:")
    + """

  tram rollout pause mail

  tram rollout abort mail --inventory inventories/ha-tinh"""
)
TIMER_EXAMPLES = (
    _("Examples:")
    + """

  tram rollout timer -i inventories/ha-tinh

  tram rollout timer -i inventories/ha-tinh --install --every '10 min'

"""
    + _("As root for the whole machine, otherwise for your account. Without --install it only prints them.")
)
SHOW_EXAMPLES = (
    _("Examples:")
    + """

  tram rollout show mail

  tram rollout show mail --json | jq .state"""
)

app = typer.Typer(no_args_is_help=True, help=_("Take a change through the province in waves, on evidence."))

Stack = Annotated[str, typer.Argument(metavar="STACK", help=_("A playbook's name, such as mail."))]
Inventory = Annotated[Path, typer.Option("--inventory", "-i", metavar="DIR", help=_("The province's folder."))]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", metavar="ADDRESS", help=_("Spread the work over a dask cluster."))
]
Approve = Annotated[bool, typer.Option("--approve", help=_("Let the wave go on that waits for a person's word."))]
Stay = Annotated[bool, typer.Option("--stay", help=_("Wait for windows and for sites not reached."))]
AsJson = Annotated[bool, typer.Option("--json", help=_("Print it as JSON."))]
LAB = Path("inventories/lab")


@app.command(
    "plan", help=_("Say who goes when and why, and what it costs each line; changes nothing."), epilog=PLAN_EXAMPLES
)
def plan(stack: Stack, inventory: Inventory = LAB, as_json: AsJson = False) -> None:
    """Print the waves with the forecast of each host."""
    province = load(inventory)
    waves, policy, measure = _planned(province, stack, open_ledger(province.code), load_policy(inventory))
    if as_json:
        typer.echo(
            json.dumps(
                {"stack": stack, "policy": policy.plain(), "waves": [plain_wave(w) for w in waves]},
                ensure_ascii=False,
                indent=2,
            )
        )
        return
    console = new_console()
    print_plan(console, waves)
    if measure.problem:
        text = _("bytes are a guess, because a bundle cannot be built: {problem}")
        console.print(f"[yellow]{escape(text.format(problem=measure.problem.message))}[/]", soft_wrap=True)


@app.command("start", help=_("Plan a rollout and begin it."), epilog=START_EXAMPLES)
def start(
    stack: Stack,
    inventory: Inventory = LAB,
    *,
    scheduler: Scheduler = None,
    let: Approve = False,
    stay: Stay = False,
    soak: Annotated[
        str | None, typer.Option("--soak", metavar="SPAN", help=_("How long each wave is watched: 30 s, 2 h."))
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the plan down, then go on with it."""
    province = load(inventory)
    policy = load_policy(inventory)
    if soak is not None:
        policy = replace(policy, soak=parse_span(soak))
    ledger = open_ledger(province.code)
    waves, policy, measure = _planned(province, stack, ledger, policy)
    if measure.problem:
        raise measure.problem
    name = _stack(stack)
    run = put_down(
        ledger, waves, policy, province=province.code, stack=name, playbook=find_playbook(stack), inventory=inventory
    )
    if not _go_on(ledger, province, run, scheduler, let=let, stay=stay, as_json=as_json):
        raise typer.Exit(1)


@app.command("resume", help=_("Go on with a rollout, whatever became of who conducted it."), epilog=RESUME_EXAMPLES)
def resume(
    stack: Annotated[str | None, typer.Argument(metavar="STACK", help=_("A playbook's name, such as mail."))] = None,
    inventory: Inventory = LAB,
    *,
    scheduler: Scheduler = None,
    let: Approve = False,
    stay: Stay = False,
    as_json: AsJson = False,
) -> None:
    """Go on with the newest rollout of the stack, or with all that only need time."""
    if let and stack is None:
        raise BadInput("--approve without a stack", hint="a person lets one wave of one rollout go on: name the stack")
    province = load(inventory)
    ledger = open_ledger(province.code)
    if stack is not None:
        runs = [newest(ledger, _stack(stack)).run]
    else:
        runs = [row.run for row in ledger.rollouts.newest() if row.state in GOES_ON]
    ended_well = True
    for run in runs:
        try:
            ended_well &= _go_on(
                ledger, province, run, scheduler, let=let, stay=stay, as_json=as_json, hosts=stack is not None
            )
        except ConductedElsewhere:
            if stack is not None:
                raise  # a timer only leaves to another what another does
    if stack is None:
        ended_well &= _catch_up(ledger, inventory, new_console(stderr=as_json))
    if not ended_well:
        raise typer.Exit(1)


@app.command("pause", help=_("Begin no more hosts; what is under way ends."), epilog=ASK_EXAMPLES)
def pause(stack: Stack, inventory: Inventory = LAB) -> None:
    """Ask for a pause."""
    _ask(stack, inventory, Standing.PAUSED)


@app.command("abort", help=_("End a rollout where it is; nothing is undone."), epilog=ASK_EXAMPLES)
def abort(stack: Stack, inventory: Inventory = LAB) -> None:
    """Ask for the end."""
    _ask(stack, inventory, Standing.ABORTED)


@app.command("timer", help=_("Let this machine go on with rollouts by itself."), epilog=TIMER_EXAMPLES)
def timer(
    inventory: Inventory = LAB,
    *,
    install: Install = False,
    every: Annotated[str, typer.Option("--every", metavar="SPAN", help=_("How often."))] = "5 min",
) -> None:
    """Print the two units that call `tram rollout resume` for the province, or put them in place."""
    province = load(inventory)
    print_or_install(make_units(province, going_on(province, parse_span(every)), project=Path.cwd()), install=install)


@app.command("show", help=_("Show the newest rollout of a stack, wave by wave."), epilog=SHOW_EXAMPLES)
def show(stack: Stack, inventory: Inventory = LAB, as_json: AsJson = False) -> None:
    """Print how it stands."""
    ledger = open_ledger(load(inventory).code)
    row = newest(ledger, _stack(stack))
    if as_json:
        typer.echo(json.dumps(plain_rollout(ledger, row), ensure_ascii=False, indent=2))
        return
    print_rollout(new_console(), ledger, row)


def _planned(
    province: Province, stack: str, ledger: Ledger, policy: Policy
) -> tuple[tuple[Wave, ...], Policy, Measure]:
    playbook = find_playbook(stack)
    found = targets(playbook, province)

    with Console(stderr=True).status(_("Measuring bundles")):
        measure = Measure(province, playbook, found, ledger)
        return make_plan(found, policy, last_of=measure.last, bytes_of=measure), policy, measure


def _deliver() -> Deliver:
    """The one seam to delivery."""
    from tram.rollout.shipping import Shipping  # noqa: PLC0415  bundles and ssh: only those who deliver need them

    return Shipping()


def _go_on(
    ledger: Ledger,
    province: Province,
    run: str,
    scheduler: str | None,
    *,
    let: bool,
    stay: bool,
    as_json: bool,
    hosts: bool = True,
) -> bool:
    """Conduct, telling each step, and at the end every host's; whether it ended well, or rests until its time."""
    console = new_console(stderr=as_json)
    if let:
        for accepted in approve(ledger, run, _who()):
            console.print(_("approved: {reason}").format(reason=reason(accepted)))
    policy = Policy.of(ledger.rollouts.get(run).policy, run)
    work = Work(_deliver(), retry_first=policy.retry_first, retry_most=policy.retry_most)
    classes = {site.code: site.link.link_class if site.link else "" for site in province.sites}
    with (
        fan_out(scheduler, policy.parallel, ledger.url) as (executor, width),
        LiveView(console, ledger, run) as view,
    ):
        standing = Conductor(
            ledger,
            run,
            work,
            executor,
            width=width,
            link_class_of=lambda site: classes.get(site, ""),
            tell=view.tell,
            follow=lambda: _followers(ledger, province, run),
            stay=stay,
        ).conduct()
    row = ledger.rollouts.get(run)
    if as_json:
        typer.echo(json.dumps(plain_rollout(ledger, row), ensure_ascii=False, indent=2))
    else:
        print_rollout(console, ledger, row, hosts=hosts)
    failed = any(host.outcome is Outcome.FAILED for host in ledger.show(run).hosts)
    return not failed and not view.failed and standing in (Standing.DONE, Standing.RESTING)


def _followers(ledger: Ledger, province: Province, run: str) -> list[Job]:
    """A run of their own for the hosts that are to have something else by now, because of what others returned."""
    from tram.cli.carrying import begin  # noqa: PLC0415  as above
    from tram.delivery.followup import follow_up  # noqa: PLC0415

    names = follow_up(ledger, province, run)
    hosts = [host for site in province.sites for host in site.hosts if host.inventory_name in names]
    return begin(ledger, province, Path(ledger.show(run).run.playbook).resolve(), hosts) if hosts else []


def _catch_up(ledger: Ledger, inventory: Path, console: Console) -> bool:
    """Try again whoever is owed a delivery beside rollouts; whether none failed."""
    rules = load_policy(inventory)
    jobs = owed(ledger, inventory, rules.age_limit)
    work = Work(_deliver(), retry_first=rules.retry_first, retry_most=rules.retry_most)
    with ThreadPoolExecutor(rules.parallel) as pool:
        ended = list(pool.map(work, jobs))
    for job, how in zip(jobs, ended, strict=True):
        console.print(f"{job.run} · {host_line(job.host, how)}", soft_wrap=True)
    return all(how.outcome is not Outcome.FAILED for how in ended)


def _ask(stack: str, inventory: Path, wish: Standing) -> None:
    ledger = open_ledger(load(inventory).code)
    row = newest(ledger, _stack(stack))
    console = new_console()
    if row.state in OVER:
        console.print(_("it is over already: {word}").format(word=coloured(STANDINGS[row.state])))
        return
    if ask(ledger, row.run, wish):
        console.print(coloured(STANDINGS[wish]))
    else:
        console.print(_("its controller does so as soon as what is under way has ended"))


def _stack(text: str) -> str:
    """The stack's name, of a name or a path."""
    return Path(text).stem if text.endswith((".yml", ".yaml")) else text


def _who() -> str:
    """Who gives an approval: the account, and who became it."""
    behind = os.environ.get("SUDO_USER")
    return f"{behind} ({getpass.getuser()})" if behind else getpass.getuser()
