"""What a step of a flow brings with it, in the step's own transaction: all of it happens, or the step does not."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from mayan.apps.cabinets.models import Cabinet
from mayan.apps.metadata.models import DocumentMetadata, MetadataType
from rest_framework.exceptions import APIException

from . import dates, mailbox, numbers, people
from .models import Dispatch


class Overtaken(APIException):
    """Somebody else took the step in the same moment."""

    status_code = 409
    default_detail = (
        "Văn bản vừa được người khác chuyển bước. Hãy mở lại văn bản. · Somebody else has just moved this document."
    )


class Refused(APIException):
    """What was filled in cannot be right."""

    status_code = 400


def on_step(sender: Any, instance: Any, created: bool, **_more: Any) -> None:
    """After a step was written, within its transaction."""
    del sender
    if not created or instance.transition is None:
        return
    document = instance.workflow_instance.document
    kind = people.kind_of(document)
    if not kind:
        return
    before = instance.workflow_instance.log_entries.exclude(pk=instance.pk).order_by("-datetime", "-pk").first()
    came_to = before.transition.destination_state_id if before and before.transition else None
    if came_to is not None and came_to != instance.transition.origin_state_id:
        raise Overtaken
    step = people.practice()["flows"][kind["flow"]].get(instance.transition.label, {})
    filled = instance.loads()
    if step.get("number"):
        register(document, kind, instance.user)
    if "nguoi_xu_ly" in filled:
        who = filled["nguoi_xu_ly"]
        if not people.members(kind["agency"]).filter(username=who).exists():
            raise Refused(f"{who}: không làm việc ở đơn vị này. · does not work in this agency.")
        note(document, "nguoi_xu_ly", who)
    if filled.get("han_xu_ly"):
        try:
            note(document, "han_xu_ly", dates.read(filled["han_xu_ly"]).isoformat())
        except dates.ValidationError as error:
            raise Refused(error.messages[0]) from error
    if filled.get("noi_nhan"):
        try:
            to = ", ".join(mailbox.addresses(filled["noi_nhan"]))
        except ValueError as error:
            raise Refused(str(error)) from error
        if to:
            Dispatch.objects.get_or_create(document=document.pk, defaults={"agency": kind["agency"], "to": to})


def register(document: Any, kind: dict[str, Any], user: Any) -> None:
    """Give the number, write it onto the document, file the document."""
    today = timezone.localdate()
    given = numbers.give(document, kind, today, user)
    note(document, kind["number_field"], str(given.number))
    note(document, kind["date_field"], today.isoformat())
    if kind.get("mark"):
        note(document, "ky_hieu", kind["mark"].format(number=given.number, year=today.year))
    parent, child = kind["cabinet"]
    cabinet = Cabinet.objects.filter(label=child, parent__label=parent).first()
    if cabinet is not None:
        cabinet.documents.add(document)


def note(document: Any, name: str, value: str) -> None:
    """Write one field of a document; a type without this field goes without."""
    field = MetadataType.objects.filter(name=name).first()
    if field is None or not document.document_type.metadata.filter(metadata_type=field).exists():
        return
    found = DocumentMetadata.objects.filter(document=document, metadata_type=field).first()
    if found is None:
        found = DocumentMetadata(document=document, metadata_type=field)
    if found.value != value:
        found.value = value
        found.save()
