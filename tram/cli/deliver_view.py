"""What an operator sees while bundles travel: a line a host; without a terminal, a line each time something happens."""

from __future__ import annotations

from threading import Lock
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tram.cli.i18n import _, both
from tram.cli.rollout_words import add_columns, ago, size
from tram.delivery.progress import Phase, Progress

PHASES = {
    Phase.BUILDING: _("putting together"),
    Phase.CALLING: _("calling"),
    Phase.INSTALLING: _("installing the runtime"),
    Phase.SENDING: _("sending"),
    Phase.WAITING: _("accepted"),
    Phase.APPLYING: _("applying"),
    Phase.CONFIRMING: _("confirming"),
    Phase.OVER: _("over"),
}
_LAST_NOTES = 5


class View:
    """All hosts' progress; may be told from many threads."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows: dict[str, Progress] = {}
        self._notes: list[str] = []
        self._lock = Lock()
        self._live = Live(console=console, get_renderable=self._page, refresh_per_second=2, transient=True)

    def tell(self, progress: Progress) -> None:
        """A host got on."""
        with self._lock:
            before = self._rows.get(progress.host)
            self._rows[progress.host] = progress
        if not self._console.is_terminal:
            said = (progress.phase, progress.note)
            if before is None or said != (before.phase, before.note):
                note = f": {progress.note}" if progress.note else ""
                self._line(f"{progress.host}: {PHASES[progress.phase]}{note}")

    def note(self, text: str) -> None:
        """Something that must not pass unseen."""
        with self._lock:
            self._notes.append(text)
        if not self._console.is_terminal:
            self._line(text)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()
            for text in self._notes:
                self._line(text)

    def _line(self, text: str) -> None:
        self._console.print(escape(text), soft_wrap=True)

    def _page(self) -> Group:
        with self._lock:
            rows, notes = list(self._rows.values()), self._notes[-_LAST_NOTES:]
        table = Table()
        add_columns(table, both("Host"), both("Phase"), both("Sent"), both("Task"), both("Last heard"))
        for row in rows:
            table.add_row(row.host, PHASES[row.phase], _sent(row), escape(_task(row)), ago(row.heard))
        return Group(table, *(Text(text) for text in notes))


def _sent(row: Progress) -> str:
    if row.total is None:
        return "–"
    return f"{size(row.sent)} / {size(row.total)} ({row.percent} %)"


def _task(row: Progress) -> str:
    if row.note:
        return row.note
    if row.done is None:
        return row.task
    return f"{_('task {done} of {total}').format(done=row.done, total=row.of or '?')}: {row.task}"
