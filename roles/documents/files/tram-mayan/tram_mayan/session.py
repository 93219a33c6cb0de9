"""A session lasts as long as somebody works."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings

SEEN = "tram_seen"


class KeepAlive:
    """Writes a session anew once in a fifth of its life.

    Not at every request (SESSION_SAVE_EVERY_REQUEST): a page asks several things at once, each would write back the
    session as it was when it began, and take from the upload wizard what its last step had just put there.
    """

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        """One request; what the session holds is touched before anything else is put into it."""
        session = request.session
        if not session.is_empty() and time.time() - session.get(SEEN, 0) > settings.SESSION_COOKIE_AGE / 5:
            session[SEEN] = int(time.time())
        return self.get_response(request)
