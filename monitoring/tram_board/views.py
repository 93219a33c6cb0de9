"""The views: each finds what a person may see, once, for the page and as plain data."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.exceptions import HTTPException

from tram_board import figures, progress, today
from tram_board.access import Person
from tram_board.ledger import Runs
from tram_board.pages import labels, sparkline
from tram_board.state import ProvinceState
from tram_board.texts import later
from tram_board.watcher import CHARTS, Watcher

_TASKS_ON_REPORT = 10
_BESIDE = re.compile(r'href="([a-z0-9-]+)\.md')
_PAGE_NAME = re.compile(r"[a-z0-9-]{1,80}")
NAVIGATION = {
    "/": later("Board"),
    "/today": later("Today"),
    "/links": later("Lines"),
    "/adoption": later("Use"),
    "/rollouts": later("Rollouts"),
    "/report": later("Report"),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to a view: by whom, for what, and where the answer is found. `codes`: the sites he may see."""

    watcher: Watcher
    runs: Runs
    runbooks: Path | None
    person: Person
    codes: Collection[str]
    path: Mapping[str, Any]
    query: Mapping[str, str]
    language: str

    @property
    def state(self) -> ProvinceState:
        """The part of the province he may see."""
        return self.watcher.state().limited(self.codes)


@dataclass(frozen=True, slots=True)
class Found:
    """An answer: as plain data, and as what the page's template takes."""

    plain: dict[str, Any]
    page: dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """One view of the board; without a template it is there as JSON only."""

    template: str
    find: Callable[[Asked], Found]
    only_operators: bool = False


def board(asked: Asked) -> Found:
    """The province as tiles, by one verb or all together."""
    state = asked.state
    verb = asked.query.get("verb", "")
    verb = verb if verb in state.verbs else ""
    words = {
        code: one.verbs[verb].word if verb else one.word
        for code, one in state.sites.items()
        if not verb or verb in one.verbs
    }
    shown = [plate for plate in asked.watcher.plates if any(tile.site.code in state.sites for tile in plate.tiles)]
    page = {
        "state": state,
        "verb": verb,
        "words": words,
        "plates": shown,
        "labels": {code: lines for plate in shown for code, lines in labels(plate).items()},
        "as_list": asked.query.get("as") == "list",
        "counts": state.counts_of(verb) if verb else state.counts,
    }
    return Found({**today.plain_head(state), "list": [today.plain_site(one) for one in state.sites.values()]}, page)


def tasks(asked: Asked) -> Found:
    """What needs a person, ranked."""
    state = asked.state
    found = today.tasks(state)
    return Found({**today.plain_head(state), "tasks": today.plain_tasks(found)}, {"state": state, "tasks": found})


def links(asked: Asked) -> Found:
    """Lines and providers."""
    state = asked.state
    rows, providers, failed = figures.lines(state, asked.watcher.abroad())
    plain = {
        **today.plain_head(state),
        "outages_unknown": failed,
        "providers": figures.plain(providers),
        "lines": figures.plain(rows),
    }
    return Found(plain, {"state": state, "lines": rows, "providers": providers, "failed": failed})


def adoption(asked: Asked) -> Found:
    """Who uses what he was given."""
    state = asked.state
    rows, failed = figures.agencies(state.province, asked.watcher.abroad(), asked.codes)
    total = figures.total(rows)
    plain = {**today.plain_head(state), "unknown": failed, "total": total, "agencies": figures.plain(rows)}
    return Found(plain, {"state": state, "rows": rows, "total": total, "failed": failed})


def rollouts(asked: Asked) -> Found:
    """Rollouts in progress, from the ledger, or as the centre told the hub of them."""
    made, problem = asked.runs.rollouts(asked.codes), asked.runs.problem
    if problem:
        made, problem = progress.rollouts(asked.watcher.abroad(), asked.state.at, asked.codes)
    found = [one for one in made if one["waves"]]
    plain = {"province": asked.watcher.province.code, "problem": problem, "rollouts": found}
    return Found(plain, {"rollouts": found, "problem": problem})


def report(asked: Asked) -> Found:
    """One page for those who decide."""
    state = asked.state
    _lines, providers, _failed = figures.lines(state, asked.watcher.abroad())
    rows, _why = figures.agencies(state.province, asked.watcher.abroad(), asked.codes)
    found = today.tasks(state)
    total = figures.total(rows)
    by_verb = {verb: state.counts_of(verb) for verb in state.verbs}
    plain = {
        **today.plain_head(state),
        "by_verb": {verb: {str(word): n for word, n in counts.items()} for verb, counts in by_verb.items()},
        "tasks": today.plain_tasks(found[:_TASKS_ON_REPORT]),
        "providers": figures.plain(providers),
        "adoption": total,
    }
    page = {
        "state": state,
        "by_verb": by_verb,
        "tasks": found[:_TASKS_ON_REPORT],
        "more": max(0, len(found) - _TASKS_ON_REPORT),
    }
    return Found(plain, {**page, "providers": providers, "total": total})


def site(asked: Asked) -> Found:
    """One site: state with evidence, last runs, a day of history."""
    state = asked.state
    one = state.sites.get(asked.path["code"])
    if one is None:
        raise HTTPException(404)
    last = asked.runs.last(one.site.code)
    told = {
        host.inventory_name: {
            name: state.readings.one(name, one.site.code, host.inventory_name) for name in ("delivered", "not_reached")
        }
        for host in one.site.hosts
    }
    plain = {
        **today.plain_site(one),
        "at": today.plain_head(state)["at"],
        "problem": state.problem,
        "findings": [today.plain_finding(finding) for finding in one.findings],
        "hosts": [
            {"name": host.inventory_name, "year": host.year, "model": host.model, "functions": list(host.functions)}
            for host in one.site.hosts
        ],
        "runs": last,
        "delivery": told,
    }
    history, unknown = asked.watcher.history(one.site.code)
    curves = [
        {"name": name, "unit": CHARTS[name][1], "host": series.labels.get("host", ""), **sparkline(list(series.points))}
        for name, found in history.items()
        for series in found
    ]
    page = {"state": state, "one": one, "runs": last, "told": told, "curves": curves, "unknown": unknown}
    return Found(plain, page | {"runs_problem": asked.runs.problem, "has_runbooks": asked.runbooks is not None})


def history(asked: Asked) -> Found:
    """A day of one site's curves, for charts."""
    code = asked.path["code"]
    if code not in asked.codes:
        raise HTTPException(404)
    found, unknown = asked.watcher.history(code)
    charts = {
        name: [{"host": series.labels.get("host", ""), "points": list(series.points)} for series in all_of]
        for name, all_of in found.items()
    }
    return Found(
        {"site": code, "unknown": unknown, "units": {n: c[1] for n, c in CHARTS.items()}, "charts": charts}, {}
    )


def runbook(asked: Asked) -> Found:
    """A page by symptom, as it lies in docs/runbooks."""
    name = asked.path["name"]
    file = asked.runbooks / f"{name}.md" if asked.runbooks and _PAGE_NAME.fullmatch(name) else None
    if file is None or not file.is_file():
        raise HTTPException(404)
    text = file.read_text(encoding="utf-8")
    # Nothing of a page's own HTML is let through; its links to pages beside it lead here.
    made = MarkdownIt("commonmark", {"html": False}).enable("table").render(text).replace("<th>", '<th scope="col">')
    page = Markup(_BESIDE.sub(r'href="/runbooks/\1', made))  # noqa: S704 made by us
    return Found({"name": name, "text": text}, {"text": page, "name": name})


VIEWS = {
    "/": View("board", board),
    "/today": View("today", tasks),
    "/links": View("links", links),
    "/adoption": View("adoption", adoption),
    "/rollouts": View("rollouts", rollouts),
    "/report": View("report", report),
    "/sites/{code}/history": View("", history),
    "/sites/{code}": View("site", site),
    "/runbooks/{name}": View("runbook", runbook),
}
