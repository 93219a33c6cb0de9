"""Scans what is sent before Mayan sees it, and what becomes a document's file before it is kept. Without an answer of
the scanner nothing is taken."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from django.conf import settings
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse

from . import clamd, readable

logger = logging.getLogger("tram_mayan.scan")

NOT_SCANNED = (
    "Tệp “{file}” chưa được nhận: không quét được mã độc lúc này. Hãy thử lại sau ít phút; "
    "nếu vẫn vậy, báo cho quản trị viên. "
    "· The file was not taken: it cannot be scanned at the moment. Try again in a few minutes."
)


def address(request: HttpRequest) -> str:
    """Whose request it is: nginx says so, over a socket where nobody else gets."""
    return str(request.META.get("HTTP_X_REAL_IP", "?"))


def chunks(file: BinaryIO) -> Iterator[bytes]:
    """A file in pieces, from its beginning."""
    file.seek(0)
    while piece := file.read(1 << 18):
        yield piece


def scan(file: BinaryIO, name: str, who: str) -> None:
    """Scan a file and leave it at its beginning.

    Raises clamd.Infected or clamd.NoAnswer, after it was written to the journal.
    """
    try:
        clamd.scan(chunks(file), settings.TRAM_SCANNER, settings.TRAM_SCAN_SECONDS)
    except clamd.Infected as found:
        logger.error("refused: %s carries %s, sent by %s", name, found, who)
        raise
    except clamd.NoAnswer as why:
        logger.error("not taken: %s could not be scanned: %s, sent by %s", name, why, who)
        raise
    finally:
        file.seek(0)


class ScannerAway(OperationalError):
    """Mayan tries such a task again, and keeps what was uploaded until then."""


class ScanUploads:
    """Middleware: a request with files gets no further unless each of them is clean."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Scan what a form brings along; answer 422 for malware or a PDF nobody can open, 503 when nobody knows."""
        if request.method in ("POST", "PUT", "PATCH") and (request.content_type or "").startswith("multipart/"):
            refused = refuse(request)
            if refused is not None:
                return refused
        return self.get_response(request)


def refuse(request: HttpRequest) -> HttpResponse | None:
    """The answer to a request that carries what must not come in; None if all is clean."""
    # Django reads the body of POST only; REST Framework takes what was read here, and reads the others by itself.
    if request.method != "POST":
        said = "Hãy gửi tệp bằng POST. · Send files by POST."
        return JsonResponse({"detail": said, "error": said}, status=415, json_dumps_params={"ensure_ascii": False})
    for files in request.FILES.lists():
        for file in files[1]:
            try:
                scan(file, file.name, address(request))
            except clamd.Infected as found:
                return answer(clamd.refusal(file.name, str(found)), 422)
            except clamd.NoAnswer:
                return answer(NOT_SCANNED.format(file=file.name), 503)
            try:
                said = readable.complaint(file, file.name, settings.TRAM_PAGES)
            except readable.Busy as busy:
                return answer(str(busy), 503)
            if said:
                return answer(said, 422)
    return None


def answer(said: str, status: int) -> HttpResponse:
    """As REST clients (detail) and the page's uploader (error) show it."""
    return JsonResponse({"detail": said, "error": said}, status=status, json_dumps_params={"ensure_ascii": False})


def before_it_is_kept(instance: Any = None, kwargs: dict[str, Any] | None = None) -> None:
    """Mayan's hook before a document's file is made: whatever door it came by, and whatever was unpacked of it.

    Raises clamd.Infected, and the file does not come to be; ScannerAway, and it is tried again until somebody knows.
    """
    del instance
    given = kwargs or {}
    file = given.get("file_object")
    if file is None:
        # A page asks whether a new file would be welcome.
        return
    try:
        scan(file, str(getattr(file, "name", "?")), str(given.get("user") or "?"))
    except clamd.NoAnswer as why:
        raise ScannerAway(f"the scanner did not answer: {why}") from why
