"""The lab's wiring: a router and a LAN a site, hosts on the LAN, a WAN line from each outlying site to the hub.

```
 host ── LAN ── router of the site ──(wire)── core: router of the hub ── LAN ── hub's hosts
                                               └ the centre's seat, and the uplink
```
Everything is inside the lab's own namespaces, so two labs may use the same addresses, and the machine's own network has
no interface, route or rule of ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from tram.core.run import run
from tram.lab import netem
from tram.lab.line import Line
from tram.lab.namespace import add_namespace, ip, namespaces, set_router
from tram.lab.paths import LabPaths
from tram.lab.process import find, wait_gone
from tram.register import Province, Site

WIRE_MODULE = "tram.lab.wire"
UPLINK_MODULE = "tram.lab.uplink"
_INOTIFY_INSTANCES = 4096  # some 300 hosts


@dataclass(frozen=True, slots=True)
class Lan:
    """A site's LAN: its router's namespace, gateway address and network."""

    namespace: str
    gateway: IPv4Address
    network: IPv4Network

    @property
    def gateway_cidr(self) -> str:
        return f"{self.gateway}/{self.network.prefixlen}"


def lan_of(paths: LabPaths, site: Site) -> Lan:
    """Where a site's LAN is; its gateway is the first address of its network."""
    namespace = paths.core if site.is_hub else paths.router(site.code)
    return Lan(namespace, next(site.network.hosts()), site.network)


def line_of(site: Site) -> Line:
    """The line the register gives a site."""
    assert site.link is not None, "the register gives every site but the hub a link"
    return Line(site.link.down_bps, site.link.up_bps, site.link.rtt.total_seconds(), site.link.loss)


def device_of(province: Province, site: Site) -> str:
    """Name of the hub router's interface to a site (names of interfaces are 15 bytes at most, site codes longer)."""
    return f"w{province.sites.index(site)}"


def allow_many_hosts() -> None:
    """Raise the machine's bound on inotify instances, which all hosts share, until its next reboot.

    A systemd takes about a dozen, and one that gets none fails in odd places ("Too many open files").
    Source: inotify(7).
    """
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    if int(limit.read_text()) < _INOTIFY_INSTANCES:
        limit.write_text(f"{_INOTIFY_INSTANCES}\n")


def build(paths: LabPaths, province: Province) -> None:
    """Lay all of the wiring and start the lines and the uplink."""
    allow_many_hosts()
    core = lan_of(paths, province.hub)
    _add_router(core)
    for site in province.sites:
        if not site.is_hub:
            _add_site(paths, province, site, core)
    for site in province.sites:
        _add_hosts(paths, site)
    _spawn(paths, "uplink", UPLINK_MODULE, ["--address", str(core.gateway)])


def _add_router(lan: Lan) -> None:
    add_namespace(lan.namespace)
    set_router(lan.namespace)
    ip(lan.namespace, ["link add lan type bridge", f"addr add {lan.gateway_cidr} dev lan", "link set lan up"])


def _add_site(paths: LabPaths, province: Province, site: Site, core: Lan) -> None:
    lan, device = lan_of(paths, site), device_of(province, site)
    _add_router(lan)
    if netem.available():
        netem.lay(core.namespace, device, lan.namespace)
    else:
        ip(core.namespace, [f"tuntap add dev {device} mode tun"])
        ip(lan.namespace, ["tuntap add dev wan mode tun"])
    ip(core.namespace, [f"link set {device} up", f"route add {lan.network} dev {device} src {core.gateway}"])
    ip(lan.namespace, ["link set wan up", f"route add default dev wan src {lan.gateway}"])
    if netem.available():
        netem.shape(core.namespace, device, lan.namespace, line_of(site))
    else:
        line = json.dumps(asdict(line_of(site)))
        _spawn(paths, f"{site.code}.wire", WIRE_MODULE, ["--site", site.code, "--device", device, "--line", line])


def _add_hosts(paths: LabPaths, site: Site) -> None:
    lan = lan_of(paths, site)
    for number, host in enumerate(site.hosts):
        namespace = paths.host(host.inventory_name)
        add_namespace(namespace)
        ip(lan.namespace, [
            f"link add h{number} type veth peer name host0 netns {namespace}",
            f"link set h{number} master lan up",
        ])  # fmt: skip
        ip(namespace, [
            f"addr add {host.address}/{site.network.prefixlen} dev host0",
            "link set host0 up",
            f"route add default via {lan.gateway}",
        ])  # fmt: skip


def plug(paths: LabPaths, site: Site, host: str, *, lit: bool) -> None:
    """Whether the site's switch sees anybody at a host's port. A host's namespace, which outlives it, would go on
    answering pings and refusing connections, as no machine without power does."""
    number = [one.inventory_name for one in site.hosts].index(host)
    ip(lan_of(paths, site).namespace, [f"link set h{number} {'up' if lit else 'down'}"])


def _spawn(paths: LabPaths, log: str, module: str, arguments: list[str]) -> None:
    paths.run.mkdir(parents=True, exist_ok=True)
    with (paths.run / f"{log}.log").open("ab") as out:
        subprocess.Popen(
            [sys.executable, "-m", module, "--lab", paths.name, *arguments],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip


def helpers(paths: LabPaths) -> list[int]:
    """PIDs of the lab's lines and uplink."""
    return find(WIRE_MODULE, "--lab", paths.name) + find(UPLINK_MODULE, "--lab", paths.name)


def remove(paths: LabPaths) -> None:
    """Take away every line, namespace and interface of the lab, whatever state a crash left them in."""
    for pid in helpers(paths):
        os.kill(pid, signal.SIGKILL)
        wait_gone(pid, timedelta(seconds=5))
    for name in namespaces(paths.prefix):
        # Whoever is still inside (a connection through the centre's seat, say) would keep the namespace alive.
        for inside in run(["ip", "netns", "pids", name]).stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(inside), signal.SIGKILL)
        run(["ip", "netns", "delete", name])
