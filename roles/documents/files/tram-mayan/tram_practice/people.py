"""Who works in an agency, after the groups the practice names."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model

from .models import Practice


def practice() -> dict[str, Any]:
    """The practice in force; empty before it was applied."""
    row = Practice.objects.first()
    return row.data if row else {}


def kind_of(document: Any) -> dict[str, Any]:
    """What the practice says of a document's type; empty for a type it does not know."""
    return practice().get("types", {}).get(document.document_type.label, {})


def members(agency: str, *posts: str) -> Any:
    """The active people of an agency, of these posts."""
    groups = practice().get("agencies", {}).get(agency, {}).get("groups", {})
    names = [groups[post] for post in posts or groups if post in groups]
    return get_user_model().objects.filter(groups__name__in=names, is_active=True).distinct().order_by("username")


def of_document(document: Any) -> str:
    """Whom a document may be assigned to, for the choice a head is given."""
    agency = kind_of(document).get("agency", "")
    return ",".join(members(agency).values_list("username", flat=True)) if agency else ""
