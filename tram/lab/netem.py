"""The WAN line by the kernel's netem, where the kernel has it (tc-netem(8)).

The same `Line` as the userspace wire. The kernel the project was made on has no netem:
the emulator's story runs against whichever of the two a machine has, and says which.
"""

from __future__ import annotations

import functools
import json
import uuid

from tram.core.run import run
from tram.lab.line import Line
from tram.lab.namespace import ip

_BITS_PER_FULL_PACKET = 1500 * 8


@functools.cache
def available() -> bool:
    """Whether this kernel can do it, found by trying in a namespace of its own."""
    probe = f"tram.netem.{uuid.uuid4().hex[:8]}"
    run(["ip", "netns", "add", probe])
    try:
        return run(["tc", "-n", probe, "qdisc", "add", "dev", "lo", "root", "netem"], check=False).code == 0
    finally:
        run(["ip", "netns", "delete", probe])


def lay(core: str, device: str, router: str) -> None:
    """A veth pair from the hub's router (`device`) to the site's (`wan`), without a subnet of its own."""
    ip(core, [f"link add {device} type veth peer name wan netns {router}"])


def shape(core: str, device: str, router: str, line: Line) -> None:
    """Make the pair behave as the line, from now on."""
    for namespace, interface, rate in ((core, device, line.down_bps), (router, "wan", line.up_bps)):
        loss = 1.0 if line.cut else line.loss_each_way
        # Room for what flies (delay) and what waits (queue).
        limit = max(10, int(rate * (line.delay + line.queue) / _BITS_PER_FULL_PACKET))
        run([
            "tc", "-n", namespace, "qdisc", "replace", "dev", interface, "root", "netem",
            "delay", f"{line.delay * 1000:.3f}ms", "loss", f"{loss * 100:.4f}%",
            "rate", f"{rate}bit", "limit", str(limit),
        ])  # fmt: skip


def counters(namespace: str, device: str) -> dict[str, int]:
    """Packets and bytes an interface has received. Source: ip-link(8), `-s -j`."""
    shown = json.loads(run(["ip", "-n", namespace, "-s", "-j", "link", "show", "dev", device]).stdout)
    received = shown[0]["stats64"]["rx"]
    return {"packets": received["packets"], "bytes": received["bytes"]}
