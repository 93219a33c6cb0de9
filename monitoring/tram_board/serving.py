"""From board.toml to a running board."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import uvicorn

from tram_board.asking import Source
from tram_board.directory import Directory
from tram_board.ledger import Runs
from tram_board.people import read_accounts, read_secret
from tram_board.province import read_register
from tram_board.session import Sessions
from tram_board.settings import Settings
from tram_board.watcher import Watcher
from tram_board.web import Board, application


def assemble(settings: Settings) -> Board:
    """The board these settings mean.

    Raises: BadInput for a register, accounts or key that will not do. A hub that does not answer is no error: shown.
    """
    province = read_register(settings.register)
    read_accounts(settings.accounts)
    watcher = Watcher(
        province,
        Source(settings.source, ca=settings.source_ca),
        verbs=settings.verbs,
        interval=settings.interval,
        now=lambda: datetime.now(UTC),
    )
    sessions = Sessions(read_secret(settings.secret), plain_http=settings.plain_http)
    codes = frozenset(site.code for site in province.sites)
    directory = Directory(settings.directory, codes) if settings.directory else None
    return Board(watcher, settings.accounts, sessions, Runs(settings.ledger), settings.runbooks, directory=directory)


def serve(settings: Settings) -> None:
    """Serve until ended; nginx with TLS stands before it on the same host, and says whom it speaks for."""
    board = assemble(settings)
    board.watcher.begin()
    uvicorn.run(
        application(board),
        host=settings.host,
        port=settings.port,
        proxy_headers=True,
        forwarded_allow_ips="127.0.0.1",
        server_header=False,
        access_log=False,
        timeout_keep_alive=int(timedelta(seconds=30).total_seconds()),
        log_level="warning",
    )
