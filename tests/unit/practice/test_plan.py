"""What differs is changed, what is right is left alone, a leaver with work in hand is held."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tram.documents.figures import metrics, read_report
from tram.documents.plan import OpenWork, apply_changes, make_plan
from tram.documents.practice import Practice
from tram.documents.reading import MayanRefused
from tram.documents.things import Has, Request, ref
from tram.documents.wanted import BY_HAND, in_force, links, rights_list, things

NOTHING = Has({ref("source", BY_HAND): 1}, {}, {}, {}, [])


def made(practice: Practice) -> Has:
    """An instance that has all of it."""
    ids = {thing.ref: number for number, thing in enumerate(things(practice), 10)}
    ids |= {rights_list(link).ref: 9 for link in links(practice) if link.kind == "right"}
    gone: Request = {"method": "POST", "path": "remove/", "body": {}}
    return Has(
        {**ids, ref("source", BY_HAND): 1},
        {(thing.kind, thing.key): {"id": ids[thing.ref], **thing.fields} for thing in things(practice)},
        {(link.kind, link.key): gone for link in links(practice)},
        in_force(practice),
        [],
    )


class Paper:
    """A door that answers as it is told and keeps what it was asked."""

    name = "hub"

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers, self.asked = answers, list[Request]()

    def ask(self, requests: Sequence[Request]) -> list[dict[str, Any]]:
        """The answers, in their order."""
        self.asked += requests
        return [*self.answers]


def test_an_empty_instance_gets_everything_in_an_order_in_which_it_can_be_made(practice: Practice) -> None:
    plan = make_plan(practice, NOTHING)
    assert set(plan.count()) == {"create"}
    known = {*NOTHING.ids}
    for change in plan.changes:
        for request in change.requests:
            said = re.findall(r"<[^<>]+>", f"{request['path']} {request.get('body')}")
            assert set(said) - known == set(), change
            if "as" in request:
                known.add(f"<{request['as']}>")


def test_what_is_right_is_left_alone(practice: Practice) -> None:
    plan = make_plan(practice, made(practice))
    assert plan.changes == ()
    assert plan.same == len([*things(practice)]) + len([*links(practice)]) + 1


def test_a_field_that_differs_is_shown_and_set(practice: Practice) -> None:
    has = made(practice)
    has.things["field", ("trich_yeu",)]["label"] = "Nội dung"
    (change,) = make_plan(practice, has).changes
    assert change.details == {"label": ("Nội dung", "Trích yếu nội dung")}
    assert change.requests[0]["method"] == "PATCH"


def test_a_right_nobody_gave_is_taken_away(practice: Practice) -> None:
    has = made(practice)
    key = ("type", "SNV · Công văn đến", "TT · Văn thư", "documents.document_view")
    has.links["right", key] = {"method": "POST", "path": "x/", "body": {}}
    (change,) = make_plan(practice, has).changes
    assert (change.action, change.name) == ("remove", " / ".join(key))


def test_an_agency_reads_only_its_own(practice: Practice) -> None:
    for link in links(practice):
        if link.kind == "right" and link.key[0] in ("type", "cabinet"):
            assert link.key[1].split(" · ")[0] == link.key[2].split(" · ")[0]


def test_who_would_leave_with_open_work_is_held(practice: Practice) -> None:
    work = [{"document": 7, "agency": "so-noi-vu", "person": "vien-snv"}]
    has = replace(made(practice), open_work=work)
    agency = practice.agencies["so-noi-vu"]
    left = agency.model_copy(update={"people": {**agency.people, "chuyen-vien": []}})
    fewer = replace(practice, agencies={**practice.agencies, "so-noi-vu": left})
    with pytest.raises(OpenWork, match=r"vien-snv leaves so-noi-vu with 1 open documents in his hands \(7\)"):
        make_plan(fewer, has)
    assert [change.action for change in make_plan(fewer, has, leave_open=True).changes] == ["remove"]
    moved = agency.model_copy(
        update={"people": {**agency.people, "chuyen-vien": [], "lanh-dao": ["truong-snv", "vien-snv"]}}
    )
    same = replace(practice, agencies={**practice.agencies, "so-noi-vu": moved})
    assert [change.action for change in make_plan(same, has).changes] == ["remove", "create"]


def test_a_refused_request_says_how_far_it_came(practice: Practice) -> None:
    has = made(practice)
    has.things["field", ("trich_yeu",)]["label"] = "x"
    has.things["field", ("so",)]["label"] = "x"
    with pytest.raises(MayanRefused, match=r"hub: PATCH metadata_types/\d+/: 400 no \(1 of 2 requests done\)"):
        apply_changes(Paper({"status": 200, "body": {}}, {"status": 400, "body": "no"}), make_plan(practice, has))


def test_metrics_name_no_person(practice: Practice) -> None:
    row = {"agency": "so-noi-vu", "person": "vien-snv", "in": 3, "out": 1, "open": 2, "overdue": 1, "owner_gone": 0}
    nobodys = {**row, "person": "", "in": 4, "overdue": 2}
    answer = {
        "status": 200,
        "body": {"rows": [row, nobodys], "agencies": {}, "mail_waiting": 0, "mail_unread": {"so-noi-vu": 2}},
    }
    text = metrics(read_report(Paper(answer)), "hub", "hub-srv1", now=1_795_000_000.0)
    # With site and host: the hub's agent speaks of others, and without them they would be the hub's own.
    about = 'host="hub-srv1",site="hub"'
    assert f'tram_documents_in_total{{agency="so-noi-vu",{about}}} 7.0\n' in text
    assert f'tram_documents_overdue{{agency="so-noi-vu",{about}}} 3.0\n' in text
    assert f'tram_documents_letters_unread{{agency="so-noi-vu",{about}}} 2.0\n' in text
    last = "tram_exporter_last_success_timestamp_seconds"
    assert f'{last}{{exporter="documents",{about}}} 1.795e+09\n' in text
    assert "vien" not in text
