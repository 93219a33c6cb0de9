"""Who a request is from: a signed cookie, and a signed word in every form that changes something."""

from __future__ import annotations

import secrets
from datetime import timedelta
from urllib.parse import urlsplit

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

LASTS = timedelta(hours=10)
LANGUAGE = "tram_language"


class Sessions:
    """Cookies and form words, signed with one key. `plain_http` is for a board on loopback without TLS before it."""

    def __init__(self, key: str, *, plain_http: bool = False) -> None:
        self._cookies = URLSafeTimedSerializer(key, salt="tram-board-session")
        self._forms = URLSafeTimedSerializer(key, salt="tram-board-form")
        self.plain_http = plain_http
        # With __Host- a browser takes it from this very host over TLS only. Source: RFC 6265bis, 4.1.3.2.
        self.name = "tram_board" if plain_http else "__Host-tram_board"

    def begin(self, response: Response, name: str, version: str) -> None:
        """Log a person in. `version` changes with the password."""
        text = self._cookies.dumps({"name": name, "version": version})
        response.set_cookie(
            self.name,
            str(text),
            max_age=int(LASTS.total_seconds()),
            secure=not self.plain_http,
            httponly=True,
            samesite="strict",
        )

    def end(self, response: Response) -> None:
        """Log out."""
        response.delete_cookie(self.name, secure=not self.plain_http, httponly=True, samesite="strict")

    def said(self, request: Request) -> tuple[str, str] | None:
        """The name and version a request bears; None when it bears none of ours, or the session is over."""
        try:
            found = self._cookies.loads(request.cookies.get(self.name, ""), max_age=int(LASTS.total_seconds()))
            return str(found["name"]), str(found["version"])
        except (BadSignature, KeyError, TypeError):
            return None

    def form_word(self, who: str) -> str:
        """A word for a form of this person's (or nobody's) page, another one each time."""
        return str(self._forms.dumps([who, secrets.token_hex(8)]))

    def is_ours(self, request: Request, who: str, word: str) -> bool:
        """Whether a form was sent from a page of this board that was shown to this person."""
        origin = request.headers.get("origin", "")
        if origin and urlsplit(origin).netloc != request.headers.get("host", ""):
            return False
        try:
            said = self._forms.loads(word, max_age=int(LASTS.total_seconds()))
        except BadSignature:
            return False
        return isinstance(said, list) and said[:1] == [who]


def local_path(text: str) -> str:
    """Where to go after logging in: a path of this board, whatever was asked for."""
    parts = urlsplit(text)
    fine = text.startswith("/") and not text.startswith("//") and "\\" not in text and not parts.netloc
    return text if fine and text.isprintable() else "/"
