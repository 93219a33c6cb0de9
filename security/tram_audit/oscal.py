"""An audit as assessment results of OSCAL 1.1 (NIST), for those whose tools read that.

Controls are ours (security/baselines); what they refer to elsewhere is in properties. A pass is a satisfied finding, a
failure a finding with a risk, a waiver the same with the deviation approved and its last day as the deadline. What is
unknown is not satisfied. What does not apply is observed and no finding. UUIDs are made of names (RFC 9562, version
5): the same audit written twice is the same bytes, and a risk keeps its UUID from audit to audit.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, time
from typing import Any

from tram.register import Province
from tram_audit.audit import Audit, Audited
from tram_audit.control import ControlShape, Fix
from tram_audit.judging import Status, Verdict

OSCAL = "1.1.3"
NS = "https://tram.example/ns/audit"
"""Whose properties are ours; a name, there is nothing at that address (RFC 2606)."""

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:tram:audit")
_STATUS_REASON = {Status.PASS: "pass", Status.FAIL: "fail", Status.WAIVED: "fail", Status.UNKNOWN: "other"}

Object = dict[str, Any]


def as_oscal(audit: Audit, province: Province) -> str:
    """The document `assessment-results`, as JSON."""
    at = _stamp(audit.at)
    controls = sorted({verdict.control for host in audit.hosts for verdict in host.verdicts})
    plan, tool = _uuid(audit, "plan"), _uuid(audit, "tool")
    items = {host.host: _uuid(audit, "host", host.host) for host in audit.hosts}
    found = [_of(audit, host, verdict, items[host.host], tool) for host in audit.hosts for verdict in host.verdicts]
    result: Object = {
        "uuid": _uuid(audit, "result", at),
        "title": f"{province.name}: {len(audit.hosts)} hosts",
        "description": "Read-only look at what is in effect on each host, judged by controls that are data.",
        "start": at,
        "end": at,
        "local-definitions": {
            "inventory-items": [_item(host, items[host.host], province) for host in audit.hosts],
            "assessment-assets": {
                "components": [
                    {
                        "uuid": tool,
                        "type": "software",
                        "title": "tram audit",
                        "description": "Looks at hosts over ssh and judges them by security/baselines.",
                        "status": {"state": "operational"},
                    }
                ],
                "assessment-platforms": [
                    {
                        "uuid": _uuid(audit, "centre"),
                        "title": "The centre",
                        "uses-components": [{"component-uuid": tool}],
                    }
                ],
            },
        },
        "reviewed-controls": {
            "control-selections": [{"include-controls": [{"control-id": code} for code in controls]}]
        },
        "observations": [observation for observation, _, _ in found],
        "risks": [risk for _, risk, _ in found if risk],
        "findings": [finding for _, _, finding in found if finding],
    }
    document: Object = {
        "uuid": _uuid(audit, "document", at),
        "metadata": {
            "title": f"Kiểm tra an toàn hệ thống · Security audit: {province.name}",
            "last-modified": at,
            "version": at,
            "oscal-version": OSCAL,
            "props": [{"name": "marking", "value": "internal"}],
        },
        "import-ap": {"href": f"#{plan}", "remarks": "There is no plan but the baselines: security/baselines."},
        "results": [{key: value for key, value in result.items() if value}],
        "back-matter": {
            "resources": [
                {
                    "uuid": plan,
                    "title": "security/baselines",
                    "description": f"Controls and profiles; they cite {audit.rules.references.cis} and "
                    f"{audit.rules.references.anssi}.",
                }
            ]
        },
    }
    return json.dumps({"assessment-results": document}, ensure_ascii=False, indent=1) + "\n"


def _of(audit: Audit, host: Audited, verdict: Verdict, item: str, tool: str) -> tuple[Object, Object, Object]:
    """Observation, risk and finding of one verdict; the last two empty where there is none."""
    control, at = audit.rules.controls[verdict.control], _stamp(audit.at)
    who = (host.host, control.id)
    seen = _uuid(audit, "observation", at, *who)
    why = verdict.reason.en if verdict.reason else ""
    observation: Object = {
        "uuid": seen,
        "title": f"{control.id} on {host.host}: {verdict.status}",
        "description": "; ".join(verdict.evidence) or why or str(verdict.status),
        "props": [{"name": "status", "value": str(verdict.status), "ns": NS}],
        "methods": ["TEST"],
        "types": ["finding"],
        "origins": [{"actors": [{"type": "tool", "actor-uuid": tool}]}],
        "subjects": [{"subject-uuid": item, "type": "inventory-item", "title": host.host}],
        "relevant-evidence": [{"description": line} for line in verdict.evidence],
        "collected": at,
        "remarks": why,
    }
    observation = {key: value for key, value in observation.items() if value}
    if verdict.status is Status.NOT_APPLICABLE:
        return observation, {}, {}
    risk = _risk(audit, verdict, control, seen, tool) if verdict.status in (Status.FAIL, Status.WAIVED) else {}
    status: Object = {
        "state": "satisfied" if verdict.status is Status.PASS else "not-satisfied",
        "reason": _STATUS_REASON[verdict.status],
    }
    if why:
        status["remarks"] = why
    finding: Object = {
        "uuid": _uuid(audit, "finding", at, *who),
        "title": f"{control.title.en} ({host.host})",
        "description": f"{control.why.en}.",
        "target": {"type": "objective-id", "target-id": control.id, "status": status},
        "related-observations": [{"observation-uuid": seen}],
    }
    if risk:
        finding["related-risks"] = [{"risk-uuid": risk["uuid"]}]
    return observation, risk, finding


def _risk(audit: Audit, verdict: Verdict, control: ControlShape, seen: str, tool: str) -> Object:
    cited = [("cis", one) for one in control.references.cis] + [("anssi", one) for one in control.references.anssi]
    waived = verdict.status is Status.WAIVED
    risk: Object = {
        "uuid": _uuid(audit, "risk", verdict.host, control.id),
        "title": f"{control.title.en} ({verdict.host})",
        "description": f"{control.why.en}.",
        "statement": f"{control.attack.en}.",
        "props": [{"name": name, "value": value, "ns": NS} for name, value in cited],
        "status": "deviation-approved" if waived else "open",
        "characterizations": [
            {
                "origin": {"actors": [{"type": "tool", "actor-uuid": tool}]},
                "facets": [{"name": "severity", "system": NS, "value": control.severity}],
            }
        ],
        "remediations": [
            {
                "uuid": _uuid(audit, "remediation", verdict.host, control.id),
                "lifecycle": "recommendation",
                "title": f"role {control.fix.role}" if control.fix else "run the playbooks",
                "description": _remedy(control.fix),
            }
        ],
        "related-observations": [{"observation-uuid": seen}],
    }
    if waived and verdict.waiver:
        last = datetime.combine(verdict.waiver.ends(), time(23, 59, 59), UTC)
        risk["deadline"] = _stamp(last)
        risk["mitigating-factors"] = [
            {
                "uuid": _uuid(audit, "waiver", verdict.host, control.id),
                "description": f"Waived until {verdict.waiver.expires}: {verdict.waiver.reason} "
                f"({verdict.waiver.owner})",
            }
        ]
    return {key: value for key, value in risk.items() if value}


def _item(host: Audited, item: str, province: Province) -> Object:
    address = next(str(one.address) for site in province.sites for one in site.hosts if one.inventory_name == host.host)
    found: Object = {
        "uuid": item,
        "description": f"{host.host}, judged by profile {host.profile}"
        + (f"; not (wholly) seen: {host.error}" if host.error else ""),
        "props": [
            {"name": "asset-id", "value": host.host},
            {"name": "ipv4-address" if "." in address else "ipv6-address", "value": address},
            {"name": "site", "value": host.site, "ns": NS},
        ],
    }
    return found


def _remedy(fix: Fix | None) -> str:
    """What mends a failure."""
    if fix is None:
        return (
            "No variable sets it: site.yml and harden.yml bring it into effect; the rest is in the service's journal."
        )
    return f"Variable {fix.variable}" + (" (there is none yet)." if fix.planned else ".")


def _uuid(audit: Audit, *names: str) -> str:
    return str(uuid.uuid5(NAMESPACE, "\n".join((audit.province, *names))))


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
