"""Network namespaces: entering one from Python, and building with `ip` inside them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tram.core.run import Ran, run

NETNS = Path("/run/netns")
_CLONE_NEWNET = 0x40000000  # linux/sched.h


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Be in a network namespace (this thread only). Sockets and TUN descriptors opened there stay there.

    Raises: OSError when there is no such namespace. Source: setns(2); os.setns comes with Python 3.12 only.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/self/ns/net").open() as home, (NETNS / namespace).open() as there:
        if libc.setns(there.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"{namespace}: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            libc.setns(home.fileno(), _CLONE_NEWNET)


def add_namespace(name: str) -> None:
    """Make a namespace with its loopback up."""
    run(["ip", "netns", "add", name])
    ip(name, ["link set lo up"])


def ip(namespace: str, commands: Sequence[str]) -> Ran:
    """Run `ip` commands (one string each, words separated by blanks) in a namespace, up to the first that fails."""
    return run(["ip", "-n", namespace, "-batch", "-"], stdin="\n".join(commands) + "\n")


def set_router(namespace: str) -> None:
    """Let a namespace forward between its interfaces."""
    with inside(namespace):
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")


def namespaces(prefix: str) -> list[str]:
    """Names of the namespaces that begin so."""
    return sorted(entry.name for entry in NETNS.glob(f"{prefix}*")) if NETNS.is_dir() else []
