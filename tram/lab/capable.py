"""Whether this machine can carry a lab."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from tram.core.errors import NotCapable

_PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "nc": "netcat-openbsd",
    "ssh-keygen": "openssh-client",
    "openssl": "openssl",
}


def missing() -> list[str]:
    """What this machine lacks, one phrase each; empty when it can carry a lab."""
    lacks = []
    if platform.system() != "Linux" or not Path("/etc/debian_version").exists():
        return ["Debian 12 or 13"]
    if os.geteuid() != 0:
        lacks.append("root (run with sudo)")
    lacks += [
        f"{program} (apt-get install {package})" for program, package in _PROGRAMS.items() if not shutil.which(program)
    ]
    if not Path("/dev/net/tun").exists():
        lacks.append("/dev/net/tun")
    if "overlay" not in Path("/proc/filesystems").read_text():
        lacks.append("overlayfs in the kernel")
    if not Path("/proc/self/ns/net").exists():
        lacks.append("network namespaces in the kernel")
    return lacks


def require_capable() -> None:
    """Raises: NotCapable that names everything missing in one line."""
    if lacks := missing():
        raise NotCapable(
            f"this machine cannot carry a lab: missing {', '.join(lacks)}", hint="scripts/setup.sh installs what can be"
        )
