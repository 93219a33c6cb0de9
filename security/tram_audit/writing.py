"""An audit as CSV (one row a control and host), and as SARIF 2.1.0 (OASIS). The page to print: `page`."""

from __future__ import annotations

import csv
import io
import json

from tram_audit.audit import Audit
from tram_audit.control import Severity
from tram_audit.judging import Status, Verdict

SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low")
STATUS_VI = {
    Status.PASS: "đạt",
    Status.FAIL: "không đạt",
    Status.NOT_APPLICABLE: "không áp dụng",
    Status.UNKNOWN: "không rõ",
    Status.WAIVED: "được miễn",
}
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
_KINDS = {
    Status.PASS: "pass",
    Status.FAIL: "fail",
    Status.NOT_APPLICABLE: "notApplicable",
    Status.UNKNOWN: "open",
    Status.WAIVED: "fail",
}


def as_csv(audit: Audit) -> str:
    """A row a control and host. Cells that a spreadsheet would take for a formula get an apostrophe in front."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["host", "site", "profile", "control", "severity", "status", "title", "reason", "evidence"])
    for host in audit.hosts:
        for verdict in host.verdicts:
            control = audit.rules.controls[verdict.control]
            reason = verdict.reason.vi if verdict.reason else ""
            row = [host.host, host.site, host.profile, control.id, control.severity, str(verdict.status)]
            row += [control.title.vi, reason, "\n".join(verdict.evidence)]
            writer.writerow(["'" + cell if cell[:1] in tuple("=+-@") else cell for cell in row])
    return "\ufeff" + file.getvalue()  # so that a spreadsheet on Windows reads it as UTF-8


def as_sarif(audit: Audit) -> str:
    """Results of SARIF 2.1.0: rules are the controls, locations the hosts; a waiver is an accepted suppression."""
    codes = list(dict.fromkeys(verdict.control for host in audit.hosts for verdict in host.verdicts))
    rules = []
    for code in codes:
        control = audit.rules.controls[code]
        rules.append(
            {
                "id": code,
                "shortDescription": {"text": control.title.en},
                "fullDescription": {"text": f"{control.why.en}. {control.attack.en}."},
                "defaultConfiguration": {"level": _LEVELS[control.severity]},
                "properties": {"severity": control.severity, "references": control.references.model_dump()},
            }
        )
    results = [
        _result(verdict, codes, audit.rules.controls[verdict.control].severity)
        for host in audit.hosts
        for verdict in host.verdicts
    ]
    notes = [
        {"level": "error", "message": {"text": f"{host.host}: {host.error}"}} for host in audit.hosts if host.error
    ]
    run = {
        "tool": {"driver": {"name": "tram audit", "rules": rules}},
        "invocations": [
            {
                "executionSuccessful": not notes,
                "endTimeUtc": audit.at.isoformat(timespec="seconds").replace("+00:00", "Z"),
                "toolExecutionNotifications": notes,
            }
        ],
        "results": results,
    }
    schema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, ensure_ascii=False, indent=1) + "\n"


def _result(verdict: Verdict, codes: list[str], severity: Severity) -> dict[str, object]:
    words = "; ".join(verdict.evidence) or (verdict.reason.en if verdict.reason else str(verdict.status))
    place = {"name": verdict.host, "fullyQualifiedName": verdict.host, "kind": "resource"}
    result: dict[str, object] = {
        "ruleId": verdict.control,
        "ruleIndex": codes.index(verdict.control),
        "kind": _KINDS[verdict.status],
        # SARIF 2.1.0, 3.27.10: level is none for any kind but fail.
        "level": _LEVELS[severity] if _KINDS[verdict.status] == "fail" else "none",
        "message": {"text": f"{verdict.host}: {words}"},
        "locations": [{"logicalLocations": [place]}],
        "partialFingerprints": {"controlAndHost/v1": f"{verdict.control}:{verdict.host}"},
    }
    if verdict.status is Status.WAIVED and verdict.reason:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": verdict.reason.en}]
    return result
