"""A WAN line in userspace: one process between two TUN devices, for kernels without netem.

`python -m tram.lab.wire --lab NAME --site SITE --line JSON`. Each direction serialises packets at its rate, then holds
them for half the round-trip time, and loses some of them after that, as a line does. While cut, everything is lost and
no end is told. Control: one JSON object a line on a unix socket, answered by the line's settings and counters.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import random
import select
import socket
import struct
import time
from collections import deque
from dataclasses import asdict, dataclass, field, replace

from tram.lab.line import Line
from tram.lab.namespace import inside
from tram.lab.paths import LabPaths, lab_paths

_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_IFF_TUN_NO_PI = 0x1001
_LARGEST_PACKET = 65535
# Packets read from one end before the other end and the timers get their turn.
_BURST = 64

SITE_DEVICE = "wan"


@dataclass(slots=True)
class Direction:
    """One way of the line. Times are seconds on the monotonic clock, counters are packets and bytes."""

    rate_bps: int
    free_at: float = 0.0
    last_due: float = 0.0
    flying: deque[tuple[float, bytes]] = field(default_factory=deque)
    packets: int = 0
    carried: int = 0
    lost: int = 0
    overflowed: int = 0

    def accept(self, packet: bytes, now: float, line: Line, chance: random.Random) -> None:
        """Put a packet on the line, or lose it."""
        if line.cut:
            self.lost += 1
            return
        start = max(now, self.free_at)
        if start - now > line.queue:
            self.overflowed += 1
            return
        self.free_at = start + len(packet) * 8 / self.rate_bps
        if line.loss and chance.random() < line.loss_each_way:
            self.lost += 1
            return
        # Never overtake: a delay made shorter while packets fly must not reorder them.
        self.last_due = max(self.free_at + line.delay, self.last_due)
        self.flying.append((self.last_due, packet))

    def deliver(self, now: float, out: int) -> None:
        """Hand over what has arrived by now."""
        while self.flying and self.flying[0][0] <= now:
            packet = self.flying.popleft()[1]
            try:
                os.write(out, packet)
            except OSError:
                self.lost += 1
                continue
            self.packets += 1
            self.carried += len(packet)

    def cut(self) -> None:
        """Lose what is under way."""
        self.lost += len(self.flying)
        self.flying.clear()
        self.free_at = self.last_due = 0.0

    def counters(self) -> dict[str, int]:
        return {"packets": self.packets, "bytes": self.carried, "lost": self.lost, "overflowed": self.overflowed}


class Wire:
    """The line between the hub's router and one site's router."""

    def __init__(self, line: Line, core: int, site: int, seed: str) -> None:
        self.line = line
        self.ends = {core: (Direction(line.down_bps), site), site: (Direction(line.up_bps), core)}
        self.down, self.up = (direction for direction, _ in self.ends.values())
        # Seeded by the line's name: the same lab loses the same packets again.
        self.chance = random.Random(seed)  # noqa: S311 (losing packets is no cryptography)

    def change(self, changes: dict[str, object]) -> dict[str, object]:
        """Apply new settings (fields of `Line`) and return settings and counters."""
        self.line = replace(self.line, **changes)  # type: ignore[arg-type]
        self.down.rate_bps, self.up.rate_bps = self.line.down_bps, self.line.up_bps
        if self.line.cut:
            self.down.cut()
            self.up.cut()
        return {**asdict(self.line), "down": self.down.counters(), "up": self.up.counters()}

    def pump(self, ready: list[int]) -> None:
        """Read from the ends that have something, deliver what is due."""
        for end in ready:
            direction, _ = self.ends[end]
            for _ in range(_BURST):
                try:
                    packet = os.read(end, _LARGEST_PACKET)
                except BlockingIOError:
                    break
                direction.accept(packet, time.monotonic(), self.line, self.chance)
        now = time.monotonic()
        for direction, out in self.ends.values():
            direction.deliver(now, out)

    def patience(self) -> float | None:
        """Seconds until the next packet is due; None when none is under way."""
        due = [direction.flying[0][0] for direction, _ in self.ends.values() if direction.flying]
        return max(0.0, min(due) - time.monotonic()) if due else None


def open_tun(namespace: str, device: str) -> int:
    """Attach to a persistent TUN device inside a network namespace; returns a non-blocking descriptor.

    Source: linux Documentation/networking/tuntap.rst.
    """
    with inside(namespace):
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TUN_NO_PI))
    return tun


def ask(paths: LabPaths, site: str, changes: dict[str, object]) -> dict[str, object]:
    """Send changes (may be empty) to a running wire; returns its settings and counters.

    Raises: OSError when no wire listens.
    """
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(paths.wire_socket(site)))
        client.sendall(json.dumps(changes).encode() + b"\n")
        answer: dict[str, object] = json.loads(client.makefile().readline())
    return answer


def _answer(server: socket.socket, wire: Wire) -> None:
    client, _ = server.accept()
    with client:
        client.settimeout(1)
        try:
            reply = wire.change(json.loads(client.makefile().readline()))
        except (OSError, ValueError, TypeError) as error:
            reply = {"error": str(error)}
        with contextlib.suppress(OSError):  # whoever asked may have gone; the line goes on
            client.sendall(json.dumps(reply).encode() + b"\n")


def main() -> None:
    """Run until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lab", required=True)
    parser.add_argument("--site", required=True)
    parser.add_argument("--device", required=True, help="TUN device at the hub's router")
    parser.add_argument("--line", required=True, type=json.loads)
    args = parser.parse_args()
    paths = lab_paths(args.lab)
    core = open_tun(paths.core, args.device)
    site = open_tun(paths.router(args.site), SITE_DEVICE)
    wire = Wire(Line(**args.line), core, site, seed=f"{args.lab}/{args.site}")
    path = paths.wire_socket(args.site)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        while True:
            ready = select.select([core, site, server.fileno()], [], [], wire.patience())[0]
            if server.fileno() in ready:
                ready.remove(server.fileno())
                _answer(server, wire)
            wire.pump(ready)


if __name__ == "__main__":
    main()
