"""Deliver to one host: what a rollout hands to its workers, and what `tram deliver` calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from tram.bundle import Content, build
from tram.delivery.delivery import Delivery
from tram.delivery.first import NotYet, due, prepare
from tram.delivery.install import install, site_files
from tram.delivery.line import Carrier, LineLost
from tram.delivery.memory import HostMemory, TreeMemory, runtime
from tram.delivery.outcome import Delivered
from tram.delivery.parcel import Parcel, find_host
from tram.delivery.patience import Patience
from tram.delivery.policy import Policy, policy_for
from tram.delivery.progress import Phase, Progress, Tell, Teller
from tram.delivery.ssh import SshCarrier
from tram.ledger import Ended, Job, Ledger
from tram.register import Province, load

# --no-wait: nobody of ours stays to confirm, so a change that needs it waits so long for whoever comes next.
_CONFIRM_LATER = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Way:
    """How a delivery goes about it; what is None is worked out. `wait`: until the result, not only until the host has
    the order; `may_install`: put the runtime there when it is missing; `now_anyway`: the line's hours and cap do not
    hold; `runtime`: the id of a runtime the host has."""

    carrier: Carrier | None = None
    content: Content | None = None
    policy: Policy | None = None
    runtime: str | None = None
    memory: TreeMemory | None = None
    wait: bool = True
    may_install: bool = True
    now_anyway: bool = False
    sleep: Callable[[float], None] = time.sleep


def deliver_job(job: Job) -> Ended:
    """Carry one run to one host to its end. Called with the host's lease held.

    Raises: TramError for what is wrong with the bundle or with this machine; nothing was sent then.
    """
    return deliver_host(job, load(Path(job.inventory)), Ledger(job.ledger)).ended


def deliver_host(
    job: Job, province: Province, ledger: Ledger, way: Way | None = None, tell: Tell = lambda _progress: None
) -> Delivered:
    """As `deliver_job`, with progress told as it comes and everything said about how it went.

    Raises: as `deliver_job`; NotInstalled when the host cannot take the runtime (it can still be pushed to).
    """
    way = way or Way()
    site, host = find_host(province, job.host)
    policy = way.policy or policy_for(site.link, province)
    content = way.content or build(Path(job.playbook), province, host, secrets=province.secrets_dir, check=job.check)
    if due(content, job):

        def carry(first: Job, asked: Content) -> Ended:
            return deliver_host(first, province, ledger, replace(way, content=asked), tell).ended

        try:
            content = prepare(job, province, ledger, content, carry)
        except NotYet as problem:
            return Delivered(job.run, job.host, site.code, problem.ended)
    teller = Teller(ledger, job.run, job.host, tell)
    delivery = Delivery(
        job,
        province,
        ledger,
        parcel=Parcel(
            job,
            province,
            ledger,
            confirm=policy.confirm if way.wait else _CONFIRM_LATER,
            valid=policy.order_valid,
            content=content,
            runtime_id=way.runtime,
            memory=way.memory,
        ),
        carrier=way.carrier or SshCarrier(province, host, policy),
        policy=policy,
        teller=teller,
        patience=Patience(policy, way.sleep),
        wait=way.wait,
        may_install=way.may_install,
        now_anyway=way.now_anyway,
    )
    try:
        return delivery.go()
    finally:
        teller.write()


def install_host(province: Province, name: str, tell: Tell = lambda _progress: None) -> None:
    """Bring runtime and runner on a host up to this installation's, as often as the line makes necessary.

    Raises: NotInstalled; Barred; LineLost when nothing went forward for too long.
    """
    site, host = find_host(province, name)
    policy = policy_for(site.link, province)
    carrier, patience, built = SshCarrier(province, host, policy), Patience(policy), runtime()
    teller = Teller(None, "", name, tell)
    while True:
        teller.tell(phase=Phase.INSTALLING, attempt=patience.failures + 1)
        try:
            with carrier.install() as line:
                install(line, site_files(province, site, host), built, teller)
                HostMemory(province.code).keep(name, [built.id])
                teller.tell(phase=Phase.OVER)
                return
        except LineLost as problem:
            teller.tell(note=problem.message)
            if teller.now.heard:
                patience.heard(teller.now.sent)
            if not patience.again():
                raise


__all__ = ["Delivered", "Progress", "Way", "deliver_host", "deliver_job", "find_host", "install_host"]
