"""A ruleset as nft prints it: what is a wall and what only looks like one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tram_audit.facts_firewall import firewall

ACCEPT: dict[str, Any] = {"accept": None}
DROP: dict[str, Any] = {"drop": None}
COUNTER = {"counter": {"packets": 3, "bytes": 180}}


def match(left: dict[str, Any], right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def meta(key: str, right: Any, op: str = "==") -> dict[str, Any]:
    return match({"meta": {"key": key}}, right, op)


def field(protocol: str, name: str, right: Any) -> dict[str, Any]:
    return match({"payload": {"protocol": protocol, "field": name}}, right)


def vmap(left: dict[str, Any], data: Any) -> dict[str, Any]:
    return {"vmap": {"key": left, "data": data}}


def state(*states: str) -> dict[str, Any]:
    return match({"ct": {"key": "state"}}, {"set": list(states)} if len(states) > 1 else states[0], "in")


def ruleset(*rules: list[dict[str, Any]], policy: str = "drop", more: dict[str, Any] | None = None) -> str:
    """An inet table with one input chain, and chains that can be jumped to."""
    chain = {"family": "inet", "table": "t", "name": "in", "type": "filter", "hook": "input", "policy": policy}
    named = {
        "family": "inet",
        "table": "t",
        "name": "named",
        "map": "verdict",
        "elem": [["udp", DROP], ["tcp", ACCEPT]],
    }
    items: list[Any] = [{"metainfo": {}}, {"chain": chain}, {"map": named}]
    for name, its in {"in": rules, **(more or {})}.items():
        if name != "in":
            items.append({"chain": {"family": "inet", "table": "t", "name": name}})
        items += [{"rule": {"family": "inet", "table": "t", "chain": name, "expr": expr}} for expr in its]
    return json.dumps({"nftables": items})


USUAL = (
    [meta("iifname", "lo"), ACCEPT],
    [state("established", "related"), ACCEPT],
    [field("tcp", "dport", {"set": [22, 25, 993]}), COUNTER, ACCEPT],
    [meta("l4proto", "icmp"), ACCEPT],
    [field("ip", "saddr", {"prefix": {"addr": "192.0.2.0", "len": 24}}), field("tcp", "dport", 3142), ACCEPT],
    [field("ip", "saddr", "192.0.2.10"), ACCEPT],
    [field("udp", "dport", {"range": [33434, 33523]}), ACCEPT],
)


@pytest.mark.parametrize(
    "rule",
    [
        [ACCEPT],
        [COUNTER, {"log": {"prefix": "x"}}, ACCEPT],
        [meta("iifname", "eth0"), ACCEPT],
        [meta("iifname", "lo", "!="), ACCEPT],
        [meta("l4proto", "tcp"), ACCEPT],
        [meta("l4proto", {"set": ["icmp", "tcp"]}), ACCEPT],
        [field("ip", "protocol", "tcp"), ACCEPT],
        [state("new", "established"), ACCEPT],
        [field("tcp", "dport", {"range": [1, 65535]}), ACCEPT],
        [field("ip", "saddr", {"prefix": {"addr": "0.0.0.0", "len": 0}}), ACCEPT],
        [{"jump": {"target": "more"}}],
        [{"limit": {"rate": 100, "per": "second"}}, ACCEPT],
        [match({"ct": {"key": "state"}}, "invalid", "!="), ACCEPT],
        [match({"payload": {"protocol": "ip", "field": "saddr"}}, "192.0.2.10", "!="), ACCEPT],
        [vmap({"meta": {"key": "iifname"}}, {"set": [["lo", ACCEPT], ["eth0", {"jump": {"target": "more"}}]]})],
        [vmap({"ct": {"key": "state"}}, {"set": [["established", ACCEPT], ["new", ACCEPT]]})],
        [vmap({"meta": {"key": "l4proto"}}, "@named")],
    ],
    ids=lambda rule: json.dumps(rule)[:60],
)
def test_a_rule_that_lets_everybody_in_is_no_wall_whatever_the_policy(rule: list[dict[str, Any]]) -> None:
    found = firewall(ruleset(*USUAL, rule, more={"more": [[ACCEPT]]}))
    assert found["input"] == found["input6"] == ("accept",)
    assert "open input" in found


@pytest.mark.parametrize("rules", [USUAL, (*USUAL, [DROP], [ACCEPT]), (*USUAL, [{"jump": {"target": "more"}}])])
def test_what_functions_open_leaves_the_wall_a_wall(rules: tuple[list[dict[str, Any]], ...]) -> None:
    found = firewall(ruleset(*rules, more={"more": [[field("tcp", "dport", 80), ACCEPT]]}))
    assert (found["input"], found["input6"]) == (("drop",), ("drop",))
    assert "open input" not in found


def test_a_chain_that_ends_in_a_drop_is_a_wall_also_with_an_open_policy() -> None:
    assert firewall(ruleset(*USUAL, [COUNTER, {"reject": {"type": "icmpx"}}], policy="accept"))["input"] == ("drop",)


@pytest.mark.parametrize(
    "rule",
    [
        [{"limit": {"rate": 100, "per": "second", "inv": True}}, DROP],
        [meta("iifname", "eth1"), DROP],
        [meta("nfproto", "ipv4"), DROP],
        [meta("l4proto", "tcp"), DROP],
        [field("ip", "saddr", {"prefix": {"addr": "0.0.0.0", "len": 1}}), DROP],
        [state("new"), field("tcp", "dport", {"range": [1, 65535]}), DROP],
        [meta("iifname", "eth1"), {"jump": {"target": "more"}}],
        [vmap({"meta": {"key": "iifname"}}, {"set": [["eth1", DROP]]})],
    ],
    ids=lambda rule: json.dumps(rule)[:60],
)
def test_a_drop_that_leaves_something_in_makes_no_wall(rule: list[dict[str, Any]]) -> None:
    assert firewall(ruleset(*USUAL, rule, policy="accept", more={"more": [[DROP]]}))["input"] == ("accept",)


def test_what_drops_all_but_loopback_is_a_wall() -> None:
    rules = (*USUAL, [meta("iifname", "lo", "!="), {"jump": {"target": "more"}}])
    assert firewall(ruleset(*rules, policy="accept", more={"more": [[COUNTER, DROP]]}))["input"] == ("drop",)


def test_chains_that_jump_in_a_circle_come_to_an_end() -> None:
    more = {"a": [[{"jump": {"target": "b"}}]], "b": [[{"goto": {"target": "a"}}]]}
    assert firewall(ruleset([{"jump": {"target": "a"}}], more=more))["input"] == ("drop",)


def test_without_a_ruleset_there_is_no_wall() -> None:
    assert firewall("")["input"] == ("none",)
