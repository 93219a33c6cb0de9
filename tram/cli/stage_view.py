"""What was staged, as operators and machines see it."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tram.act.stage import Cache, Staged, Standing, reached
from tram.cli.i18n import _, both
from tram.cli.rollout_words import size

WAITS = {"hours": _("waits for quiet hours"), "cap": _("the rest is over the cap: run it again")}
_SOME = 3


def print_staged(console: Console, staged: Staged, title: str, *, dry: bool, opens: str) -> None:
    """Caches, then hosts, then what an operator can do."""
    caches = Table(title=escape(title))
    caches.add_column(both("Cache"), no_wrap=True)
    for heading in (both("Needed"), both("Missing"), both("Fetched"), both("State")):
        caches.add_column(heading, overflow="fold")
    for cache in staged.caches:
        filled = cache.filled
        sizes = [size(n) for n in (filled.needed, filled.lacking, filled.fetched)] if filled else ["?", "?", "?"]
        caches.add_row(cache.host, *sizes, _cache_word(cache, dry=dry))
    console.print(caches)
    hosts = Table()
    hosts.add_column(both("Host"), no_wrap=True)
    for heading in (both("Packages missing"), both("Package lists"), both("Runtime"), both("State")):
        hosts.add_column(heading, overflow="fold")
    for host in staged.hosts:
        missing = "?" if host.bytes is None else f"{host.files} · {size(host.bytes)}"
        brought = host.prepared
        sizes = [size(brought.lists), size(brought.runtime)] if brought else ["", ""]
        hosts.add_row(host.host, missing, *sizes, _host_word(host))
    console.print(hosts)
    for cache in staged.caches:
        for name, why in cache.filled.problems[:_SOME] if cache.filled else ():
            console.print(f"{cache.host}: {name}: {why}", markup=False, soft_wrap=True)
    everyone: list[Cache | Standing] = [*staged.caches, *staged.hosts]
    for one in everyone:
        if one.problem is not None:
            console.print(one.problem.message, markup=False, soft_wrap=True)
    if any(one.why == "hours" for one in everyone):
        console.print(_("Lines are used from {time} on; at once: --now").format(time=opens), markup=False)


def _cache_word(cache: Cache, *, dry: bool) -> str:
    if cache.problem is not None:
        return _problem(cache)
    filled = cache.filled
    if filled is None:
        return f"[yellow]{WAITS[cache.why]}[/]" if cache.why else ""
    if filled.problems:
        return f"[red]{_('{count} did not come').format(count=len(filled.problems))}[/]"
    if filled.left:
        return f"[yellow]{WAITS[filled.why_left]}[/]"
    return _("would be fetched") if dry and filled.lacking else f"[green]{_('all there')}[/]"


def _problem(one: Cache | Standing) -> str:
    return f"[red]{_('failed')}[/]" if reached(one) else f"[yellow]{_('not reached')}[/]"


def _host_word(host: Standing) -> str:
    if host.problem is not None:
        return _problem(host)
    if host.why:
        return f"[yellow]{WAITS[host.why]}[/]"
    note = host.prepared.note if host.prepared else ""
    return f"[yellow]{escape(note)}[/]" if note else f"[green]{_('prepared')}[/]"


def plain_staged(staged: Staged, stack: str, title: str, *, dry: bool) -> dict[str, Any]:
    """As JSON has it; bytes throughout, null for what is not known."""
    return {
        "stack": stack,
        "for": title,
        "dry_run": dry,
        "ready": staged.ready,
        "stored": staged.stored,
        "caches": [_plain_cache(cache) for cache in staged.caches],
        "hosts": [_plain_host(host) for host in staged.hosts],
    }


def _plain_cache(cache: Cache) -> dict[str, Any]:
    filled = cache.filled
    return {
        "host": cache.host,
        "site": cache.site,
        "needed": filled.needed if filled else None,
        "missing": filled.lacking if filled else None,
        "fetched": filled.fetched if filled else 0,
        "left": list(filled.left) if filled else [],
        "waits_for": (filled.why_left if filled else cache.why) or None,
        "problems": [{"file": name, "why": why} for name, why in filled.problems] if filled else [],
        "error": cache.problem.message if cache.problem else None,
    }


def _plain_host(host: Standing) -> dict[str, Any]:
    brought = host.prepared
    return {
        "host": host.host,
        "site": host.site,
        "files": host.files,
        "bytes": host.bytes,
        "lists": brought.lists if brought else None,
        "runtime": brought.runtime if brought else None,
        "waits_for": host.why or None,
        "note": (brought.note if brought else "") or None,
        "error": host.problem.message if host.problem else None,
    }
