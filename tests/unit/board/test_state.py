"""From readings to states: unknown is never green, and what is known to be bad is never hidden by it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import yaml

from tram.register import Province, load
from tram_board import figures, today
from tram_board.asking import Sample
from tram_board.readings import ABROAD, BY_HOST, ask, gather
from tram_board.state import look, state_of, window
from tram_board.texts import translations
from tram_board.words import SAID, VERBS, Word, told, worst

from .conftest import NOW, REPO, Hub, everywhere

SRV, HUB_HOST, OTHER = "huong-khe-srv1", "trung-tam-hub1", "so-noi-vu-srv1"


def word(province: Province, hub: Hub, verb: str, site: str = "huong-khe") -> Word:
    return state_of(province, hub.readings()).sites[site].verbs[verb].word


def test_a_province_that_tells_everything_is_in_order(province: Province, hub: Hub) -> None:
    state = state_of(province, hub.readings())
    assert {code: one.word for code, one in state.sites.items()} == dict.fromkeys(state.sites, Word.OK)
    assert state.word is Word.OK
    assert today.tasks(state) == []


def test_the_same_over_http(province: Province, hub: Hub) -> None:
    assert look(province, hub.source(), NOW).word is Word.OK
    assert hub.asked == len(BY_HOST)


@pytest.mark.parametrize(
    ("reading", "value", "verb", "expected"),
    [
        ("link_up", 0, "reach", Word.BAD),
        ("link_loss", 0.06, "reach", Word.ATTENTION),
        ("link_loss", 0.009, "reach", Word.OK),
        ("link_loss", 0.3, "reach", Word.BAD),
        ("link_rtt", 0.2, "reach", Word.ATTENTION),
        ("risk", 0.12, "hardware", Word.ATTENTION),
        ("risk", 0.5, "hardware", Word.BAD),
        ("disk_free", 0.08, "hardware", Word.ATTENTION),
        ("disk_free", 0.01, "hardware", Word.BAD),
        ("mail_oldest", 2 * 3600, "mail", Word.ATTENTION),
        ("mail_oldest", 5 * 3600, "mail", Word.BAD),
        ("mail_queue", 900, "mail", Word.ATTENTION),
        ("antivirus_up", 0, "antivirus", Word.BAD),
        ("signatures", NOW.timestamp() - 3 * 86400, "antivirus", Word.ATTENTION),
        ("signatures", NOW.timestamp() - 9 * 86400, "antivirus", Word.BAD),
        ("drift", 2, "baseline", Word.ATTENTION),
        ("proof", NOW.timestamp() - 34 * 86400, "backup", Word.OK),
        ("proof", NOW.timestamp() - 36 * 86400, "backup", Word.BAD),
        ("proof", 0, "backup", Word.BAD),
    ],
)
def test_a_reading_out_of_bounds_is_said(
    province: Province, hub: Hub, *, reading: str, value: float, verb: str, expected: Word
) -> None:
    hub.set(reading, SRV, value)
    assert word(province, hub, verb) is expected


@pytest.mark.parametrize(
    ("reading", "verb"),
    [
        ("link_up", "reach"),
        ("link_loss", "reach"),
        ("risk", "hardware"),
        ("disk_free", "hardware"),
        ("mail_oldest", "mail"),
        ("mail_queue", "mail"),
        ("signatures", "antivirus"),
        ("audited", "baseline"),
        ("baseline", "baseline"),
        ("backup", "backup"),
        ("proof", "backup"),
    ],
)
def test_a_reading_that_is_missing_is_unknown(province: Province, hub: Hub, reading: str, verb: str) -> None:
    hub.set(reading, SRV, None)
    assert word(province, hub, verb) is Word.UNKNOWN
    assert state_of(province, hub.readings()).sites["huong-khe"].word is Word.UNKNOWN


@pytest.mark.parametrize("verb", ["hardware", "mail", "antivirus", "backup"])
@pytest.mark.parametrize("seconds", [4 * 86400, -7 * 86400, None])
def test_an_exporter_that_is_late_gone_or_of_the_future_says_nothing(
    province: Province, hub: Hub, verb: str, seconds: float | None
) -> None:
    moment = None if seconds is None else NOW.timestamp() - seconds
    hub.set("exporter", SRV, moment, exporter=verb)
    assert word(province, hub, verb) is Word.UNKNOWN


def test_a_reading_that_failed_by_name_is_unknown(province: Province, hub: Hub) -> None:
    hub.set("reading_failed", SRV, 1, exporter="hardware", reading="ipmi")
    assert word(province, hub, "hardware") is Word.UNKNOWN
    hub.set("risk_unknown", SRV, 1, reason="disk sda cannot be read")
    assert word(province, hub, "hardware") is Word.UNKNOWN


def test_what_is_bad_is_not_hidden_by_what_is_unknown(province: Province, hub: Hub) -> None:
    hub.set("risk", SRV, 0.5)
    hub.set("risk_unknown", SRV, 1, reason="disk sdb cannot be read")
    hub.set("mail_oldest", SRV, None)
    assert word(province, hub, "hardware") is Word.BAD
    assert state_of(province, hub.readings()).sites["huong-khe"].word is Word.BAD
    assert worst([]) is Word.UNKNOWN


def test_a_full_disk_is_seen_though_the_hardware_exporter_is_dead(province: Province, hub: Hub) -> None:
    hub.set("exporter", SRV, None, exporter="hardware")
    hub.set("disk_free", SRV, 0.01)
    assert word(province, hub, "hardware") is Word.BAD


def test_silence_is_one_task_and_not_red(province: Province, hub: Hub) -> None:
    hub.silence(SRV)
    state = state_of(province, hub.readings())
    assert {one.word for one in state.sites["huong-khe"].verbs.values()} == {Word.UNKNOWN}
    assert [(task.site.code, task.word) for task in today.tasks(state)] == [("huong-khe", Word.UNKNOWN)]


def test_a_cut_above_is_one_task_with_the_sites_below(province: Province, hub: Hub) -> None:
    hub.silence(SRV, OTHER, HUB_HOST)
    (task,) = today.tasks(state_of(province, hub.readings()))
    assert (task.site.code, task.with_it) == ("trung-tam", ("huong-khe", "so-noi-vu"))


def test_what_is_worse_and_has_more_hanging_on_it_comes_first(province: Province, hub: Hub) -> None:
    hub.set("drift", HUB_HOST, 1)
    hub.set("disk_free", SRV, 0.01)
    hub.set("disk_free", HUB_HOST, 0.01)
    found = [(task.site.code, task.verb) for task in today.tasks(state_of(province, hub.readings()))]
    assert found == [("trung-tam", "hardware"), ("huong-khe", "hardware"), ("trung-tam", "baseline")]


def test_a_hub_that_is_down_makes_everything_unknown_and_says_so(province: Province, hub: Hub) -> None:
    hub.down = True
    state = look(province, hub.source(), NOW)
    assert "connection refused" in state.problem
    assert {one.word for one in state.sites.values()} == {Word.UNKNOWN}
    assert not any(one.silent for one in state.sites.values())


def test_one_question_without_answer_makes_its_verbs_unknown_only(province: Province, hub: Hub) -> None:
    hub.broken = {"risk"}
    state = state_of(province, gather(hub.source(), NOW, window()))
    verbs = state.sites["huong-khe"].verbs
    assert state.problem == ""
    assert {verb for verb, one in verbs.items() if one.word is Word.UNKNOWN} == {"hardware"}
    assert "too many samples" in verbs["hardware"].findings[0].evidence


def test_a_verb_concerns_only_hosts_that_have_its_function(province: Province, hub: Hub) -> None:
    assert "documents" not in state_of(province, hub.readings()).sites["huong-khe"].verbs


@pytest.mark.parametrize(("hours", "word"), [(2, Word.OK), (4, Word.UNKNOWN), (None, Word.UNKNOWN)])
def test_documents_are_good_as_long_as_the_centre_counted_them(
    province: Province, hub: Hub, *, hours: int | None, word: Word
) -> None:
    told = None if hours is None else NOW.timestamp() - hours * 3600
    hub.set("exporter", SRV, told, exporter="documents")
    state = state_of(everywhere(province, "documents"), hub.readings())
    assert state.sites["huong-khe"].verbs["documents"].word is word


def test_what_is_not_watched_is_left_out_and_not_good(province: Province, hub: Hub) -> None:
    hub.set("backup", SRV, None)
    watched = [verb for verb in VERBS if verb not in ("backup", "documents")]
    state = state_of(province, hub.readings(), verbs=watched)
    assert "backup" not in state.sites["huong-khe"].verbs
    assert (state.verbs, state.unjudged) == (tuple(watched), ("documents", "backup"))


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
def test_a_value_that_is_no_number_is_no_value(province: Province, hub: Hub, value: str) -> None:
    hub.set("risk", SRV, float(value.replace("Inf", "inf")))
    assert look(province, hub.source(), NOW).sites["huong-khe"].verbs["hardware"].word is Word.UNKNOWN


@pytest.mark.parametrize("label", ["Hương Khê", 'a"b', "a\nb", "<script>", "{count}"])
def test_a_strange_label_is_shown_as_it_is(province: Province, hub: Hub, label: str) -> None:
    hub.set("risk_unknown", SRV, 1, reason=label)
    findings = state_of(province, hub.readings()).sites["huong-khe"].findings
    assert [found.text.format(**found.values) for found in findings] == [f"not everything can be read: {label}"]


def sample(value: float, **labels: str) -> Any:
    from tram_board.asking import Sample  # noqa: PLC0415

    return Sample(labels, value)


def test_the_provider_answers_for_its_own_faults_only(province: Province, hub: Hub) -> None:
    hub.samples["outage"] = [
        sample(90_000.0, site="huong-khe", cause="link"),
        sample(500_000.0, site="huong-khe", cause="power"),
    ]
    hub.samples["outage_before"] = [
        sample(64_080.0, site="huong-khe", cause="link"),
        sample(0.0, site="huong-khe", cause="power"),
    ]
    answers = ask(hub.source(), ABROAD, NOW, window())
    rows, providers, failed = figures.lines(state_of(province, hub.readings()), answers)
    line = next(row for row in rows if row.site == "huong-khe")
    assert failed == ""
    assert line.outage == {"link": 25_920.0, "power": 500_000.0}
    assert line.availability == pytest.approx(0.99)
    # The other line's record does not go back 30 days: nothing is claimed of it.
    assert {one.name: one.availability for one in providers}["Mạng truyền số liệu chuyên dùng"] is None


def test_use_of_an_agency_that_did_not_tell_is_unknown_not_nought(province: Province, hub: Hub) -> None:
    hub.samples["accounts"] = [sample(40.0, agency="huong-khe", stage="people")]
    answers = ask(hub.source(), ABROAD, NOW, window())
    rows, failed = figures.agencies(province, answers, {"huong-khe", "so-noi-vu"})
    assert failed == ""
    assert {row.code: (row.people, row.used) for row in rows} == {"huong-khe": (40, None), "so-noi-vu": (None, None)}
    assert figures.total(rows) == {"people": 40, "issued": None, "activated": None, "used": None, "sent": None}


def test_every_page_a_finding_leads_to_is_there() -> None:
    code = (REPO / "monitoring/tram_board/judging.py").read_text()
    words = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', code))
    assert words
    assert [word for word in sorted(words) if not (REPO / f"docs/runbooks/{word}.md").exists()] == []


def test_what_nobody_in_the_province_does_is_neither_good_nor_bad(province: Province, hub: Hub) -> None:
    lab = load(REPO / "inventories/lab")
    for samples in ("backup", "overdue"):
        hub.samples.pop(samples)
    state = state_of(lab, hub.readings())
    assert state.unjudged == ("documents", "backup")
    assert {*state.verbs, *state.sites["huong-khe"].verbs}.isdisjoint(state.unjudged)
    assert state.word is Word.OK
    # Where anybody is backed up, who is not is not taken for good.
    some = replace(lab, sites=(everywhere(lab, "backup").sites[0], *lab.sites[1:]))
    assert state_of(some, hub.readings()).sites["huong-khe"].verbs["backup"].word is Word.UNKNOWN


def test_an_audit_too_long_ago_proves_nothing(province: Province, hub: Hub) -> None:
    for days, expected in ((20, Word.OK), (22, Word.UNKNOWN)):
        hub.set("audited", SRV, NOW.timestamp() - days * 86400)
        assert word(province, hub, "baseline") is expected


def test_a_service_whose_backup_says_nothing_is_unknown(province: Province, hub: Hub) -> None:
    hub.samples["backup"] = [
        Sample({**one.labels, "service": "host"} if one.labels["host"] == SRV else one.labels, one.value)
        for one in hub.samples["backup"]
    ]
    assert word(province, hub, "backup") is Word.UNKNOWN


def test_when_nobody_knows_which_readings_failed_nothing_is_in_order(province: Province, hub: Hub) -> None:
    readings = replace(hub.readings(), failed={"reading_failed": "too slow"})
    verbs = state_of(province, readings).sites["huong-khe"].verbs
    assert {verb for verb, judged in verbs.items() if judged.word is Word.OK} == {"reach"}


def test_why_a_risk_is_not_known_is_said_in_the_words_of_its_numbers(province: Province, hub: Hub) -> None:
    words = yaml.safe_load((REPO / "monitoring/tram_exporters/risk.yml").read_text(encoding="utf-8"))["unknown"]
    vietnamese = translations("vi").gettext
    for code, said in words.items():
        assert (SAID[code], vietnamese(SAID[code])) == (said["en"].rstrip("."), said["vi"].rstrip("."))
    hub.set("risk_unknown", SRV, 1, reason="no_disks")
    (found,) = state_of(province, hub.readings()).sites["huong-khe"].findings
    assert told(found, vietnamese).endswith("Không thấy ổ đĩa nào để đọc")
