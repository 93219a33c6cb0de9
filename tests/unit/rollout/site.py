"""Sites of a test: one directory a host. What is delivered there is a real process of the site's own, which goes on
whatever becomes of the controller, and accepts a run once, as a site does.

`<root>/<host>/work` has a line for each time the work was done; `<root>/started` a line for each delivery begun.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tram.core.events import Event
from tram.ledger import Ended, Job, Ledger, Outcome
from tram.rollout.fanout import Deliver

# Accepts a run once, by making its directory; works as long as it was told, notes that it did, then puts its result
# down whole. All by itself: who called it may be killed at any moment.
RUNNER = """
import json, os, sys, time
folder, seconds, result = sys.argv[1], float(sys.argv[2]), sys.argv[3]
try:
    os.mkdir(folder)
except FileExistsError:
    sys.exit()
time.sleep(seconds)
with open(os.path.join(folder, "..", "work"), "a") as file:
    file.write("applied\\n")
with open(os.path.join(folder, "result.part"), "w") as file:
    file.write(result)
os.rename(os.path.join(folder, "result.part"), os.path.join(folder, "result"))
"""
STATS = {"ok": 5, "changed": 1, "failed": 0, "skipped": 0, "rescued": 0, "ignored": 0}
GOOD = {"outcome": "done", "reason": "", "stats": STATS, "verify": [{"role": "mail", "ok": True, "message": ""}]}


@dataclass(frozen=True, slots=True)
class Sites:
    """The sites under `root`; a delivery takes up to `seconds`."""

    root: Path
    seconds: float = 0.3

    def deliver(self) -> Deliver:
        """What a rollout is given to deliver with."""
        return partial(deliver, str(self.root), self.seconds)

    def behave(self, host: str, **how: Any) -> None:
        """`away=True`: does not answer. Anything else: what its result says otherwise than a good one."""
        (self.root / host).mkdir(parents=True, exist_ok=True)
        (self.root / host / "behaviour").write_text(json.dumps(how), encoding="utf-8")

    def work(self, host: str) -> int:
        """How often the work was done at this host."""
        file = self.root / host / "work"
        return len(file.read_text().splitlines()) if file.exists() else 0

    def started(self) -> list[str]:
        """Deliveries begun, in order; a host is there again when somebody else had to go on."""
        file = self.root / "started"
        return file.read_text().splitlines() if file.exists() else []

    def wait_started(self, count: int, *, within: float = 60) -> None:
        end = time.monotonic() + within
        while len(self.started()) < count:
            assert time.monotonic() < end, f"only {self.started()} began"
            time.sleep(0.02)


def deliver(root: str, seconds: float, job: Job) -> Ended:
    """Carry a run to a host and its report back. Found by name in a worker's process, so it is no closure."""
    home = Path(root) / job.host
    home.mkdir(parents=True, exist_ok=True)
    with (Path(root) / "started").open("a") as file:
        file.write(f"{job.host}\n")
    given = home / "behaviour"
    how = json.loads(given.read_text(encoding="utf-8")) if given.exists() else {}
    if how.get("away"):
        time.sleep(random.uniform(0, seconds))
        return Ended(Outcome.NOT_REACHED, "no answer")
    if how.get("broken"):
        raise ValueError("the bundle cannot be built")
    result = GOOD | how
    folder = home / job.run
    seconds = random.uniform(seconds / 4, seconds)
    argv = [sys.executable, "-S", "-c", RUNNER, str(folder), str(seconds), json.dumps(result)]
    subprocess.Popen(argv, start_new_session=True, stdin=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not (folder / "result").exists():
        assert time.monotonic() < end, f"{folder}: no result"
        time.sleep(0.02)
    body = json.loads((folder / "result").read_text())
    if not how.get("silent"):
        event = Event(job.run, job.host, 1, "2026-11-21T19:05:00Z", "result", body)
        Ledger(job.ledger).record([event], source=job.host)
    outcome = Outcome.DONE if body["outcome"] == "done" else Outcome.FAILED
    return Ended(outcome, body["reason"])
