"""Delivery as a rollout does it: what many hosts have in common is worked out once for all of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property, lru_cache
from pathlib import Path

from tram.bundle import Content, build_all
from tram.core.errors import TramError
from tram.delivery import policy
from tram.delivery.fallback import deliver_or_push
from tram.delivery.host import Way
from tram.delivery.memory import runtime
from tram.delivery.parcel import find_host
from tram.ledger import Ended, Job, Ledger, UnknownRun
from tram.register import Province, load
from tram.rollout.fanout import is_open
from tram.rollout.policy import Policy, load_policy

# To ask Ansible costs 0.8 s, however many hosts it is asked about, and 0.04 s more for each of them.
_TOGETHER = 40
# What was put together is taken for so long: a role that is corrected, or a secret that comes back, is not missed.
_FRESH = timedelta(minutes=3)

# How a host is reached and what it has, when that is not worked out from the register: simulated provinces.
WayTo = Callable[[Job, Province], Way]


@dataclass(frozen=True, slots=True)
class Shipping:
    """Carries one run to one host to its end (`fanout.Deliver`); pickles, so that it also runs on workers.

    A host that can take no runtime is pushed to with plain Ansible, and its outcome says why.
    """

    way_to: WayTo | None = None

    def __call__(self, job: Job) -> Ended:
        """Called with the host's lease held.

        Raises: TramError for what is wrong with the bundle or with this machine; nothing was sent then.
        """
        store = _store(job.run, job.inventory, job.ledger, _stamp(Path(job.inventory)))
        way = self.way_to(job, store.province) if self.way_to else Way(runtime=store.runtime)
        way = replace(way, content=store.content(job), policy=way.policy or store.policy(job))
        found = deliver_or_push(job, store.province, store.ledger, way)
        return replace(found.ended, returned=bool(found.files))


@dataclass
class _Store:
    """Of one run, in this process: register, ledger, and bundles ready to go, each with when it was put together."""

    province: Province
    ledger: Ledger
    ready: dict[str, tuple[float, Content]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    together: int = _TOGETHER

    @cached_property
    def runtime(self) -> str:
        """The id of this installation's runtime."""
        return runtime().id

    def content(self, job: Job) -> Content:
        """The host's bundle, put together along with those of the hosts that come after it."""
        with self.lock:
            now = time.monotonic()
            self.ready = {name: one for name, one in self.ready.items() if now - one[0] < _FRESH.total_seconds()}
            if job.host not in self.ready:
                self.ready |= {name: (now, content) for name, content in self._build(job).items()}
            return self.ready.pop(job.host)[1]

    def policy(self, job: Job) -> policy.Policy:
        """How patient delivery is with the host's line; who does not answer is carried along, so not for long."""
        site, _host = find_host(self.province, job.host)
        found = policy.policy_for(site.link, self.province)
        try:
            rules = Policy.of(self.ledger.rollouts.get(job.run).policy, job.run)
        except UnknownRun:  # a delivery beside rollouts that is tried again
            rules = load_policy(self.province.folder)
        return replace(found, reach=min(found.reach, rules.reach))

    def _build(self, job: Job) -> dict[str, Content]:
        names = [job.host, *self._next(job)]
        try:
            return self._built(job, names)
        except TramError:
            if len(names) == 1:
                raise
            self.together = 1  # a mistake in one host's is that host's failure only
            return self._built(job, names[:1])

    def _built(self, job: Job, names: list[str]) -> dict[str, Content]:
        hosts = [find_host(self.province, name)[1] for name in names]
        secrets = self.province.secrets_dir
        return build_all(Path(job.playbook), self.province, hosts, secrets=secrets, check=job.check)

    def _next(self, job: Job) -> list[str]:
        """The hosts after this one in its wave that are still to be delivered to."""
        places = self.ledger.rollouts.places(job.run)
        wave = next((place.wave for place in places if place.host == job.host), 0)
        mine = [place.host for place in places if place.wave == wave]
        following = mine[mine.index(job.host) + 1 :] if wave else []
        states = {row.host: row.state for row in self.ledger.show(job.run).hosts}
        return [name for name in following if is_open(states[name]) and name not in self.ready][: self.together - 1]


def _stamp(folder: Path) -> int:
    """When the register changed last; a worker may live longer than what it once read."""
    return max(path.stat().st_mtime_ns for path in (folder, *folder.rglob("*.yml")))


@lru_cache(maxsize=4)
def _store(_run: str, inventory: str, ledger: str, _stamp: int) -> _Store:
    return _Store(load(Path(inventory)), Ledger(ledger))
