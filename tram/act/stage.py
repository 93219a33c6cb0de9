"""Before a wave's window opens: what its hosts lack is at the hub's caches, and at the cache of a site that has one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from tram.act.come import come
from tram.act.key import CentreKey
from tram.act.outcome import NotReached
from tram.act.staging import STORE, Files, Filled, Limits, Prepared, Wanting, ask, fill, name_all, prepare, put
from tram.act.target import Target, targets
from tram.core.errors import BadInput, TramError
from tram.register import Host, Province, Site

MIRROR_PORT = 8443
"""Of roles mirror and site_cache."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Who is staged for: the hosts with their packages; the runtime's parts by digest; what each site's line may carry
    now (None: nothing, it is not the hour)."""

    hosts: Sequence[tuple[Site, Host]]
    packages: Mapping[str, Sequence[str]]
    runtime: Mapping[str, bytes]
    limits: Mapping[str, Limits | None]
    dry: bool = False
    parallel: int = 8


@dataclass(slots=True)
class Standing:
    """One host: how many files and bytes it lacks (None: not known), what was brought to it, and what is in the way.
    `why`: "hours" or "cap" when its own part waits for that."""

    host: str
    site: str
    files: int | None = None
    bytes: int | None = None
    prepared: Prepared | None = None
    why: str = ""
    problem: TramError | None = None

    @property
    def ready(self) -> bool:
        """Whether nothing is left to do for it."""
        return self.problem is None and not self.why and (self.prepared is None or not self.prepared.note)


@dataclass(slots=True)
class Cache:
    """One cache: how it went there, or what is in the way; `why`: it waits for the hours."""

    host: str
    site: str
    filled: Filled | None = None
    why: str = ""
    problem: TramError | None = None

    @property
    def ready(self) -> bool:
        """Whether it has everything."""
        return self.filled is not None and not self.filled.left and not self.filled.problems


@dataclass(slots=True)
class Staged:
    """How it stands: caches, the hub's first, and hosts in order; `stored` bytes went to the hub's bundle store."""

    caches: list[Cache] = field(default_factory=list)
    hosts: list[Standing] = field(default_factory=list)
    stored: int = 0

    @property
    def ready(self) -> bool:
        """Whether the wave finds everything there."""
        return all(cache.ready for cache in self.caches) and all(host.ready for host in self.hosts)


Tell = Callable[[str, int, int, str], None]
"""Host of a cache, bytes fetched, bytes to fetch, what it is about."""


def stage(province: Province, plan: Plan, key: CentreKey, tell: Tell) -> Staged:
    """Everything, the hub first; sites side by side, a site's line carrying one thing at a time.

    Raises: BadInput when the hub has no package cache; NotReached, StepFailed when that cannot be used.
    """
    hub = cache_of(province.hub)
    if hub is None:
        raise BadInput(
            f"{province.folder}: the hub has no host with the function hub_cache",
            hint=f"add it in sites/{province.hub.code}.yml, then run playbooks/base.yml",
        )
    return _Staging(province, plan, key, tell).run(hub)


def with_function(site: Site, function: str) -> Host | None:
    """The first host of a site that has a function."""
    return next((host for host in site.hosts if function in host.functions), None)


def cache_of(site: Site) -> Host | None:
    """The host of a site that keeps packages for the others; the hub's is what all others draw from."""
    return with_function(site, "hub_cache" if site.is_hub else "site_cache")


class _Staging:
    """One `stage`, under way."""

    def __init__(self, province: Province, plan: Plan, key: CentreKey, tell: Tell) -> None:
        self.province, self.plan, self.key, self.tell = province, plan, key, tell
        self.hosts = {host.inventory_name: host for _, host in plan.hosts}
        self.found = Staged(hosts=[Standing(host.inventory_name, site.code) for site, host in plan.hosts])
        self.store = with_function(province.hub, "mirror")
        self.sizes = {name: len(data) for name, data in plan.runtime.items()} if self.store else {}
        self._lock = Lock()

    def run(self, hub: Host) -> Staged:
        """The hub, its store, then the sites."""
        with ThreadPoolExecutor(self.plan.parallel) as pool:
            answers = list(pool.map(self._ask, self.found.hosts))
            wanting = [answer for answer in answers if answer and answer.packages]
            cache = Cache(hub.inventory_name, self.province.hub.code)
            self.found.caches.append(cache)
            cache.filled = self._fill(hub, hosts=wanting, limits=Limits(dry=self.plan.dry))
            for standing in self.found.hosts:
                _note(standing, cache.filled.by_host.get(standing.host))
            if self.store and self.plan.runtime and not self.plan.dry:
                with come(self._target(self.store), self.key) as session:
                    self.found.stored = put(session, STORE, self.plan.runtime)
                    name_all(session, STORE, "runtime", self.plan.runtime)
            codes = {site.code for site, _ in self.plan.hosts}
            list(pool.map(self._site, [site for site in self.province.sites if site.code in codes]))
        order = [site.code for site in self.province.sites]
        self.found.caches.sort(key=lambda one: (one.site != self.province.hub.code, order.index(one.site)))
        return self.found

    def _target(self, host: Host) -> Target:
        return targets(self.province, [host.inventory_name])[0]

    def _ask(self, standing: Standing) -> Wanting | None:
        """What a host has; one that cannot be asked keeps the reason."""
        try:
            return ask(self._target(self.hosts[standing.host]), self.key, self.plan.packages[standing.host])
        except TramError as problem:
            standing.problem = problem
            return None

    def _fill(self, host: Host, **given: Any) -> Filled:
        name = host.inventory_name
        return fill(self._target(host), self.key, tell=lambda *words: self.tell(name, *words), **given)

    def _site(self, site: Site) -> None:
        """One site: its cache, then what is brought to its hosts themselves."""
        mine = [standing for standing in self.found.hosts if standing.site == site.code]
        host = None if site.is_hub else cache_of(site)
        cache = Cache(host.inventory_name, site.code) if host else None
        if cache:
            with self._lock:
                self.found.caches.append(cache)
        limits = self.plan.limits[site.code]
        if limits is None:
            for standing in mine:
                standing.why = "hours"
            if cache:
                cache.why = "hours"
            return
        left = limits.max_bytes
        if host and cache:
            self._site_cache(host, cache, mine, limits)
            left = None if left is None else left - (cache.filled.fetched if cache.filled else 0)
        # What is brought to hosts comes last: how much package lists are is known when they have come.
        why = cache.filled.why_left if cache and cache.filled else ""
        for standing in mine:
            if standing.problem is not None:
                continue
            if why or (left is not None and left <= 0):
                standing.why = why or "cap"
                continue
            self._prepare(standing, host or self.store, limits)
            if left is not None and standing.prepared and not cache:
                left -= standing.prepared.lists + standing.prepared.runtime

    def _site_cache(self, host: Host, cache: Cache, mine: Sequence[Standing], limits: Limits) -> None:
        """What the site's hosts lack, and the parts of the runtime, at their own cache."""
        known = self.found.caches[0].filled
        files: dict[str, int] = {}
        for standing in mine:
            if known and standing.host in known.by_host:
                files |= known.by_host[standing.host].files
        bundles = {f"/bundles/{name}": size for name, size in self.sizes.items()}
        try:
            cache.filled = self._fill(host, files=files, mirror=(host, MIRROR_PORT, bundles), limits=limits)
        except TramError as problem:
            cache.problem = problem

    def _prepare(self, standing: Standing, at: Host | None, limits: Limits) -> None:
        """What is brought to a host itself, from the cache it has."""
        way = (at or self.province.hub_host, MIRROR_PORT)
        try:
            target = self._target(self.hosts[standing.host])
            standing.prepared = prepare(target, self.key, way, self.sizes, limits=limits)
        except TramError as problem:
            standing.problem = problem


def _note(standing: Standing, files: Files | None) -> None:
    """What the hub worked out for a host."""
    if files and files.wrong:
        standing.problem = TramError(f"{standing.host}: {files.wrong}", hint="correct its sources of packages")
    elif files:
        standing.files, standing.bytes = len(files.files), sum(files.files.values())


def reached(standing: Standing | Cache) -> bool:
    """Whether it answered at all."""
    return not isinstance(standing.problem, NotReached)
