"""What an operator sees while a rollout goes on: each step as a line, and below them how it stands at this moment."""

from __future__ import annotations

from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tram.cli.i18n import _, both
from tram.cli.rollout_words import (
    STANDINGS,
    STATES,
    add_columns,
    ago,
    clock,
    coloured,
    host_line,
    progress,
    reason,
    share,
    size,
    wave_name,
)
from tram.core.units import format_share
from tram.ledger import HostRow, Ledger, LedgerFailed, Outcome, State, WaveRow, utc_now
from tram.rollout.conductor import News
from tram.rollout.policy import Policy

# Lines of the screen that are not for hosts: the waves, headings, what can be done.
_OTHER_LINES = 14
_PER_SECOND = 1.0


class LiveView:
    """Tells news line by line, so that it also reads well in a log; on a terminal with a page below that is read from
    the ledger, and so is the same whoever carries the work out."""

    def __init__(self, console: Console, ledger: Ledger, run: str) -> None:
        self._console = console
        self._ledger = ledger
        self._run = run
        self._rollout = ledger.rollouts.get(run)
        self._policy = Policy.of(self._rollout.policy, run)
        self._wave_of = {place.host: place.wave for place in ledger.rollouts.places(run)}
        self._waiting = ""
        self.failed = False  # whether a host was told of that failed
        self._page: Group = Group()
        self._live = Live(console=console, get_renderable=self._look, refresh_per_second=_PER_SECOND, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def tell(self, news: News) -> None:
        """One line a step."""
        self._waiting = ""
        if news.what in ("soak", "rest") and news.until:
            self._waiting = self._until(news)
        self._console.print(f"[dim]{utc_now().astimezone():%H:%M:%S}[/] {self._line(news)}", soft_wrap=True)

    def _line(self, news: News) -> str:
        if news.what == "begin":
            return _("{host}: delivery begins").format(host=escape(news.host))
        if news.what == "host" and news.ended:
            self.failed |= news.ended.outcome is Outcome.FAILED
            return host_line(news.host, news.ended)
        if news.what == "wave":
            hosts = sum(wave == news.wave for wave in self._wave_of.values())
            return _("wave {number} begins, hosts: {count}").format(number=news.wave, count=hosts)
        if self._waiting:
            return self._waiting
        if news.what == "follow":
            return _("what came back changes something for {hosts}").format(hosts=escape(news.host))
        word = coloured(STANDINGS[news.what])
        why = "; ".join(reason(found) for found in news.reasons)
        return _("wave {number}: {word}").format(number=news.wave, word=word) + (f": {why}" if why else "")

    def _until(self, news: News) -> str:
        assert news.until
        if news.what == "rest":
            return _("nothing is due before {at}").format(at=clock(news.until))
        gate = _("then it passes when at most {failed} failed, {reached} were reached and each has proven itself")
        text = _("wave {number} is watched until {at}").format(number=news.wave, at=clock(news.until))
        known = (
            gate
            if self._policy.need_verify
            else _("then it passes when at most {failed} failed and {reached} were reached")
        )
        words = known.format(failed=self._policy.max_failed, reached=format_share(self._policy.min_reached))
        return f"{text}; {words}"

    def _look(self) -> Group:
        """The page as the ledger has it now; the last one while the ledger does not answer."""
        try:
            waves, rows = self._ledger.rollouts.waves(self._run), self._ledger.show(self._run).hosts
            wish = self._ledger.rollouts.get(self._run).wish
        except LedgerFailed:
            return self._page
        ahead = _("What is under way ends, then: {wish}").format(wish=wish) if wish else self._waiting
        stack = self._rollout.stack
        can = _("Ctrl-C or from elsewhere: tram rollout pause {stack} | abort {stack}").format(stack=stack)
        self._page = Group(
            Padding(_standing(waves, rows, self._wave_of), (1, 0, 0, 0)),
            *([_hosts(rows, max(5, self._console.height - _OTHER_LINES - len(waves)))] if _busy(rows) else []),
            *([Text(ahead)] if ahead else []),
            Text(can, style="dim"),
        )
        return self._page


def _standing(waves: tuple[WaveRow, ...], rows: tuple[HostRow, ...], wave_of: dict[str, int]) -> Table:
    """A line a wave: how it stands, how many hosts are how far."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for wave in waves:
        mine = [row for row in rows if wave_of[row.host] == wave.number]
        counts = [
            f"[{STATES[state][0]}]{STATES[state][1]} {count}[/]"
            for state in State
            if (count := sum(row.state is state for row in mine)) and (state is not State.WAITING or len(mine) > count)
        ]
        ended = sum(row.outcome is not None for row in mine)
        name = _("Wave {number}: {name}").format(number=wave.number, name=wave_name(wave.name))
        table.add_row(escape(name), coloured(STANDINGS[wave.state]), share(ended, len(mine)), "  ".join(counts))
    return table


def _busy(rows: tuple[HostRow, ...]) -> list[HostRow]:
    return [row for row in rows if row.state is State.RUNNING]


def _hosts(rows: tuple[HostRow, ...], most: int) -> Table:
    """The hosts under way, as far as the screen has room."""
    table = Table()
    add_columns(table, both("Host"), both("Progress"), both("Sent / received"), both("Tries"), both("Last heard"))
    busy = _busy(rows)
    for row in busy[:most]:
        carried = f"{size(row.bytes_down)} / {size(row.bytes_up)}"
        table.add_row(row.host, progress(row), carried, str(row.attempts), ago(row.last_heard))
    if len(busy) > most:
        table.caption = _("and {count} more").format(count=len(busy) - most)
    return table
