"""What is to be put on a host so that it carries out orders. Putting it there is the installer's work."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tram.core.errors import BadInput

_HERE = Path(__file__).parent
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_STATE = "/var/lib/tram/site"
_UNITS = "/etc/systemd/system"

# After the files are there, in this order; each may be repeated.
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("systemd-tmpfiles", "--create", "tram-site.conf"),
    ("systemctl", "daemon-reload"),
    ("systemctl", "enable", "--quiet", "tram-site.service", "tram-site.path"),
    ("systemctl", "restart", "tram-site.path"),
)


@dataclass(frozen=True, slots=True)
class Put:
    """One file to be there: absolute path, content, mode; owner root."""

    path: str
    content: bytes
    mode: int = 0o644


def install_plan(
    province: str,
    site: str,
    host: str,
    *,
    operator: str,
    allowed_signers: str,
    probes: Sequence[tuple[str, int]] = (),
) -> tuple[Put, ...]:
    """Files for one host; the runtime is at /opt/tram/runtime/<id>/ and `current` leads to it before they are put.

    `allowed_signers`: whose orders the host takes, in OpenSSH's format. `operator`: the account the centre logs in
    with. `probes`: addresses and ports at the hub that answer while the line is up.

    Raises: BadInput for an operator's name that sudo might read as something else, or no signer.
    """
    if not _ACCOUNT.fullmatch(operator):
        raise BadInput(f'"{operator}" is not the name of an account')
    if not allowed_signers.startswith(f"centre@{province} "):
        raise BadInput(f"no public key of the centre of {province}", hint="tram deliver makes it with the first order")
    config = {"province": province, "site": site, "host": host, "probes": [list(probe) for probe in probes]}
    return (
        Put("/usr/lib/tmpfiles.d/tram-site.conf", _read("tram-site.tmpfiles")),
        Put(f"{_STATE}/config.json", json.dumps(config, sort_keys=True, indent=1).encode() + b"\n", 0o600),
        Put(f"{_STATE}/allowed_signers", allowed_signers.encode(), 0o600),
        Put(f"{_UNITS}/tram-site.service", _read("tram-site.service")),
        Put(f"{_UNITS}/tram-site.path", _read("tram-site.path")),
        Put("/etc/sudoers.d/91-tram-site", _read("tram-site.sudoers").replace(b"@OPERATOR@", operator.encode()), 0o440),
        Put("/usr/local/sbin/tram-courier", _read("tram-courier.sh"), 0o755),
        Put("/usr/local/sbin/tram-site", _read("tram-site.sh"), 0o755),
    )


def _read(name: str) -> bytes:
    return (_HERE / name).read_bytes()
