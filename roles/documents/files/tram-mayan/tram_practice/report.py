"""Counters by agency and person: in, out, open, overdue; and open work whose owner is gone."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db.models import Count
from django.utils import timezone
from mayan.apps.document_states.models.workflow_instance_models import WorkflowInstance
from mayan.apps.metadata.models import DocumentMetadata

from . import mailbox, people
from .models import Dispatch, Number, Unread

NOBODY = ""


def open_work() -> list[dict[str, Any]]:
    """Every open document: agency, person, deadline, state, whether it is late and whether its owner is gone."""
    data = people.practice()
    types = data.get("types", {})
    rows = WorkflowInstance.valid.filter(
        document__document_type__label__in=types, state_active__final=False
    ).select_related("document__document_type", "state_active")
    noted: dict[tuple[int, str], str] = {
        (found.document_id, found.metadata_type.name): found.value or ""
        for found in DocumentMetadata.objects.filter(
            metadata_type__name__in=["han_xu_ly", "nguoi_xu_ly"], document__workflows__in=rows
        ).select_related("metadata_type")
    }
    there = {code: set(people.members(code).values_list("username", flat=True)) for code in data.get("agencies", {})}
    today = timezone.localdate().isoformat()
    found = []
    for row in rows:
        agency = types[row.document.document_type.label]["agency"]
        who = noted.get((row.document_id, "nguoi_xu_ly"), NOBODY)
        until = noted.get((row.document_id, "han_xu_ly"), "")
        found.append(
            {
                "document": row.document_id, "agency": agency, "person": who, "state": row.state_active.label,
                "until": until, "overdue": bool(until) and until < today,
                "owner_gone": bool(who) and who not in there.get(agency, set()),
            }
        )  # fmt: skip
    return found


def report(year: int | None = None) -> dict[str, Any]:
    """Rows by agency and person; a person's are what he registered, issued, and has in hand."""
    work = open_work()
    count: Counter[tuple[str, str, str]] = Counter()
    given = Number.objects.select_related("book")
    for row in given.filter(book__year=year) if year else given:
        count[row.book.agency, row.by, row.direction] += 1
    for item in work:
        count[item["agency"], item["person"], "open"] += 1
        count[item["agency"], item["person"], "overdue"] += item["overdue"]
        count[item["agency"], item["person"], "owner_gone"] += item["owner_gone"]
    names = people.practice().get("agencies", {})
    pairs = sorted({(agency, person) for agency, person, _ in count} | {(agency, NOBODY) for agency in names})
    columns = ("in", "out", "open", "overdue", "owner_gone")
    return {
        "rows": [
            {"agency": agency, "person": person, **{name: count[agency, person, name] for name in columns}}
            for agency, person in pairs
        ],
        "agencies": {code: agency["name"] for code, agency in names.items()},
        "open": work,
        "mail_waiting": Dispatch.objects.filter(sent=None).count(),
        "mail_trouble": dict(Dispatch.objects.exclude(trouble="").filter(sent=None).values_list("document", "trouble")),
        "mail_unread": unread(),
    }


def unread() -> dict[str, int]:
    """Letters that could not be made documents, by agency that has a mailbox; nought is said, too."""
    there = Unread.objects.values_list("agency").annotate(Count("pk")).order_by("agency")
    counts: dict[str, int] = dict(there)
    return {agency: counts.get(agency, 0) for agency in mailbox.boxes()}
