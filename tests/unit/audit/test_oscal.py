"""The audit as OSCAL assessment results: what its schema asks for, by a small check of our own."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from tram_audit.oscal import as_oscal

from .bare import HOST, lab
from .test_results import audit

TOKEN = re.compile(r"[A-Za-z_][\w.-]*")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

# OSCAL 1.1, assessment-results: what an object must have, and what more it may have here.
SHAPE: dict[str, tuple[set[str], set[str]]] = {
    "assessment-results": ({"uuid", "metadata", "import-ap", "results"}, {"back-matter"}),
    "metadata": ({"title", "last-modified", "version", "oscal-version"}, {"props"}),
    "import-ap": ({"href"}, {"remarks"}),
    "results": (
        {"uuid", "title", "description", "start", "reviewed-controls"},
        {"end", "local-definitions", "observations", "risks", "findings"},
    ),
    "observations": (
        {"uuid", "description", "methods", "collected"},
        {"title", "props", "types", "origins", "subjects", "relevant-evidence", "remarks"},
    ),
    "risks": (
        {"uuid", "title", "description", "statement", "status"},
        {"props", "characterizations", "deadline", "mitigating-factors", "remediations", "related-observations"},
    ),
    "findings": ({"uuid", "title", "description", "target"}, {"related-observations", "related-risks"}),
    "target": ({"type", "target-id", "status"}, set()),
    "status": ({"state"}, {"reason", "remarks"}),
    "subjects": ({"subject-uuid", "type"}, {"title"}),
    "inventory-items": ({"uuid", "description"}, {"props"}),
    "props": ({"name", "value"}, {"ns"}),
    "remediations": ({"uuid", "lifecycle", "title", "description"}, set()),
    "mitigating-factors": ({"uuid", "description"}, set()),
    "assessment-platforms": ({"uuid"}, {"title", "uses-components"}),
    "components": ({"uuid", "type", "title", "description", "status"}, set()),
    "resources": ({"uuid"}, {"title", "description"}),
}


def walk(name: str, value: Any) -> None:
    """Every object of a known name has what it must and nothing unknown; no list, text or object is empty."""
    assert value not in ("", [], {}), name
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict):
            must, may = SHAPE.get(name, (set(), set(one)))
            assert must <= set(one) <= must | may, f"{name}: {sorted(one)}"
            for key, below in one.items():
                if key == "uuid" or key.endswith("-uuid"):
                    assert UUID.fullmatch(below), f"{name}.{key}: {below}"
                if key in ("collected", "start", "end", "last-modified", "deadline"):
                    assert STAMP.fullmatch(below), f"{name}.{key}: {below}"
                if key in ("control-id", "target-id") or (name == "props" and key == "name"):
                    assert TOKEN.fullmatch(below), f"{name}.{key}: {below}"
                walk(key, below)


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(as_oscal(audit(), lab()))["assessment-results"]
    return found


def test_it_has_the_shape_of_assessment_results() -> None:
    found = document()
    walk("assessment-results", found)
    assert found["metadata"]["oscal-version"] == "1.1.3"


def test_every_reference_leads_somewhere_and_no_uuid_is_there_twice() -> None:
    found = document()
    text = json.dumps(found)
    own = re.findall(r'"uuid": "([^"]+)"', text)
    assert len(own) == len(set(own))
    named = [*re.findall(r'"[a-z]+-uuid": "([^"]+)"', text), found["import-ap"]["href"].removeprefix("#")]
    assert set(named) <= set(own)


def test_what_fails_is_a_risk_what_is_waived_a_deviation_and_what_is_unknown_is_not_satisfied() -> None:
    (result,) = document()["results"]
    state = {one["target"]["target-id"]: one["target"]["status"] for one in result["findings"]}
    risks = {one["title"]: one for one in result["risks"]}
    assert state["sudo-pty"] == {"state": "satisfied", "reason": "pass"}
    assert state["ssh-no-root"]["state"] == "not-satisfied"
    waived = next(one for one in risks.values() if one["status"] == "deviation-approved")
    assert waived["title"].startswith("SSH exchanges keys")
    assert waived["deadline"] == "2026-11-21T23:59:59.000Z"
    assert "kernel-apparmor" not in state  # does not apply: observed, and no finding
    unknown = audit(error="it does not answer")
    silent = replace(unknown, hosts=tuple(replace(host, error="it does not answer") for host in unknown.hosts))
    assert "it does not answer" in as_oscal(silent, lab())


def test_the_same_audit_is_the_same_bytes_and_a_risk_keeps_its_name_in_the_next() -> None:
    assert as_oscal(audit(), lab()) == as_oscal(audit(), lab())
    now, later = (json.loads(as_oscal(audit(minute=m), lab()))["assessment-results"] for m in (0, 5))
    assert now["uuid"] != later["uuid"]
    named = [{one["uuid"] for one in each["results"][0]["risks"]} for each in (now, later)]
    assert named[0] == named[1]
    seen = [{one["uuid"] for one in each["results"][0]["observations"]} for each in (now, later)]
    assert not seen[0] & seen[1]


def test_the_host_is_an_inventory_item_with_its_address() -> None:
    (item,) = document()["results"][0]["local-definitions"]["inventory-items"]
    props = {one["name"]: one["value"] for one in item["props"]}
    assert props["asset-id"] == HOST
    assert props["ipv4-address"] == "198.51.100.10"
