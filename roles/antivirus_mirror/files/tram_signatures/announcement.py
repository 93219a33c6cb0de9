"""The hint in DNS: which release there is. Nobody believes it; it only spares the sites' lines their asking."""

from __future__ import annotations

import subprocess

TTL_SECONDS = 5
SESSION_KEY = "/run/named/session.key"
"""What named lets this host's root change its zones with; new at each of its starts."""


def announce(domain: str, name: str, text: str) -> str:
    """Put a TXT record into the zone signatures.<domain>; return why not, or nothing."""
    zone = f"signatures.{domain}."
    script = (
        f"server 127.0.0.1\nzone {zone}\nupdate delete {name}.{zone} TXT\n"
        f'update add {name}.{zone} {TTL_SECONDS} TXT "{text}"\nsend\nanswer\n'
    )
    try:
        # Not `nsupdate -l`: it tries ::1 first, and after that is refused it sends nonsense to 127.0.0.1 (BIND 9.18).
        command = ["nsupdate", "-k", SESSION_KEY, "-t", "10"]
        done = subprocess.run(command, input=script, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else (done.stderr or done.stdout).strip().splitlines()[-1]


def announced(domain: str, name: str) -> str | None:
    """What the hub's own name server says; empty when it says nothing, None when it does not answer."""
    command = ["dig", "@127.0.0.1", "+short", "+tries=1", "+time=3", "TXT", f"{name}.signatures.{domain}."]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = [line for line in done.stdout.splitlines() if not line.startswith(";")]
    return " ".join(lines).replace('"', "") if done.returncode == 0 else None
