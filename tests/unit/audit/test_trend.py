"""The audits that were kept, as a trend; and the page that is handed up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tram.look import Seen
from tram_audit.audit import Audited, before, keep
from tram_audit.judging import Status
from tram_audit.page import as_page
from tram_audit.trend import curve, ends, spark, trend

from .bare import HOST, lab, looked
from .test_results import audit

WORSE = looked(sysctl=("net.ipv4.ip_forward = 0", "net.ipv4.ip_forward = 1"))


def test_each_audit_is_a_point_and_a_host_that_was_not_seen_says_nothing(tmp_path: Path) -> None:
    keep(audit(), tmp_path)
    keep(audit(looked(sysctl=Seen("", 124, "slow")), minute=1, error="it does not answer"), tmp_path)
    keep(audit(WORSE, minute=2), tmp_path)
    found = trend(tmp_path, [HOST, "another"])
    fails = [point.counts[Status.FAIL] for point in found.points[HOST]]
    assert fails[2] == fails[0] + 1
    assert [point.seen for point in found.points[HOST]] == [True, False, True]
    assert spark(found.points[HOST]).endswith("·█")
    assert found.points["another"] == ()
    assert curve(found.points[HOST]).count(",") == 2
    assert curve(()) == ""


def test_a_host_that_does_not_answer_now_stands_nobody_knows_where(tmp_path: Path) -> None:
    silent = replace(
        audit(minute=1, error="it does not answer"), hosts=(Audited(HOST, "s", "mail", "silent", 1.0, ()),)
    )
    first = keep(audit(), tmp_path)
    fails = json.loads(first.read_text(encoding="utf-8"))["hosts"][0]["counts"]["fail"]
    keep(silent, tmp_path)
    found = trend(tmp_path, [HOST])
    assert ends(found.points[HOST]) == f"{fails} → ?"
    assert f"{fails} → ?" in as_page(silent, lab(), found)
    assert ends(()) == "? → ?"


def test_kept_audits_are_bounded_in_number_and_bytes_but_for_the_last_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [keep(audit(minute=minute), tmp_path) for minute in range(3)]
    size = files[0].stat().st_size
    monkeypatch.setattr("tram_audit.audit.KEPT", 4)
    files += [keep(audit(minute=minute), tmp_path) for minute in (3, 4)]
    assert sorted(tmp_path.iterdir()) == files[1:]
    monkeypatch.setattr("tram_audit.audit.KEPT_BYTES", int(3.5 * size))
    files.append(keep(audit(minute=5), tmp_path))
    assert sorted(tmp_path.iterdir()) == files[3:]
    monkeypatch.setattr("tram_audit.audit.KEPT_BYTES", 1)
    files.append(keep(audit(minute=6), tmp_path))
    assert sorted(tmp_path.iterdir()) == files[5:]


def test_what_a_power_cut_left_of_an_audit_is_passed_over(tmp_path: Path) -> None:
    keep(audit(), tmp_path)
    keep(audit(minute=1), tmp_path).write_text("", encoding="utf-8")
    keep(audit(minute=2), tmp_path).write_text('{"format": "tram-au', encoding="utf-8")
    assert [point.at.minute for point in trend(tmp_path, [HOST]).points[HOST]] == [0]
    assert before(tmp_path, [HOST])


def test_a_control_that_is_none_any_more_does_not_go_on_failing(tmp_path: Path) -> None:
    old = keep(audit(WORSE), tmp_path)
    old.write_text(old.read_text(encoding="utf-8").replace('"net-no-forwarding"', '"net-of-old"'), encoding="utf-8")
    assert "net-of-old" in {one.control for one in trend(tmp_path, [HOST]).standing}
    keep(audit(WORSE, minute=1), tmp_path)
    assert "net-of-old" not in {one.control for one in trend(tmp_path, [HOST]).standing}


def test_only_the_last_ones_are_shown(tmp_path: Path) -> None:
    for minute in range(5):
        keep(audit(minute=minute), tmp_path)
    assert [point.at.minute for point in trend(tmp_path, [HOST], 2).points[HOST]] == [3, 4]


def test_what_fails_longest_comes_first_and_what_was_mended_begins_anew(tmp_path: Path) -> None:
    for minute, answer in enumerate([WORSE, None, WORSE, WORSE]):
        keep(audit(answer, minute=minute), tmp_path)
    standing = {one.control: one for one in trend(tmp_path, [HOST]).standing}
    assert (standing["ssh-no-root"].since.minute, standing["ssh-no-root"].audits) == (0, 4)
    assert (standing["net-no-forwarding"].since.minute, standing["net-no-forwarding"].audits) == (2, 2)


def test_a_host_that_does_not_answer_has_mended_nothing(tmp_path: Path) -> None:
    keep(audit(WORSE), tmp_path)
    silent = audit(looked(sysctl=Seen("", 124, "slow")), minute=1, error="it does not answer")
    keep(silent, tmp_path)
    assert "net-no-forwarding" in {one.control for one in trend(tmp_path, [HOST]).standing}


def test_the_first_page_says_what_a_signature_answers_for(tmp_path: Path) -> None:
    keep(audit(), tmp_path)
    keep(audit(WORSE, minute=1), tmp_path)
    one = replace(audit(WORSE, minute=1), changes=())
    page = as_page(one, lab(), trend(tmp_path, [HOST]))
    first = page[: page.index("Theo máy chủ · By host")]
    for words in ("Tỉnh trong hộp", "21/11/2026", "Sở, ban, ngành", "nghiêm trọng", "2026-11-21", "Lãnh đạo đơn vị"):
        assert words in first, words
    assert first.index("Không rõ") < first.index("Không đạt theo mức")
    assert "<polyline" in first
    assert "Mọi máy đều xem được hết." in first


def test_hosts_that_were_not_seen_come_first(tmp_path: Path) -> None:
    keep(audit(), tmp_path)
    silent = audit(looked(sysctl=Seen("", 124, "slow")), minute=1, error="it does not answer")
    page = as_page(silent, lab(), trend(tmp_path, [HOST]))
    assert "it does not answer" in page[: page.index("Theo cấp")]
