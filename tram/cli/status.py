"""`tram status`: the board's truth on one screen of a terminal."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tram.cli.i18n import _, both, language
from tram.core.errors import BadInput
from tram.register import load
from tram_board import today
from tram_board.asking import Source
from tram_board.state import INTERVAL, ProvinceState, SiteState, look
from tram_board.texts import translations
from tram_board.words import VERBS, WORDS, Finding, Word, told

EXAMPLES = (
    _("Examples:")
    + """

  tram status

  tram status --site huong-khe

  TRAM_WATCH=https://watch.tinh.example:8444 tram status --ca ca.crt --certificate me.crt --key me.key

  tram status --json | jq '.tasks[0]'

"""
    + _(
        "Ends with 0 when all is in order, 1 when something is bad, 4 when something needs attention, 3 when something "
        "is unknown (the first of them that is true), 2 for wrong input."
    )
)
LAB = Path("inventories/lab")
HUB = "http://127.0.0.1:8428"
EXITS = {Word.OK: 0, Word.BAD: 1, Word.UNKNOWN: 3, Word.ATTENTION: 4}
# Shape and colour: a terminal without colours, or a person who does not see them, loses nothing.
MARKS = {Word.OK: ("green", "✓"), Word.ATTENTION: ("yellow", "▲"), Word.BAD: ("red", "■"), Word.UNKNOWN: ("dim", "?")}
_TASKS = 15


def status(
    inventory: Annotated[
        Path, typer.Option("--inventory", "-i", metavar="DIR", help=_("The province's folder."))
    ] = LAB,
    *,
    site: Annotated[str | None, typer.Option("--site", help=_("One site only, with the evidence."))] = None,
    as_json: Annotated[bool, typer.Option("--json", help=_("Print it as JSON."))] = False,
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="URL", help=_("The hub's time series ($TRAM_WATCH; else this machine's).")),
    ] = None,
    ca: Annotated[Path | None, typer.Option("--ca", metavar="FILE", help=_("The CA that vouches for it."))] = None,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", metavar="FILE", help=_("Our certificate for it."))
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help=_("The certificate's key."))] = None,
    interval: Annotated[int, typer.Option("--interval", min=5, help=_("Seconds between two samples of a site."))] = int(
        INTERVAL.total_seconds()
    ),
) -> None:
    """Print how the province is now; the exit code says it, too."""
    province = load(inventory)
    if site is not None and site not in {one.code for one in province.sites}:
        raise BadInput(f'no site "{site}" in {inventory}', hint=f"tram sites list {inventory}")
    pair = pair_of(certificate, key)
    asked = Source(source or os.environ.get("TRAM_WATCH") or HUB, ca=ca, pair=pair)
    state = look(province, asked, datetime.now(UTC), interval=timedelta(seconds=interval), site=site)
    if as_json:
        typer.echo(json.dumps(_plain(state), ensure_ascii=False, indent=2))
    else:
        console = Console(highlight=False)
        if state.problem:
            text = _("The hub's time series do not answer, so nothing is known: {problem}")
            console.print(f"[red]{escape(text.format(problem=state.problem))}[/]", soft_wrap=True)
        _print_site(console, state.sites[site]) if site else _print_all(console, state)
    raise typer.Exit(EXITS[state.word])


status.__doc__ = _("How the province is now, on one screen; the exit code says it, too.")


def pair_of(certificate: Path | None, key: Path | None) -> tuple[Path, Path] | None:
    """Our certificate and its key, or neither.

    Raises: BadInput for one without the other.
    """
    if (certificate is None) != (key is None):
        raise BadInput("--certificate and --key go together", hint="give both of them, or neither")
    return (certificate, key) if certificate and key else None


def _print_all(console: Console, state: ProvinceState) -> None:
    table = Table(title=escape(f"{state.province.name} · {state.at.astimezone():%d/%m/%Y %H:%M}"))
    table.add_column(both("What").replace(" · ", "\n"))
    words = list(reversed(Word))
    for word in words:
        table.add_column(f"[{MARKS[word][0]}]{MARKS[word][1]} {_say(WORDS[word])}[/]", justify="right")
    for name, counts in [
        (_("Sites"), state.counts),
        *((_say(VERBS[verb]), state.counts_of(verb)) for verb in state.verbs),
    ]:
        table.add_row(name, *(str(counts[word]) if counts[word] else "–" for word in words))
    console.print(table)
    if state.unjudged:
        names = ", ".join(_say(VERBS[verb]) for verb in state.unjudged)
        console.print(f"[dim]{_say('Not in use or not watched here, so not judged:')} {names}[/]", soft_wrap=True)
    found = today.tasks(state)
    for task in found[:_TASKS]:
        what = _told(task.findings[0]) if task.findings else ""
        line = f"{task.site.name} · {_say(VERBS[task.verb])}: {what}"
        more = len(task.findings) - 1
        line += f" (+{more})" if more > 0 else ""
        if task.with_it:
            line += f" ({_('{count} sites below are silent with it').format(count=len(task.with_it))})"
        console.print(f"{_mark(task.word)} {escape(line)}", soft_wrap=True)
    if len(found) > _TASKS:
        console.print(_("and {count} more: tram status --json, or the board").format(count=len(found) - _TASKS))


def _print_site(console: Console, one: SiteState) -> None:
    table = Table(title=escape(f"{one.site.name} · {_say(WORDS[one.word])}"))
    for heading in (both("What"), both("State"), both("Why")):
        table.add_column(heading.replace(" · ", "\n"), overflow="fold")
    for verb, judgement in one.verbs.items():
        why = "\n".join(
            f"{_mark(found.word)} {escape(f'{found.host}: {_told(found)}')}"
            + (f"\n  [dim]{escape(found.evidence)}[/]" if found.evidence else "")
            for found in judgement.findings
        )
        table.add_row(_say(VERBS[verb]), f"{_mark(judgement.word)} {_say(WORDS[judgement.word])}", why or "–")
    console.print(table)


def _plain(state: ProvinceState) -> dict[str, Any]:
    """The same as the board's /board.json and /today.json: docs/contracts/board.md."""
    return {
        **today.plain_head(state),
        "list": [today.plain_site(one) for one in state.sites.values()],
        "tasks": today.plain_tasks(today.tasks(state)),
    }


def _say(text: str) -> str:
    return translations(language(os.environ)).gettext(text)


def _told(finding: Finding) -> str:
    return told(finding, _say)


def _mark(word: Word) -> str:
    colour, shape = MARKS[word]
    return f"[{colour}]{shape}[/]"
