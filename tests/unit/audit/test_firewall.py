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


def told(loaded: str, disk: str | None) -> dict[str, tuple[str, ...]]:
    """What is said of the tables of the file."""
    text = loaded if disk is None else f"{loaded}\nON DISK\n{disk}\n"
    return {key: values for key, values in firewall(text).items() if key.startswith("table")}


def test_a_table_that_is_loaded_as_the_file_has_it_is_as_on_disk() -> None:
    passed = ruleset([{"counter": {"packets": 9, "bytes": 999}}, ACCEPT], [DROP])
    fresh = ruleset([{"counter": {"packets": 0, "bytes": 0}}, ACCEPT], [DROP])
    assert told(passed, fresh) == {"table inet t": ("as on disk",)}


@pytest.mark.parametrize(
    "rules",
    [([ACCEPT], [DROP], [DROP]), ([ACCEPT],), ([DROP], [ACCEPT])],
    ids=["one more", "one less", "in another order"],
)
def test_rules_changed_by_hand_are_not_what_is_on_disk(rules: tuple[list[dict[str, Any]], ...]) -> None:
    assert told(ruleset(*rules), ruleset([ACCEPT], [DROP])) == {"table inet t": ("is not what is on disk",)}


def test_another_policy_is_not_what_is_on_disk() -> None:
    assert told(ruleset([ACCEPT], policy="accept"), ruleset([ACCEPT])) == {"table inet t": ("is not what is on disk",)}


def test_a_table_that_only_the_file_has_is_not_loaded() -> None:
    assert told(json.dumps({"nftables": []}), ruleset([ACCEPT])) == {"table inet t": ("is not loaded",)}


def test_tables_of_others_are_their_own_business() -> None:
    others = {"nftables": [*json.loads(ruleset([ACCEPT]))["nftables"], {"table": {"family": "inet", "name": "f2b"}}]}
    assert told(json.dumps(others), ruleset([ACCEPT])) == {"table inet t": ("as on disk",)}


def test_what_packets_bring_into_a_set_is_no_difference() -> None:
    def with_set(*members: str) -> str:
        one = {"family": "inet", "table": "t", "name": "seen", "flags": ["dynamic"], "elem": list(members)}
        return json.dumps({"nftables": [{"set": one}]})

    assert told(with_set("192.0.2.7"), with_set()) == {"table inet t": ("as on disk",)}


def test_a_file_that_cannot_be_loaded_is_said_so_in_nft_s_words() -> None:
    assert told(ruleset([ACCEPT]), "/etc/nftables.conf:3:1-4: Error: syntax error") == {
        "table": ("the file on disk cannot be loaded: /etc/nftables.conf:3:1-4: Error: syntax error",)
    }


def test_a_host_without_the_file_has_nothing_to_compare() -> None:
    assert told(ruleset([ACCEPT]), None) == {}
