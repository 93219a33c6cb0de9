"""Who asks while the database, the queues or the disk are away is told so, instead of Mayan's bare 500."""

from __future__ import annotations

import errno
import html
import logging
import sys
from collections.abc import Callable
from typing import Any

from django.core.signals import got_request_exception
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from kombu.exceptions import OperationalError as QueueAway
from redis.exceptions import RedisError

logger = logging.getLogger("tram_mayan.away")

NOT_TAKEN = (
    "Chưa nhận được tệp: máy chủ đang thiếu chỗ hoặc đang khởi động lại. Hãy thử lại sau ít phút; nếu vẫn vậy, báo cho "
    "quản trị viên. · The file was not taken: the server has no room or is just starting. Try again in a few minutes."
)
NOT_NOW = (
    "Máy chủ đang thiếu chỗ hoặc đang khởi động lại; những gì đã nhận vẫn còn nguyên. Hãy thử lại sau ít phút; nếu vẫn "
    "vậy, báo cho quản trị viên. · The server has no room or is just starting; what it has taken is kept. Try again in "
    "a few minutes."
)
NOT_DONE = (
    "Máy chủ gặp lỗi nên chưa làm được việc này; những gì đã nhận trước đó vẫn còn nguyên. Hãy thử lại một lần; nếu "
    "vẫn vậy, báo cho quản trị viên kèm giờ xảy ra. · A fault of the server: this was not done; what it took before is "
    "kept. Try once more; if it stays so, tell the administrator when it happened."
)
PAGE = (
    '<!DOCTYPE html><html lang="vi"><head><meta charset="utf-8"><title>Chưa làm được lúc này</title></head>'
    "<body><p>{said}</p></body></html>"
)
AWAY = (OperationalError, InterfaceError, RedisError, QueueAway)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
STATES = ("08", "53", "57", "58")
"""What comes back: no connection, no room or memory, shut down or starting, its disk. Source: PostgreSQL, app. A."""
MARK = "tram_away"


class SaySo:
    """The outermost middleware: also what the others stumble over comes by here."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass it on; an answer of 500 that came of something being away becomes 503 with a sentence."""
        try:
            response = self.get_response(request)
        except Exception:
            # The page that says 500 wants the database, too.
            if getattr(request, MARK, None) is None:
                raise
            return answer(request)
        if response.status_code == 500 and getattr(request, MARK, None) is not None:
            return answer(request)
        return response


def remember(request: Any = None, **_more: Any) -> None:
    """What a request ended by, if it is something that comes back."""
    error = sys.exc_info()[1]
    if request is None or error is None:
        return
    full = isinstance(error, OSError) and error.errno in FULL
    uploading = is_upload(request) and isinstance(error, DatabaseError | OSError)
    if full or uploading or isinstance(error, AWAY):
        setattr(request, MARK, error)


got_request_exception.connect(remember, dispatch_uid="tram_mayan.away")


def is_away(error: BaseException | None) -> bool:
    """Whether it came of something that is full or away: what the database says of it goes before its kind."""
    chain: list[BaseException] = []
    left = [error]
    while left:
        one = left.pop()
        if one is not None and one not in chain:
            chain.append(one)
            left += [one.__cause__, one.__context__]
    if any(isinstance(one, OSError) and one.errno in FULL for one in chain):
        return True
    states = [str(state) for one in chain if (state := getattr(one, "sqlstate", None))]
    if states:
        return any(state.startswith(STATES) for state in states)
    return any(isinstance(one, (*AWAY, ConnectionError, TimeoutError)) for one in chain)


def is_upload(request: HttpRequest) -> bool:
    """Whether it brings files along."""
    return request.method == "POST" and (request.content_type or "").startswith("multipart/")


def answer(request: HttpRequest) -> HttpResponse:
    """As REST clients (detail), the page's uploader (error) and people show it."""
    logger.error("%s %s was not done: %s", request.method, request.path, getattr(request, MARK))
    said, again = NOT_TAKEN if is_upload(request) else NOT_NOW, {"Retry-After": "60"}
    if not is_away(getattr(request, MARK)):
        said = NOT_DONE
    if is_upload(request) or request.path.startswith("/api/"):
        words = {"detail": said, "error": said}
        return JsonResponse(words, status=503, json_dumps_params={"ensure_ascii": False}, headers=again)
    return HttpResponse(PAGE.format(said=html.escape(said)), status=503, headers=again)
