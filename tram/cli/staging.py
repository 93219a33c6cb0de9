"""One staging: for whom, what each line may carry yet, and what the ledger keeps of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from tram.act.key import CentreKey, load_key
from tram.act.outcome import NotReached
from tram.act.stage import Cache, Plan, Staged, Standing, Tell, cache_of, reached, stage
from tram.act.staging import Limits
from tram.bundle.packages import packages_of
from tram.bundle.runtime import pack_of
from tram.cli.i18n import _
from tram.cli.stage_view import WAITS
from tram.core.canonical import digest
from tram.core.errors import BadInput, TramError
from tram.delivery.memory import runtime
from tram.ledger import HostRow, Ledger, Outcome, new_run_id, utc_now
from tram.register import Host, Province, Site
from tram.rollout.policy import Policy

KIND = "stage"
"""Of its runs in the ledger; their playbook is "stage STACK", so that no delivery of the stack is taken for done."""

Hosts = Sequence[tuple[Site, Host]]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be staged: a stack for hosts, how much to each site (None: what the province's rules leave for this
    night), whether at once, whether only to say so."""

    stack: str
    playbook: Path
    hosts: Hosts
    max_bytes: int | None = None
    now: bool = False
    dry: bool = False
    parallel: int = 8


def centre_key(province: Province) -> CentreKey:
    """The centre's key.

    Raises: BadInput when it was never made.
    """
    key = load_key(province.secrets_dir, f"tram@{province.code}")
    if key is None:
        name = province.hub_host.inventory_name
        raise BadInput("the centre has no key yet", hint=f"take the hub over first: tram host bootstrap {name}")
    return key


def carry_out(
    province: Province, policy: Policy, ledger: Ledger, order: Order, console: Console, *, quiet: bool
) -> Staged:
    """Stage; each host and cache is in the ledger before anything is sent, then how it went, with the line's bytes.

    Raises: TramError when the hub itself cannot be used; the ledger says so, too.
    """
    key = centre_key(province)
    with console.status(_("Reading roles")):
        hosts = [host for _site, host in order.hosts]
        packages = packages_of(order.playbook, province, hosts, secrets=province.secrets_dir)
        built = runtime()
        whole = pack_of(built.files, built.files)
        parts = {built.base.sha256: built.base.path.read_bytes(), digest(whole): whole}
    spent = {} if order.dry else spent_tonight(ledger, policy)
    limits = limits_of(order.hosts, policy, order.max_bytes, now=order.now or order.dry, spent=spent)
    limits = {code: one and replace(one, dry=order.dry) for code, one in limits.items()}
    plan = Plan(order.hosts, packages, parts, limits, dry=order.dry, parallel=order.parallel)
    with _progress(console, quiet=quiet) as tell:
        if order.dry:
            return stage(province, plan, key, tell)
        record = _Record(ledger, province, policy, order)

        def counted(place: str, fetched: int, of: int, file: str) -> None:
            record.come(place, fetched, of)
            tell(place, fetched, of, file)

        try:
            staged = stage(province, plan, key, counted)
        except BaseException as problem:
            # Also a mistake of ours, and Ctrl-C: a run nobody is at is not under way.
            record.failed(problem)
            raise
        record.settle(staged)
        return staged


def limits_of(
    hosts: Hosts, policy: Policy, max_bytes: int | None, *, now: bool, spent: Mapping[str, int]
) -> dict[str, Limits | None]:
    """What each site's line may carry now; `spent` is what came to it this night already. The hub has no line."""
    here = utc_now()
    open_now = policy.quiet.opens(here, policy.utc_offset) == here
    limits: dict[str, Limits | None] = {}
    for site, _host in hosts:
        if site.link is None:
            limits[site.code] = Limits()
        elif now or open_now:
            until: datetime | None = None if now else policy.quiet.closes(here, policy.utc_offset)
            cap = policy.link(site.link.link_class).stage_bytes
            left = None if cap is None else cap if now else max(0, cap - spent.get(site.code, 0))
            limits[site.code] = Limits(left if max_bytes is None else max_bytes, until)
        else:
            limits[site.code] = None
    return limits


def spent_tonight(ledger: Ledger, policy: Policy) -> dict[str, int]:
    """The bytes that staging has carried over each site's line since its quiet hours began, whatever became of it."""
    spent: dict[str, int] = {}
    for _stack, row in _tonight(ledger, policy):
        spent[row.site] = spent.get(row.site, 0) + row.bytes_down
    return spent


def stood_tonight(ledger: Ledger, policy: Policy, stack: str) -> dict[str, HostRow]:
    """How each host stood when it was last staged for a stack this night."""
    found: dict[str, HostRow] = {}
    for name, row in _tonight(ledger, policy):
        if name == stack:
            found.setdefault(row.host, row)
    return found


def _tonight(ledger: Ledger, policy: Policy) -> Iterator[tuple[str, HostRow]]:
    began = policy.quiet.closes(utc_now(), policy.utc_offset) - policy.quiet.length
    for run in ledger.runs(limit=1000):
        if run.started < began:
            return
        if run.kind == KIND:
            for row in ledger.show(run.run).hosts:
                yield run.playbook.removeprefix(f"{KIND} "), row


class _Record:
    """The staging's run in the ledger. Bytes are written down as they come: killed, they still count."""

    def __init__(self, ledger: Ledger, province: Province, policy: Policy, order: Order) -> None:
        self.ledger, self.policy, self.order, self.hub = ledger, policy, order, province.hub.code
        self.run = new_run_id(utc_now())
        self.sites = {host.inventory_name: site.code for site, host in order.hosts}
        self.cached = set()
        for site in (province.hub, *(site for site, _host in order.hosts)):
            if cache := cache_of(site):
                self.cached.add(site.code)
                self.sites[cache.inventory_name] = site.code
        self.came: dict[str, int] = {}
        ledger.begin(
            self.run, province=province.code, playbook=f"{KIND} {order.stack}", hosts=self.sites.items(), kind=KIND
        )

    def come(self, place: str, fetched: int, of: int | None = None) -> None:
        """So much has come to a cache by now."""
        self.ledger.heard(self.run, place, bytes_down=fetched - self.came.get(place, 0), bytes_total=of)
        self.came[place] = fetched

    def failed(self, problem: BaseException) -> None:
        """Nothing could be staged at all."""
        outcome = Outcome.NOT_REACHED if isinstance(problem, NotReached) else Outcome.FAILED
        reason = problem.message if isinstance(problem, TramError) else f"{type(problem).__name__}: {problem}"
        for name in self.sites:
            self.ledger.finish(self.run, name, outcome, reason)

    def settle(self, staged: Staged) -> None:
        """How each stands at the end."""
        for cache in staged.caches:
            if cache.filled:
                self.come(cache.host, cache.filled.fetched)
        for host in staged.hosts:
            # What a host gets from its site's cache has crossed the line on its way there.
            if host.prepared and host.site not in self.cached:
                self.ledger.heard(self.run, host.host, bytes_down=host.prepared.lists + host.prepared.runtime)
        for name, site in self.sites.items():
            outcome, reason, waits = _outcome(staged, name, (site, self.hub))
            if waits == "cap" and self.order.max_bytes is not None:
                waits = ""  # the cap was this call's, not the night's
            self.ledger.finish(self.run, name, outcome, reason, next_try=_again(self.policy, waits))


def _again(policy: Policy, waits: str) -> datetime | None:
    """Not before then: what waits for quiet hours, until they begin; what is over the cap, until the next night."""
    here = utc_now()
    if waits == "cap":
        here = policy.quiet.closes(here, policy.utc_offset)
    return policy.quiet.opens(here, policy.utc_offset) if waits else None


def _outcome(staged: Staged, name: str, sites: tuple[str, str]) -> tuple[Outcome, str, str]:
    """Outcome, reason, and what it waits for ("hours", "cap"): a host is as ready as itself and the caches on its way;
    what waits was not reached yet."""
    own = [host for host in staged.hosts if host.host == name]
    way = [cache for cache in staged.caches if cache.site in sites]
    everything: list[Cache | Standing] = [*own, *way]
    waits = ""
    for one in everything:
        if one.problem is not None:
            return (Outcome.FAILED if reached(one) else Outcome.NOT_REACHED), one.problem.message, ""
        if isinstance(one, Cache):
            if one.filled and one.filled.problems:
                file, why = one.filled.problems[0]
                return Outcome.FAILED, f"{one.host}: {file}: {why}", ""
            waits = waits or one.why or (one.filled.why_left if one.filled else "")
        elif one.prepared and one.prepared.note:
            return Outcome.FAILED, one.prepared.note, ""
        else:
            waits = waits or one.why
    return (Outcome.NOT_REACHED, WAITS[waits], waits) if waits else (Outcome.DONE, "", "")


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
