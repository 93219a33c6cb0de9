"""Pages: templates with the reader's language, and what they share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tram.register.model import Site
from tram_board.judging import share, span
from tram_board.places import TILE_HEIGHT, TILE_WIDTH, Plate
from tram_board.texts import translations
from tram_board.today import ADVICE
from tram_board.words import STANDINGS, VERBS, WORDS, Finding, told

_templates = Environment(
    loader=PackageLoader("tram_board"),
    undefined=StrictUndefined,
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
_LINE = 13
_LINES = 2


def render(template: str, language: str, **values: object) -> str:
    """A page in `language`."""
    translate = translations(language).gettext

    def say(finding: Finding) -> str:
        return told(finding, translate)

    shared = {"_": translate, "say": say, "language": language, "WORDS": WORDS, "VERBS": VERBS, "ADVICE": ADVICE}
    measures = {
        "share": share,
        "span": span,
        "moment": moment,
        "ago": ago,
        "TILE_WIDTH": TILE_WIDTH,
        "TILE_HEIGHT": TILE_HEIGHT,
        "STANDINGS": STANDINGS,
    }
    return _templates.get_template(f"{template}.html.j2").render({**shared, **measures, **values})


def moment(at: datetime | float) -> str:
    """A moment for people, in the hub's own time zone."""
    chosen = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
    return chosen.astimezone().strftime("%d/%m/%Y %H:%M")


def ago(at: datetime) -> str:
    """How long ago that was, for people."""
    return span(max(0.0, (datetime.now(UTC) - at).total_seconds()))


def labels(plate: Plate) -> dict[str, list[str]]:
    """What stands on each tile of a plate: the site's name without the word most names begin with, in two lines."""
    firsts = [tile.site.name.split()[0] for tile in plate.tiles]
    return {tile.site.code: _wrapped(_short(tile.site, firsts)) for tile in plate.tiles}


def _short(site: Site, firsts: list[str]) -> str:
    first, _blank, rest = site.name.partition(" ")
    if rest and firsts.count(first) >= 3:
        return rest[0].upper() + rest[1:]
    return site.name


def _wrapped(name: str) -> list[str]:
    lines = [""]
    for word in name.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > _LINE:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    kept = [line if len(line) <= _LINE else line[: _LINE - 1] + "…" for line in lines[:_LINES]]
    if len(lines) > _LINES:
        kept[-1] = kept[-1][: _LINE - 1].rstrip("…") + "…"
    return kept


def sparkline(points: list[tuple[float, float]], width: int = 300, height: int = 40) -> Mapping[str, Any]:
    """A curve as SVG's `d`, with its least and greatest value; a gap in time is a gap in the curve."""
    if len(points) < 2:
        return {"d": "", "low": None, "high": None}
    low, high = min(v for _t, v in points), max(v for _t, v in points)
    first, last = points[0][0], points[-1][0]
    gap = 3 * min(b[0] - a[0] for a, b in pairwise(points))
    words, before = [], None
    for t, v in points:
        x = (t - first) / (last - first) * width
        y = height - 2 - ((v - low) / (high - low) if high > low else 0.5) * (height - 4)
        words.append(f"{'M' if before is None or t - before > gap else 'L'}{x:.1f} {y:.1f}")
        before = t
    return {"d": "".join(words), "low": low, "high": high}
