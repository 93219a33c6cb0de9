"""The board as a web application: who is asked for, what he may see, which page or JSON it becomes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import compare_digest
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from tram_board import views
from tram_board.access import OPERATOR, Person, visible
from tram_board.backoff import Backoff
from tram_board.directory import Directory, FirstPassword, NotAllowed, Official, Silent
from tram_board.guard import Guard
from tram_board.ledger import Runs
from tram_board.pages import render
from tram_board.people import Account, AccountsUnreadable, check, read_accounts
from tram_board.session import LANGUAGE, Sessions, local_path
from tram_board.texts import LANGUAGES, later, translations
from tram_board.views import Asked, View
from tram_board.watcher import Watcher

_STATIC = Path(__file__).parent / "static"
_log = logging.getLogger("tram_board")


@dataclass
class Board:
    """What the application needs. `runbooks`: the folder of pages by symptom; `directory`: who else may log in."""

    watcher: Watcher
    accounts: Path
    sessions: Sessions
    runs: Runs
    runbooks: Path | None = None
    backoff: Backoff = field(default_factory=Backoff)
    directory: Directory | None = None


async def _alive(_request: Request) -> Response:
    """By the loop itself, not by a thread: those may all wait for a store that is slow."""
    return PlainTextResponse("ok\n")


def application(board: Board) -> ASGIApp:
    """The ASGI application."""
    routes: list[Route | Mount] = [
        Route("/healthz", _alive),
        Route("/login", _Login(board).get, methods=["GET"]),
        Route("/login", _Login(board).post, methods=["POST"]),
        Route("/logout", _Login(board).out, methods=["POST"]),
        Mount("/static", StaticFiles(directory=_STATIC)),
    ]
    for path, view in views.VIEWS.items():
        routes.append(Route(f"{'/board' if path == '/' else path}.json", _shown(board, view, as_json=True)))
        if view.template:
            routes.append(Route(path, _shown(board, view, as_json=False)))
    handlers: Mapping[Any, Callable[..., Any]] = {
        HTTPException: _refused,
        AccountsUnreadable: _closed,
        Exception: _broken,
    }
    # Pages are compressed here, so that their weight is the same behind any proxy; level 6 costs a third of level 9.
    middleware = [Middleware(GZipMiddleware, minimum_size=800, compresslevel=6)]
    return Guard(Starlette(routes=routes, middleware=middleware, exception_handlers=handlers))


def _shown(board: Board, view: View, *, as_json: bool) -> Callable[[Request], Any]:
    def answer(request: Request) -> Response:
        person = _who(board, request)
        if person is None:
            if as_json:
                raise HTTPException(401, "log in first")
            return RedirectResponse(f"/login?{_next(request)}", 303)
        if view.only_operators and person.role != OPERATOR:
            raise HTTPException(404)
        asked = Asked(
            watcher=board.watcher,
            runs=board.runs,
            runbooks=board.runbooks,
            person=person,
            codes=visible(board.watcher.province, person),
            path=request.path_params,
            query=request.query_params,
            language=spoken(request),
        )
        found = view.find(asked)
        if as_json:
            return JSONResponse(found.plain)
        page = render(view.template, asked.language, **_shared(board, request, person), **found.page)
        return _remembered(request, HTMLResponse(page))

    return answer


def _who(board: Board, request: Request) -> Person | None:
    """Who is logged in; None when nobody is, or the account is gone or has another password now."""
    accounts, said = read_accounts(board.accounts), board.sessions.said(request)
    if said is None:
        return None
    name, version = said
    if "@" in name:
        return board.directory.known(name, version) if board.directory else None
    account = accounts.get(name)
    return account.person if account and compare_digest(account.version, version) else None


def _shared(board: Board, request: Request, person: Person | None) -> dict[str, object]:
    path = request.url.path
    return {
        "province": board.watcher.province,
        "person": person,
        "path": path,
        "form_word": board.sessions.form_word(person.name if person else ""),
        "json_path": f"{'/board' if path == '/' else path}.json",
        "navigation": views.NAVIGATION,
        "by_directory": board.directory is not None,
    }


def spoken(request: Request) -> str:
    """The language of the answer: ?lang=, else the one chosen before, else Vietnamese."""
    for chosen in (request.query_params.get("lang"), request.cookies.get(LANGUAGE)):
        if chosen in LANGUAGES:
            return chosen
    return LANGUAGES[0]


def _remembered(request: Request, response: Response) -> Response:
    if request.query_params.get("lang") in LANGUAGES:
        response.set_cookie(LANGUAGE, spoken(request), max_age=365 * 86400, samesite="lax", httponly=True)
    return response


def _next(request: Request) -> str:
    return urlencode({"next": request.url.path})


class _Login:
    """Logging in and out: with a local account, or with the address and password of the directory."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def get(self, request: Request) -> Response:
        """The form."""
        return _remembered(request, self._form(request, ""))

    async def post(self, request: Request) -> Response:
        """Name and password."""
        form = await request.form(max_files=0, max_fields=8)
        words = {name: str(form.get(name, "")) for name in ("name", "password", "word", "next")}
        return await run_in_threadpool(self._judge, request, words)

    def _judge(self, request: Request, words: Mapping[str, str]) -> Response:
        board, say = self._board, translations(spoken(request)).gettext
        name, address = words["name"].strip()[:320], request.client.host if request.client else ""
        name = name.lower() if "@" in name else name
        if not board.sessions.is_ours(request, "", words["word"]):
            return self._form(request, say(later("This page was open too long. Try again.")), 403)
        if waits := board.backoff.wait(name, address):
            text = say(later("Too many wrong passwords. Wait {seconds} s.")).format(seconds=f"{waits:.0f}")
            refused = self._form(request, text, 429)
            refused.headers["retry-after"] = f"{waits + 1:.0f}"
            return refused
        # Counted before it is known: tries sent all at once are not all free.
        board.backoff.wrong(name, address)
        found = self._account(name, words["password"])
        if isinstance(found, tuple):
            if found[1] == 503:
                board.backoff.unknown(name, address)
            _log.warning("login refused: from %s", address)
            return self._form(request, say(found[0]), found[1])
        board.backoff.right(name, address)
        response = RedirectResponse(local_path(words["next"]), 303)
        board.sessions.begin(response, found.person.name, found.version)
        return response

    def _account(self, name: str, password: str) -> Account | Official | tuple[str, int]:
        """Whose name and password these are; otherwise what is said, and the status it is said with."""
        found: Account | Official | None
        try:
            if "@" in name and self._board.directory:
                found = self._board.directory.enter(name, password)
            else:
                found = check(read_accounts(self._board.accounts), name, password)
        except Silent as error:
            _log.error("%s", error.message)
            text = later("The directory does not answer, so no password can be checked. Try again in a few minutes.")
            return text, 503
        except FirstPassword:
            return later("Change the password of the slip first, in webmail."), 403
        except NotAllowed:
            return later("The password is right, but nobody lets you see the board."), 403
        return found or (later("Name or password is wrong."), 403)

    async def out(self, request: Request) -> Response:
        """End the session."""
        form = await request.form(max_files=0, max_fields=4)
        person = await run_in_threadpool(_who, self._board, request)
        if person and not self._board.sessions.is_ours(request, person.name, str(form.get("word", ""))):
            raise HTTPException(403)
        response = RedirectResponse("/login", 303)
        self._board.sessions.end(response)
        return response

    def _form(self, request: Request, problem: str, code: int = 200) -> Response:
        shared = _shared(self._board, request, None)
        to = local_path(request.query_params.get("next", "/"))
        return HTMLResponse(render("login", spoken(request), **shared, problem=problem, to=to), code)


def _refused(request: Request, error: HTTPException) -> Response:
    if request.url.path.endswith(".json"):
        return JSONResponse({"error": error.detail}, error.status_code)
    page = render("error", spoken(request), code=error.status_code)
    return HTMLResponse(page, error.status_code)


def _closed(request: Request, error: AccountsUnreadable) -> Response:
    _log.error("%s (%s)", error.message, error.hint)
    if request.url.path.endswith(".json"):
        return JSONResponse({"error": "the accounts cannot be read"}, 503)
    return HTMLResponse(render("error", spoken(request), code=503), 503)


def _broken(request: Request, error: Exception) -> Response:
    _log.exception("%s", request.url.path, exc_info=error)
    if request.url.path.endswith(".json"):
        return JSONResponse({"error": "internal error"}, 500)
    return HTMLResponse(render("error", spoken(request), code=500), 500)
