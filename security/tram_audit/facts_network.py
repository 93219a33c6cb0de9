"""What listens, and what the loaded ruleset lets in."""

from __future__ import annotations

import json
from typing import Any

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


def firewall(text: str) -> Settings:
    """`nft -j list ruleset`: what becomes of a packet that no rule names, "drop", "accept" or "none" (no chain there).

    "input" is for IPv4, "input6" for IPv6, "forward" alike. A chain that accepts everything in a rule of its own is
    "accept", whatever its policy says.
    """
    items = json.loads(text)["nftables"] if text.strip() else []
    chains = [item["chain"] for item in items if "chain" in item]
    rules = [item["rule"] for item in items if "rule" in item]
    found: list[tuple[str, str]] = []
    for hook in ("input", "forward"):
        for key, families in ((hook, ("inet", "ip")), (f"{hook}6", ("inet", "ip6"))):
            mine = [chain for chain in chains if chain.get("hook") == hook and chain["family"] in families]
            # Each chain of a hook must let a packet pass: one that drops is enough (nft(8), "Verdict statements").
            policies = {_policy(chain, rules) for chain in mine if chain.get("type") == "filter"}
            found.append((key, "drop" if "drop" in policies else "accept" if policies else "none"))
    return gather(found)


def _policy(chain: dict[str, Any], rules: list[dict[str, Any]]) -> str:
    mine = [rule for rule in rules if all(rule.get(key) == chain.get(key) for key in ("family", "table"))]
    own = [rule["expr"] for rule in mine if rule.get("chain") == chain["name"]]
    for expression in own:
        kinds = [next(iter(part)) for part in expression]
        plain = [kind for kind in kinds if kind not in ("counter", "log", "comment")]
        if plain in (["accept"], ["drop"]):
            return str(plain[0])
        if plain == ["reject"]:
            return "drop"
    return str(chain.get("policy", "accept"))
