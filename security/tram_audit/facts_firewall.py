"""What the loaded ruleset does with a packet that nobody declared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tram_audit.settings import Settings, gather

_MANY_PORTS = 60_000
_CARRIERS = ("tcp", "udp", 6, 17, "ip", "ipv4", "ipv6", "ip6")
_PASSING = ("counter", "log", "comment", "limit", "quota")

_SUBJECTS = (("meta", "key"), ("ct", "key"), ("payload", "field"))

Rule = Mapping[str, Any]


def firewall(text: str) -> Settings:
    """`nft -j list ruleset`: what becomes of a packet that no rule names, "drop", "accept" or "none" (no chain there).

    "input" is for IPv4, "input6" for IPv6, "forward" alike. A chain in which a rule accepts whatever comes (also all of
    an interface, of TCP, of new connections, or of nearly every port, also in a chain it jumps to) is "accept" whatever
    its policy says; "open RULE" names that rule. A rule makes a chain "drop" only if no packet gets past it.
    "table inet filter" says for each table of the file on disk whether it is loaded as it stands there.
    """
    text, _, disk = text.partition("ON DISK\n")
    items = json.loads(text)["nftables"] if text.strip() else []
    chains = [item["chain"] for item in items if "chain" in item]
    maps = {(one["family"], one["table"], one["name"]): one.get("elem", []) for one in _kind(items, "map")}
    rules = [one for rule in _kind(items, "rule") for one in _without_maps(rule, maps)]
    found: list[tuple[str, str]] = []
    for hook in ("input", "forward"):
        for key, families in ((hook, ("inet", "ip")), (f"{hook}6", ("inet", "ip6"))):
            mine = [chain for chain in chains if chain.get("hook") == hook and chain["family"] in families]
            # Each chain of a hook must let a packet pass: one that drops is enough (nft(8), "Verdict statements").
            policies = [_policy(chain, rules) for chain in mine if chain.get("type") == "filter"]
            drops = any(policy == "drop" for policy, _ in policies)
            found.append((key, "drop" if drops else "accept" if policies else "none"))
            if not drops:
                found += [(f"open {key}", why) for _, why in policies if why]
    return gather([*found, *_beside(disk, items)])


def _beside(disk: str, loaded: Sequence[Rule]) -> Iterator[tuple[str, str]]:
    """Each table that the file makes, beside what is loaded; tables of others are their own business."""
    if not disk.strip():
        return
    if not disk.startswith("{"):
        yield "table", f"the file on disk cannot be loaded: {disk.strip()[:200]}"
        return
    meant, there = _tables(json.loads(disk)["nftables"]), _tables(loaded)
    for name, content in meant.items():
        same = "as on disk" if there.get(name) == content else "is not what is on disk"
        yield f"table {name}", same if name in there else "is not loaded"


def _tables(items: Sequence[Rule]) -> dict[str, tuple[list[str], list[str]]]:
    """Each table with its chains and sets, and its rules in their order; without what passing packets change."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for item in items:
        ((kind, one),) = item.items()
        if kind == "metainfo":
            continue
        name = one["name"] if kind == "table" else one["table"]
        others, rules = found.setdefault(f"{one['family']} {name}", ([], []))
        kept = {key: value for key, value in one.items() if key != "elem" or "dynamic" not in one.get("flags", ())}
        (rules if kind == "rule" else others).append(json.dumps([kind, _bare(kept)], sort_keys=True))
    return {name: (sorted(others), rules) for name, (others, rules) in found.items()}


def _bare(value: Any) -> Any:
    """Without handles and counts."""
    if isinstance(value, dict):
        return {key: _bare(one) for key, one in value.items() if key not in ("handle", "packets", "bytes")}
    return [_bare(one) for one in value] if isinstance(value, list) else value


def _policy(chain: Rule, rules: Sequence[Rule]) -> tuple[str, str]:
    """What the chain does in the end, and the rule that opens it."""
    verdict, why = _through(chain, rules, ())
    return verdict or str(chain.get("policy", "accept")), why


def _through(chain: Rule, rules: Sequence[Rule], inside: tuple[str, ...]) -> tuple[str, str]:
    """The first rule for everything: "accept" or "drop", and how it reads; nothing when there is none."""
    name = str(chain["name"])
    if name in inside or len(inside) > 16:
        return "", ""
    same = [rule for rule in rules if all(rule.get(key) == chain.get(key) for key in ("family", "table"))]
    for rule in same:
        if rule.get("chain") != name:
            continue
        verdict, target = _verdict(rule["expr"])
        if not verdict or not all(_wide(part) for part in rule["expr"]):
            continue
        why = json.dumps(rule["expr"])[:200]
        if target:
            verdict, why = _through({**chain, "name": target}, rules, (*inside, name))
        if verdict == "accept" or (verdict == "drop" and all(_always(part) for part in rule["expr"])):
            return verdict, why if verdict == "accept" else ""
    return "", ""


def _kind(items: Sequence[Rule], kind: str) -> list[Rule]:
    return [item[kind] for item in items if kind in item]


def _without_maps(rule: Rule, maps: Mapping[tuple[str, str, str], Sequence[Any]]) -> list[Rule]:
    """A rule with a verdict map as the rules it stands for: one for each of its keys."""
    for at, part in enumerate(rule["expr"]):
        if "vmap" in part:
            key, data = part["vmap"]["key"], part["vmap"]["data"]
            named = (str(rule["family"]), str(rule["table"]), str(data).removeprefix("@"))
            pairs = data["set"] if isinstance(data, dict) else maps.get(named, [])
            before = rule["expr"][:at]
            return [
                {**rule, "expr": [*before, {"match": {"op": "==", "left": key, "right": right}}, verdict]}
                for right, verdict in pairs
            ]
    return [rule]


def _verdict(expression: Sequence[Rule]) -> tuple[str, str]:
    """The verdict of a rule, and the chain it goes on in."""
    for part in expression:
        for word in ("accept", "drop", "reject"):
            if word in part:
                return ("drop" if word == "reject" else word), ""
        for word in ("jump", "goto"):
            if word in part:
                return word, str(part[word]["target"])
    return "", ""


def _wide(part: Rule) -> bool:
    """Whether a part of a rule leaves many packets of a stranger in: what is not understood narrows."""
    if "match" not in part:
        return next(iter(part)) in (*_PASSING, "accept", "drop", "reject", "jump", "goto")
    match = part["match"]
    left, right, equal = match["left"], match["right"], match.get("op") in ("==", "in", None)
    if not isinstance(left, dict):
        return False
    what = next((str(left[kind][key]) for kind, key in _SUBJECTS if key in left.get(kind, ())), "")
    if what in ("iifname", "iif", "oifname", "oif"):
        return not equal or right != "lo"
    if what in ("dport", "sport"):
        return not equal or _many(right)
    if what == "state" and not equal:
        return "new" not in _all(right)
    widening = {
        "state": lambda one: one == "new",
        **dict.fromkeys(("l4proto", "nfproto", "protocol", "nexthdr"), lambda one: one in _CARRIERS),
        **dict.fromkeys(("saddr", "daddr"), _everywhere),
    }
    return what in widening and (not equal or any(widening[what](one) for one in _all(right)))


def _always(part: Rule) -> bool:
    """Whether a part of a rule leaves every packet of a stranger in: what is not understood does not."""
    if "match" not in part:
        return next(iter(part)) in ("counter", "log", "comment", "drop", "reject", "jump", "goto")
    match = part["match"]
    return bool(match.get("op") == "!=" and match["left"] == {"meta": {"key": "iifname"}} and match["right"] == "lo")


def _all(right: Any) -> list[Any]:
    """The values of the right side of a match."""
    if isinstance(right, dict) and isinstance(right.get("set"), list):
        return list(right["set"])
    return right if isinstance(right, list) else [right]


def _many(right: Any) -> bool:
    ranges = [one["range"] for one in _all(right) if isinstance(one, dict) and "range" in one]
    return sum(int(last) - int(first) + 1 for first, last in ranges if str(first).isdigit()) >= _MANY_PORTS


def _everywhere(one: Any) -> bool:
    return isinstance(one, dict) and "prefix" in one and int(one["prefix"].get("len", 32)) <= 1
