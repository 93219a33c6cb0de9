"""What is to be put on a host so that it carries out orders. Putting it there is the deliverer's work."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tram.core.errors import BadInput
from tram.core.order import NAMESPACE

_HERE = Path(__file__).parent
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_STATE = "/var/lib/tram/site"
_UNITS = "/etc/systemd/system"

# After the files are there, in this order; each may be repeated.
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("systemd-tmpfiles", "--create", "tram-site.conf"),
    ("systemctl", "daemon-reload"),
    ("systemctl", "enable", "--quiet", "tram-site.service", "tram-site.path"),
    ("systemctl", "start", "tram-site.path"),
)


@dataclass(frozen=True, slots=True)
class Put:
    """One file to be there: absolute path, content, mode; owner root. With `link`: a symbolic link to that instead."""

    path: str
    content: bytes = b""
    mode: int = 0o644
    link: str | None = None


def install_plan(
    province: str,
    site: str,
    host: str,
    *,
    operator: str,
    signers: Sequence[str],
    runtime: str,
    probes: Sequence[tuple[str, int]] = (),
) -> tuple[Put, ...]:
    """Files for one host, parents first; the runtime itself is at /opt/tram/runtime/<runtime>/ before them.

    `signers`: the centre's public keys ("ssh-ed25519 AAAA…"), more than one while a key is changed. `operator`: the
    account the centre logs in with. `probes`: addresses and ports at the hub that answer while the line is up.

    Raises: BadInput for an operator's name that sudo might read as something else, or no signer.
    """
    if not _ACCOUNT.fullmatch(operator):
        raise BadInput(f'"{operator}" is not the name of an account')
    keys = [" ".join(key.split()[:2]) for key in signers]
    if not keys or any(len(key.split()) != 2 or "\n" in key for key in keys):
        raise BadInput("no public key of the centre", hint="make it: tram bundle does, with the first order")
    allowed = "".join(f'centre@{province} namespaces="{NAMESPACE}" {key}\n' for key in keys)
    config = {"province": province, "site": site, "host": host, "probes": [list(probe) for probe in probes]}
    return (
        Put("/usr/lib/tmpfiles.d/tram-site.conf", _read("tram-site.tmpfiles")),
        Put(f"{_STATE}/config.json", json.dumps(config, sort_keys=True, indent=1).encode() + b"\n", 0o600),
        Put(f"{_STATE}/allowed_signers", allowed.encode(), 0o600),
        Put(f"{_UNITS}/tram-site.service", _read("tram-site.service")),
        Put(f"{_UNITS}/tram-site.path", _read("tram-site.path")),
        Put("/etc/sudoers.d/91-tram-site", _read("tram-site.sudoers").replace(b"@OPERATOR@", operator.encode()), 0o440),
        Put("/opt/tram/runtime/current", link=runtime),
        Put("/usr/local/sbin/tram-site", _LAUNCHER, 0o755),
    )


_LAUNCHER = b"""\
#!/bin/sh
# Isolated from the environment and the working directory: this runs as root.
exec /usr/bin/python3 -I /opt/tram/runtime/current/launch.py tram.site "$@"
"""


def _read(name: str) -> bytes:
    return (_HERE / name).read_bytes()
