"""A controller as a process of its own, to be killed: `python -m … URL RUN ROOT SECONDS [SCHEDULER]`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.unit.rollout.site import Sites
from tram.ledger import Ledger
from tram.rollout.conductor import Conductor, Standing
from tram.rollout.fanout import Work, fan_out
from tram.rollout.policy import Policy


def conduct(url: str, run: str, sites: Sites, scheduler: str | None = None, *, stay: bool = False) -> Standing:
    """Conduct a rollout as the command line does."""
    ledger = Ledger(url)
    policy = Policy.of(ledger.rollouts.get(run).policy, run)
    work = Work(sites.deliver(), retry_first=policy.retry_first, retry_most=policy.retry_most)
    try:
        with fan_out(scheduler, policy.parallel, url) as (executor, width):
            return Conductor(
                ledger, run, work, executor, width=width, link_class_of=lambda site: "adsl", stay=stay
            ).conduct()
    finally:
        ledger.close()


if __name__ == "__main__":
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored, where the tests themselves run in the background
    url, run, root, seconds, *more = sys.argv[1:]
    print(conduct(url, run, Sites(Path(root), float(seconds)), *more), flush=True)
