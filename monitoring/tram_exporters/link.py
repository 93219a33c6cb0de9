"""The exporter `link`: the site's line as the site sees it, by three small probes a minute, and by what the kernel
knows of connections that are there anyway. What happened while the line was cut is kept here and told afterwards.

Source: ss(8), tcp(7) TCP_INFO; Linux ABI/testing/sysfs-class-net.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tram_exporters import ups
from tram_exporters.machine import Machine
from tram_exporters.textfile import EARLIEST, Absent, Page, Unreadable, put

PROBES = 3
PAYLOAD_BYTES = 16
PAUSE_SECONDS = 0.4
KEPT = 15
"""Probes that quantiles and loss are of: five minutes at three a minute."""

CAUSES = ("link", "power", "host", "unknown")
_RTT = re.compile(r"\brtt:([\d.]+)/[\d.]+.*?\bminrtt:([\d.]+)")
_MTU = re.compile(r"\bpmtu:(\d+)")

Prober = Callable[[str], Sequence[float | None]]


@dataclass(frozen=True, slots=True)
class Target:
    """What is probed: a name for the label, an IPv4 address."""

    name: str
    address: str


def icmp(address: str) -> list[float | None]:
    """Round trips of a few echo requests in seconds, None for a lost one. Raises: Unreadable without the right to send.

    By icmplib's sockets: its `ping` tells single round trips from version 3 on, and Debian has 2.
    """
    import icmplib  # type: ignore[import-untyped]  # noqa: PLC0415 (only hosts that probe have it)

    found: list[float | None] = []
    try:
        with icmplib.ICMPv4Socket(privileged=True) as door:
            for number in range(PROBES):
                if number:
                    time.sleep(PAUSE_SECONDS)
                request = icmplib.ICMPRequest(address, os.getpid() & 0xFFFF, number, payload_size=PAYLOAD_BYTES)
                found.append(_answer(icmplib, door, request))
    except icmplib.ICMPLibError as error:
        raise Unreadable(f"{address}: {type(error).__name__}: {error}") from error
    return found


def _answer(icmplib: Any, door: Any, request: Any) -> float | None:
    try:
        door.send(request)
        reply = door.receive(request, 2)
        reply.raise_for_status()
    except (icmplib.TimeoutExceeded, icmplib.ICMPError):
        return None
    except icmplib.ICMPSocketError as error:
        if isinstance(error.__cause__ or error.__context__, OSError) or "unreachable" in str(error).lower():
            return None  # no route: the line is down, not our right to send
        raise
    return float(reply.time - request.time)


def collect(
    targets: Sequence[Target], state: Path, machine: Machine | None = None, probe: Prober = icmp, name: str = ""
) -> Page:
    """One run. The first target is the hub's side of the line; `name` is what the name server is asked for."""
    machine = machine or Machine()
    page, path = Page("link"), state / "link.json"
    kept = _read(path, page)
    up: dict[str, bool] = {}
    for target in targets:
        with page.reading(f"probe {target.name}"):
            up[target.name] = _probe(page, kept, target, probe(target.address))
    with page.reading("tcp"):
        _tcp(page, machine, targets)
    carrier = True
    with page.reading("carrier"):
        carrier = _carrier(page, machine)
    with page.reading("dns"):
        if name:
            _dns(page, name)
    with page.reading("outage"):
        line = up.get(targets[0].name) if targets else None
        _outage(page, kept, machine, line, carrier)
    with page.reading("history"):
        put(path, json.dumps(kept, sort_keys=True) + "\n")
    return page


def _read(path: Path, page: Page) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(kept, dict) or not isinstance(kept.get("probes", {}), dict):
            raise ValueError("no object")
        return kept
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        page.fail("history", str(error))
        return {}


def _probe(page: Page, kept: dict[str, Any], target: Target, found: Sequence[float | None]) -> bool:
    """Say a target's round trips of the last minutes, and whether it answers now."""
    probes = kept.setdefault("probes", {})
    before = [one for one in probes.get(target.address, []) if one is None or isinstance(one, int | float)]
    rows = probes[target.address] = [*before, *found][-KEPT:]
    answered = [one for one in rows if one is not None]
    label = {"target": target.name}
    up = any(one is not None for one in found)
    page.gauge("tram_link_up", "1 when a probe of this run was answered.", up, **label)
    page.gauge("tram_link_loss_ratio", "Lost probes of the last 15.", rows.count(None) / len(rows), **label)
    if up and answered:
        text = "Round trip of the last 15 probes that were answered."
        page.quantile("tram_link_rtt_seconds", text, round(statistics.median(answered), 6), "0.5", **label)
        high = sorted(answered)[min(len(answered) - 1, int(0.95 * len(answered)))]
        page.quantile("tram_link_rtt_seconds", text, round(high, 6), "0.95", **label)
    if up and len(answered) > 1:
        steps = [abs(b - a) for a, b in itertools.pairwise(answered)]
        text = "Mean difference of one round trip to the next."
        page.gauge("tram_link_jitter_seconds", text, round(statistics.fmean(steps), 6), **label)
    return up


def _tcp(page: Page, machine: Machine, targets: Sequence[Target]) -> None:
    """What the kernel measured on this host's own connections to a target: nothing is sent for it."""
    said = machine.run(["ss", "--tcp", "--info", "--numeric", "--no-header", "state", "established"], 10)
    if said.code:
        raise Unreadable(f"ss: {said.stderr.strip()[:80]}")
    bloat: list[float] = []
    # A connection is one line, or one and an indented one with what the kernel knows of it.
    for row in re.split(r"\n(?=\S)", said.stdout):
        for target in targets:
            if not re.search(rf"\s(?:\[::ffff:)?{re.escape(target.address)}\]?:\d+\s", f"{row} "):
                continue
            if found := _RTT.search(row):
                bloat.append(max(0.0, float(found[1]) - float(found[2])) / 1000)
            if mtu := _MTU.search(row):
                text = "Largest packet the way to the target takes, by the kernel."
                page.gauge("tram_link_path_mtu_bytes", text, int(mtu[1]), target=target.name)
    if not bloat:
        raise Absent("no connection to a target at this moment")
    page.gauge(
        "tram_link_bufferbloat_seconds", "Smoothed round trip less the shortest one seen, the worst.", max(bloat)
    )


def _carrier(page: Page, machine: Machine) -> bool:
    """Flaps of the device the default route leaves by; whether it has a carrier."""
    routes = [line.split() for line in machine.text("/proc/net/route").splitlines()[1:]]
    devices = sorted({row[0] for row in routes if len(row) > 7 and row[1] == row[7] == "00000000"})
    if not devices:
        raise Unreadable("no default route")
    for device in devices:
        changes = machine.number(f"/sys/class/net/{device}/carrier_changes")
        page.counter("tram_link_carrier_changes_total", "Carrier lost or found since boot.", changes, device=device)
    return any(machine.number(f"/sys/class/net/{device}/carrier") for device in devices)


def _dns(page: Page, name: str) -> None:
    began = time.monotonic()
    try:
        socket.getaddrinfo(name, None, socket.AF_INET)
    except OSError as error:
        raise Unreadable(f"{name}: {error}") from error
    page.gauge(
        "tram_link_dns_seconds", "How long a name of the hub took to resolve.", round(time.monotonic() - began, 6)
    )


def _outage(page: Page, kept: dict[str, Any], machine: Machine, up: bool | None, carrier: bool) -> None:
    """Add the time since the last run to the cause it belongs to; kept on disk, so a cut is told when it is over."""
    seconds = kept.setdefault("outage_seconds", dict.fromkeys(CAUSES, 0.0))
    for cause in CAUSES:
        value = seconds.get(cause)
        seconds[cause] = float(value) if isinstance(value, int | float) and value >= 0 else 0.0
    boot = machine.text("/proc/sys/kernel/random/boot_id")
    last = kept.get("last") if isinstance(kept.get("last"), dict) else None
    if machine.now >= EARLIEST:
        if last and 0 <= (passed := machine.now - float(last["at"])) <= 90 * 86_400:
            why = _cause(machine, last, boot, up=up, carrier=carrier)
            if why:
                seconds[why] += passed
        kept["last"] = {"at": machine.now, "boot": boot}
    text = "Seconds this site was without its line, by cause; its provider owes for `link` only."
    for cause in CAUSES:
        page.counter("tram_link_outage_seconds_total", text, round(seconds[cause], 1), cause=cause)


LATE_SECONDS = 300.0
"""Runs come every minute; after five without one the host was not running, or hung."""


def _cause(machine: Machine, last: dict[str, Any], boot: str, *, up: bool | None, carrier: bool) -> str | None:
    """Why the site was cut off since the last run; None when it was not."""
    if boot != last.get("boot"):
        return "host" if _clean(machine, float(last["at"])) else "power"
    if machine.now - float(last["at"]) > LATE_SECONDS:
        return "unknown"
    if up is not False:
        return None
    if not _mains(machine):
        return "power"
    return "link" if carrier else "unknown"


def _clean(machine: Machine, since: float) -> bool:
    """Whether the machine was shut down in order since then: its unit leaves a mark when it is stopped."""
    try:
        return float(machine.text("/var/lib/tram-exporters/shut-down")) >= since - 1
    except (Absent, Unreadable, ValueError):
        return False


def _mains(machine: Machine) -> bool:
    try:
        return not ups.on_battery(machine)
    except (Absent, Unreadable):
        return True
