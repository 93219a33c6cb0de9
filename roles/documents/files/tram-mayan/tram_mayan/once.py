"""A task that a worker died in, or that ended half way, is done again from its beginning: what it had done before is
taken back, not doubled."""

from __future__ import annotations

import hashlib
import logging
from typing import Any, BinaryIO

from celery import current_task

logger = logging.getLogger("tram_mayan.once")


def before_it_is_kept(instance: Any = None, kwargs: dict[str, Any] | None = None) -> None:
    """Mayan's hook before a document's file is made: the very same file of the first try goes."""
    del instance
    given = kwargs or {}
    if given.get("file_object") is None or not is_second_try():
        return
    # The newest alone can be the first try's: the same page from last year is another file.
    earlier = given["document"].files.order_by("timestamp").last()
    if earlier is None:
        return
    with earlier.open() as file:
        same = digest_of(file) == digest_of(given["file_object"])
    if same:
        logger.error("%s was begun before and not ended: begun anew", earlier)
        earlier.delete()


def is_second_try() -> bool:
    """Whether it was begun before: a worker died in it (tram_mayan.worker marks it), or it could not end (retries)."""
    request = getattr(current_task, "request", None)
    return bool(request and (request.retries or (request.delivery_info or {}).get("redelivered")))


def digest_of(file: BinaryIO) -> bytes:
    """SHA-256 of a file, which is at its beginning again afterwards."""
    file.seek(0)
    found = hashlib.sha256()
    while piece := file.read(1 << 18):
        found.update(piece)
    file.seek(0)
    return found.digest()
