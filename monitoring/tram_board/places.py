"""Where each site's tile stands: equal tiles, tier by tier, placed as on a map where the register says where.

A place is in percent of the map; tiles are put on the nearest free cell of a grid, so that none covers another and the
same register always gives the same picture. A tier without places is set in rows, children of one parent together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from tram.register.model import Province, Site, Tier

TILE_WIDTH, TILE_HEIGHT, GAP = 118, 44, 6
MOST_COLUMNS = 12
# A map needs room between its tiles to look like one; rows do not.
_ROOMY = 1.8


@dataclass(frozen=True, slots=True)
class Tile:
    """A site's tile: its upper left corner in the picture's units."""

    site: Site
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Plate:
    """One tier's picture."""

    tier: Tier
    width: int
    height: int
    tiles: tuple[Tile, ...]


def plates(province: Province) -> tuple[Plate, ...]:
    """One picture a tier that has sites, from the top tier down."""
    made = []
    for tier in sorted(province.tiers.values(), key=lambda tier: tier.order):
        sites = [site for site in province.sites if site.tier == tier.code]
        if sites:
            made.append(_plate(tier, sites))
    return tuple(made)


def _plate(tier: Tier, sites: Sequence[Site]) -> Plate:
    cells = _on_map(sites) if any(site.board for site in sites) else _in_rows(sites)
    # Empty rows and columns at the edges say nothing.
    left, top = min(x for x, _y in cells.values()), min(y for _x, y in cells.values())
    tiles = tuple(
        Tile(site, (x - left) * (TILE_WIDTH + GAP), (y - top) * (TILE_HEIGHT + GAP))
        for site in sites
        for x, y in [cells[site.code]]
    )
    width = max(tile.x for tile in tiles) + TILE_WIDTH
    return Plate(tier, width, max(tile.y for tile in tiles) + TILE_HEIGHT, tiles)


def _in_rows(sites: Sequence[Site]) -> dict[str, tuple[int, int]]:
    columns = min(MOST_COLUMNS, max(1, len(sites)))
    ordered = sorted(sites, key=lambda site: (site.parent or "", site.code))
    return {site.code: (number % columns, number // columns) for number, site in enumerate(ordered)}


def _on_map(sites: Sequence[Site]) -> dict[str, tuple[int, int]]:
    """The nearest free cell to each place; sites without a place come after, in the rows below."""
    placed = [site for site in sites if site.board]
    columns = min(MOST_COLUMNS, max(2, ceil(sqrt(len(placed) * _ROOMY))))
    rows = max(2, ceil(len(placed) * _ROOMY / columns))
    taken: dict[tuple[int, int], str] = {}
    for site in sorted(placed, key=lambda site: (site.board.y, site.board.x, site.code) if site.board else ()):
        assert site.board is not None
        wanted = (site.board.x / 100 * (columns - 1), site.board.y / 100 * (rows - 1))
        taken[_nearest(wanted, columns, taken)] = site.code
    cells = {code: cell for cell, code in taken.items()}
    below = max(y for _x, y in taken) + 1
    rest = _in_rows([site for site in sites if not site.board])
    return cells | {code: (x, y + below) for code, (x, y) in rest.items()}


def _nearest(wanted: tuple[float, float], columns: int, taken: dict[tuple[int, int], str]) -> tuple[int, int]:
    x, y = wanted
    for reach in range(len(taken) + 2):
        ring = [
            (column, row)
            for column in range(max(0, round(x) - reach), min(columns, round(x) + reach + 1))
            for row in range(max(0, round(y) - reach), round(y) + reach + 1)
            if (column, row) not in taken
        ]
        if ring:
            # Tiles are wider than high: a step aside is farther than a step down.
            return min(ring, key=lambda cell: (2 * abs(cell[0] - x) + abs(cell[1] - y), cell))
    raise AssertionError("a grid without end has a free cell")
