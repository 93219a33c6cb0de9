"""What travels on a stick is closed for one host: with age, for the ssh key the host has anyway (docs/adr/0010)."""

from __future__ import annotations

import pyrage  # type: ignore[import-untyped]

from tram.core.errors import BadInput, ProgramFailed
from tram.core.run import run
from tram.register import Host, Province
from tram.register.connection import connection


def pinned_key(province: Province, host: Host) -> str:
    """The ed25519 key that was pinned for a host when it was taken over: "ssh-ed25519 AAAA…".

    Raises: BadInput when none is pinned, because then nobody vouched for any.
    """
    pins = connection(province).known_hosts
    try:
        found = run(["ssh-keygen", "-F", host.inventory_name, "-f", pins]).stdout.splitlines()
    except ProgramFailed:  # no such file, or no such host in it
        found = []
    for line in found:
        words = line.split()
        if words[1:2] == ["ssh-ed25519"] and not line.startswith(("#", "@")):
            return " ".join(words[1:3])
    hint = f"tram host bootstrap {host.inventory_name} pins it; or copy its line from another centre"
    raise BadInput(f"{pins}: no ed25519 key of {host.inventory_name} is pinned", hint=hint)


def seal(data: bytes, host_key: str) -> bytes:
    """The data so that only the host with this key reads them: `age -d -i /etc/ssh/ssh_host_ed25519_key`. It says
    nothing about who sealed them; the order inside is signed for that. Each call gives other bytes.

    Raises: BadInput for a key that is no ed25519 key of ssh.
    Source: age-encryption.org/v1, recipient type ssh-ed25519.
    """
    try:
        recipient = pyrage.ssh.Recipient.from_str(host_key)
    except pyrage.RecipientError as error:
        message = f'"{host_key[:40]}" is not an ed25519 key of ssh'
        raise BadInput(message, hint="it looks like: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5…") from error
    return bytes(pyrage.encrypt(data, [recipient]))
