"""What becomes of the verdicts: waivers, drift, and every way they are written."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tram.core.errors import BadInput
from tram.look import Looked, Seen
from tram_audit.audit import Audit, Audited, before, choose, compare, keep, plain
from tram_audit.control import WaiverShape
from tram_audit.judging import Status
from tram_audit.oscal import as_oscal
from tram_audit.page import as_page
from tram_audit.writing import as_csv, as_sarif

from .bare import HOST, judged, lab, looked, rules

WAIVER = WaiverShape(
    control="ssh-kex", hosts=[HOST], owner="Chuyên trách CNTT", reason="chờ thay máy", expires="2026-11-21"
)


def audit(answer: Looked | None = None, *, minute: int = 0, error: str = "") -> Audit:
    """An audit of one host that answered so."""
    by = replace(rules(), waivers=[WAIVER])
    host = Audited(HOST, "so-noi-vu", "mail", error, 1.0, tuple(judged(answer, by=by).values()))
    return Audit("lab", datetime(2026, 11, 21, 10, minute, tzinfo=UTC), by, (host,))


def test_a_waiver_counts_to_its_last_day_and_is_a_failure_the_day_after() -> None:
    by = replace(rules(), waivers=[WAIVER])
    assert judged(by=by)["ssh-kex"].status is Status.WAIVED
    after = judged(by=by, today=date(2026, 11, 22))["ssh-kex"]
    assert after.status is Status.FAIL
    assert after.reason is not None
    assert after.reason.en == "its waiver expired on 2026-11-21"


def test_a_waiver_is_for_the_hosts_it_names() -> None:
    by = replace(rules(), waivers=[WAIVER.model_copy(update={"hosts": ["huong-khe-srv1"]})])
    assert judged(by=by)["ssh-kex"].status is Status.FAIL


def test_drift_is_told_against_the_audit_before(tmp_path: Path) -> None:
    keep(audit(), tmp_path)
    later = audit(looked(sysctl=("net.ipv4.ip_forward = 0", "net.ipv4.ip_forward = 1")), minute=5)
    changes = compare(later, before(tmp_path, [HOST]))
    assert [(one.control, one.before, one.now) for one in changes] == [("net-no-forwarding", "pass", "fail")]


def test_a_host_that_did_not_answer_has_not_drifted_and_is_not_compared_with(tmp_path: Path) -> None:
    keep(audit(), tmp_path)
    silent = audit(looked(sysctl=Seen("", 124, "slow")), minute=5, error="it does not answer")
    assert compare(silent, before(tmp_path, [HOST])) == ()
    keep(silent, tmp_path)
    assert before(tmp_path, [HOST])[HOST, "net-no-forwarding"] == "pass"


def test_what_is_kept_is_its_owners_alone(tmp_path: Path) -> None:
    file = keep(audit(), tmp_path / "audits")
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert json.loads(file.read_text(encoding="utf-8")) == plain(audit())


def test_the_csv_has_a_row_a_control_and_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(audit()).removeprefix("\ufeff"))))
    assert len(rows) == len(judged())
    assert {row["status"] for row in rows} == {"pass", "fail", "waived", "not applicable"}
    assert [cell for row in rows for cell in row.values() if cell[:1] in tuple("=+-@")] == []


def test_sarif_says_kind_level_place_and_what_is_waived() -> None:
    (run,) = json.loads(as_sarif(audit()))["runs"]
    results = {result["ruleId"]: result for result in run["results"]}
    known = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(known[result["ruleIndex"]] == code for code, result in results.items())
    assert (results["ssh-no-root"]["kind"], results["ssh-no-root"]["level"]) == ("fail", "error")
    assert (results["sudo-pty"]["kind"], results["sudo-pty"]["level"]) == ("pass", "none")
    assert results["ssh-kex"]["suppressions"][0]["status"] == "accepted"
    assert results["ssh-no-root"]["locations"][0]["logicalLocations"][0]["name"] == HOST


def test_the_page_is_vietnamese_whole_in_itself_and_takes_nothing_for_markup() -> None:
    evil = looked(files=("setid 4755 root:root /usr/bin/su\n", "setid 4755 root:root /opt/<script>alert(1)</script>\n"))
    page = as_page(replace(audit(evil), changes=()), lab())
    assert "Báo cáo kiểm tra an toàn" in page
    assert "chờ thay máy" in page
    assert "chờ pháp chế xác nhận" in page
    assert "<script" not in page
    assert "http" not in page


@pytest.mark.parametrize(("name", "count"), [("so-noi-vu", 1), (HOST, 1), ("dns", 3), ("district", 1), ("pilot", 1)])
def test_hosts_are_chosen_by_host_site_function_or_tier(name: str, count: int) -> None:
    assert len(choose(lab(), [name])) == count


def test_a_host_nobody_knows_is_refused() -> None:
    with pytest.raises(BadInput, match="no host, site, tier or function huong-khee"):
        choose(lab(), ["huong-khee"])


def test_what_no_variable_sets_is_mended_by_a_run_or_by_a_person() -> None:
    without = {code for code, control in rules().controls.items() if control.fix is None}
    assert without == {"service-in-effect", "service-none-failed"}
    one = replace(audit(looked(stale=Seen("nginx.service /etc/nginx/nginx.conf\n", 0))), changes=())
    assert "playbooks/harden.yml" in as_page(one, lab())
    assert "No variable sets it" in as_oscal(one, lab())
