"""What listens, and who can reach it."""

from __future__ import annotations

from tram_audit.settings import Settings, gather


def ports(text: str) -> Settings:
    """`ss -Hltunp`: "tcp/25" → "address program" for what others can reach; "local tcp/783" for what only we can."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        parts = line.split(maxsplit=6)
        if len(parts) < 5:
            continue
        address, _, port = parts[4].rpartition(":")
        bare = address.strip("[]").split("%")[0]
        program = parts[6].split('"')[1] if len(parts) > 6 and '"' in parts[6] else "?"
        own = "local " if bare == "::1" or bare.startswith("127.") else ""
        found.append((f"{own}{parts[0]}/{port}", f"{bare} {program}"))
    if not found:
        raise ValueError("nothing listens, not even sshd")
    return gather(found)
