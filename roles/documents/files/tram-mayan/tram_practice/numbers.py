"""Numbers without gaps or doubles: given in the transaction that registers, under the lock of the book's row."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.db import connection, transaction

from .models import Book, Number

WAIT_MS = 120_000


@transaction.atomic
def give(document: Any, kind: dict[str, Any], day: date, user: Any) -> Number:
    """The document's number; the one it has if it has one.

    The lock lasts until the transaction around it ends: when the registration fails its number goes back with it.
    """
    has = Number.objects.filter(document=document.pk).first()
    if has is not None:
        return has
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = {WAIT_MS}")
    book, _ = Book.objects.get_or_create(agency=kind["agency"], book=kind["book"], year=day.year)
    book = Book.objects.select_for_update().get(pk=book.pk)
    book.last += 1
    book.save(update_fields=["last"])
    by = user.username if user else ""
    return Number.objects.create(book=book, number=book.last, document=document.pk, direction=kind["direction"], by=by)
