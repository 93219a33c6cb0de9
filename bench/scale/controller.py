"""A controller as a process of its own, so that what it costs can be told: prints one line of JSON.

python -m bench.scale.controller FOLDER BASE RUNTIME LEDGER start|resume
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event

from bench.scale.simulation import HERE, Simulation
from tram.ledger import Ledger, Outcome, State
from tram.register import load
from tram.rollout.conductor import Conductor
from tram.rollout.fanout import Work, fan_out
from tram.rollout.measure import Measure
from tram.rollout.plan import make_plan
from tram.rollout.policy import Policy, load_policy
from tram.rollout.record import newest, put_down
from tram.rollout.shipping import Shipping
from tram.rollout.targets import targets

PLAYBOOK = HERE / "register.yml"


class Writes:
    """Counts the ledger's transactions that write."""

    def __init__(self) -> None:
        self.count = 0
        event.listen(Engine, "commit", self._committed)

    def _committed(self, connection: Connection) -> None:
        self.count += bool(connection.get_execution_options().get("tram_writes"))


def main() -> None:
    folder, base, runtime, url, verb = sys.argv[1:]
    simulation, writes, began = Simulation(Path(base), runtime), Writes(), time.monotonic()
    before = simulation.cpu()
    province, policy = load(Path(folder)), load_policy(Path(folder))
    ledger = Ledger(url)
    ledger.belong(province.code)
    planned = 0.0
    if verb == "start":
        found = targets(PLAYBOOK, province)
        measure = Measure(province, PLAYBOOK, found, ledger, runtime_bytes=lambda _had: 0)
        if measure.problem:
            raise measure.problem
        waves = make_plan(found, policy, last_of=measure.last, bytes_of=measure)
        put_down(
            ledger,
            waves,
            policy,
            province=province.code,
            stack="register",
            playbook=PLAYBOOK,
            inventory=Path(folder),
        )
        planned = time.monotonic() - began
    run = newest(ledger, "register").run
    carried = _carried(ledger, run)
    rules = Policy.of(ledger.rollouts.get(run).policy, run)
    classes = {site.code: site.link.link_class if site.link else "" for site in province.sites}
    work = Work(Shipping(simulation), retry_first=rules.retry_first, retry_most=rules.retry_most)
    # Who is not reached now is not tried again before `resume`: that is the timer's.
    with fan_out(None, rules.parallel, url) as (executor, width):
        standing = Conductor(
            ledger, run, work, executor, width=width, link_class_of=lambda site: classes.get(site, "")
        ).conduct()
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    sites_cpu = simulation.cpu() - before
    figures = {
        "standing": str(standing),
        "plan_seconds": round(planned, 1),
        "wall_seconds": round(time.monotonic() - began, 1),
        "controller_cpu_seconds": round(own.ru_utime + own.ru_stime, 2),
        "helpers_cpu_seconds": round(children.ru_utime + children.ru_stime - sites_cpu, 2),
        "sites_talk_cpu_seconds": round(sites_cpu, 2),
        "peak_rss_bytes": own.ru_maxrss * 1024,
        "ledger_writes": writes.count,
    }
    print(json.dumps(figures | _hosts(ledger, run, carried)))


def _hosts(ledger: Ledger, run: str, carried: Counter[str]) -> dict[str, Any]:
    """How the hosts ended, and what they cost since `carried`."""
    rows, told = ledger.show(run).hosts, ledger.events(run, kind="result")
    assert len({event.host for event in told}) == len(told), "a host ended twice"
    now = _carried(ledger, run)
    return {
        "hosts": len(rows),
        "done": sum(row.state is State.DONE for row in rows),
        "failed": sum(row.outcome is Outcome.FAILED for row in rows),
        "not_reached": sum(row.state is State.NOT_REACHED for row in rows),
        **{name: now[name] - carried[name] for name in now},
    }


def _carried(ledger: Ledger, run: str) -> Counter[str]:
    """What the ledger has of attempts, payload bytes and the sites' own work."""
    rows, told = ledger.show(run).hosts, ledger.events(run, kind="result")
    found: Counter[str] = Counter()
    found["attempts"] = sum(row.attempts for row in rows)
    found["bytes_down"] = sum(row.bytes_down for row in rows)
    found["bytes_up"] = sum(row.bytes_up for row in rows)
    found["sites_work_cpu_ms"] = sum(round(1000 * float(event.body.get("cpu_seconds") or 0)) for event in told)
    return found


if __name__ == "__main__":
    main()
