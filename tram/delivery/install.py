"""Put runtime and runner on a host that has none, over a line that may break at any byte."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from tram.bundle import allowed_signers
from tram.bundle.runtime import Runtime
from tram.core.canonical import dumps
from tram.core.errors import TramError
from tram.delivery.line import Line, LineLost
from tram.delivery.progress import Phase, Teller
from tram.register import Host, Province, Site

STATE = "/var/lib/tram/site"
_PIECE_BYTES = 1 << 14
_LINE_BYTES = 4096
_KEPT_BEFORE = 1  # older runtimes that stay, for runs that began with them
_SSH_PORT = 22

SiteFiles = Mapping[str, tuple[int, str]]


class NotInstalled(TramError):
    """The host cannot take the runtime; the sentence says why."""


def install(line: Line, files: SiteFiles, runtime: Runtime, teller: Teller) -> None:
    """Bring this host to `runtime`: what is there already is not sent again, and again changes nothing.

    Raises: NotInstalled; LineLost, and then calling it again goes on from what the host has.
    """
    source = resources.files("tram.delivery").joinpath("installer.py").read_bytes()
    content = runtime.path.read_bytes()
    asked = {
        "id": runtime.id,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "keep": _KEPT_BEFORE,
        "files": [[path, mode, text] for path, (mode, text) in files.items()],
        "commands": [
            ["systemctl", "daemon-reload"],
            ["systemctl", "enable", "--quiet", "tram-site.service"],
            ["systemctl", "enable", "--quiet", "--now", "tram-site.path"],
        ],
    }
    line.write(f"{len(source)}\n".encode() + source + json.dumps(asked).encode() + b"\n")
    have = _have(_answer(line))
    teller.tell(heard=True, phase=Phase.INSTALLING, sent=have, total=len(content), note="")
    for start in range(have, len(content), _PIECE_BYTES):
        line.write(content[start : start + _PIECE_BYTES])
        while line.waiting():
            teller.tell(heard=True, sent=_have(_answer(line)))
    while True:
        answer = _answer(line)
        if answer.get("done"):
            teller.tell(heard=True, sent=len(content), task="")
            line.finish()
            return
        if "have" in answer:
            teller.tell(heard=True, sent=_have(answer))
        else:
            teller.tell(heard=True, task=str(answer.get("step", ""))[:40])


def site_files(province: Province, site: Site, host: Host) -> SiteFiles:
    """Every file that makes a host ours beside the runtime itself: path → (mode, text)."""
    config: dict[str, Any] = {"province": province.code, "site": site.code, "host": host.inventory_name}
    if not site.is_hub:  # who is asked whether the line is up: an answer of any kind will do
        config["probes"] = [[str(province.hub_host.address), _SSH_PORT]]
    rule = f"{province.operator} ALL=(root) NOPASSWD: /usr/local/sbin/tram-site exchange\n"
    courier = resources.files("tram.delivery").joinpath("courier.sh").read_text()
    return {
        "/etc/systemd/system/tram-site.service": (0o644, SERVICE),
        "/etc/systemd/system/tram-site.path": (0o644, PATH),
        "/etc/sudoers.d/tram-site": (
            0o440,
            f"# Managed by tram: the centre's exchange with this host's runner.\n{rule}",
        ),
        "/usr/local/sbin/tram-courier": (0o755, courier),
        f"{STATE}/allowed_signers": (0o600, allowed_signers(province)),
        f"{STATE}/config.json": (0o600, dumps(config).decode()),
    }


def _answer(line: Line) -> dict[str, Any]:
    """One line of the installer's.

    Raises: NotInstalled when it says what is in the way; LineLost when it says nothing sensible.
    """
    text = bytearray()
    while not text.endswith(b"\n"):
        text += line.read(1)
        if len(text) > _LINE_BYTES:
            raise LineLost("the installer's answer has no end")
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise LineLost(f"the installer answers {bytes(text[:80])!r}")
    if "error" in found:
        words = str(found["error"])[:500]
        if words.startswith("the connection"):
            raise LineLost(words)
        raise NotInstalled(
            f"the runtime cannot be installed: {words}", hint="correct that on the host, then run this again"
        )
    return found


def _have(answer: dict[str, Any]) -> int:
    have = answer.get("have")
    return have if type(have) is int and have >= 0 else 0


# Nothing of ours idles on the host: systemd itself wakes the service when an order comes, and at boot the service looks
# once whether a power cut left something.
SERVICE = """\
# Managed by tram.
[Unit]
Description=Carry out the centre's orders that wait on this host
Documentation=man:ansible-playbook(1)
After=network.target local-fs.target

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/tram-site drain
# The executor is a process of its own and goes on when this one is killed; the next start finds it.
KillMode=process
Restart=on-failure
RestartSec=10
TimeoutStartSec=infinity
Nice=5
IOSchedulingClass=best-effort
IOSchedulingPriority=6
UMask=0077

[Install]
WantedBy=multi-user.target
"""

PATH = """\
# Managed by tram.
[Unit]
Description=Wake the runner when an order of the centre's waits

[Path]
PathExistsGlob=/var/lib/tram/site/queue/*.json
MakeDirectory=no

[Install]
WantedBy=paths.target
"""
