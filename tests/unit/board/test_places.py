"""Tiles: equal, none over another, placed as on a map, the same each time."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tram.register import Board, Province
from tram_board.access import Person, below, visible
from tram_board.pages import labels, sparkline
from tram_board.places import TILE_HEIGHT, TILE_WIDTH, plates

places = st.lists(
    st.one_of(st.none(), st.builds(Board, st.integers(0, 100), st.integers(0, 100))), min_size=1, max_size=60
)


def province_of(province: Province, boards: list[Board | None]) -> Province:
    one = next(site for site in province.sites if not site.is_hub)
    sites = tuple(replace(one, code=f"s{number:03}", board=board) for number, board in enumerate(boards))
    return replace(province, sites=sites)


@given(boards=places)
def test_no_tile_covers_another_and_none_is_lost(province: Province, boards: list[Board | None]) -> None:
    (plate,) = plates(province_of(province, boards))
    assert len(plate.tiles) == len(boards)
    for a, b in combinations(plate.tiles, 2):
        assert abs(a.x - b.x) >= TILE_WIDTH or abs(a.y - b.y) >= TILE_HEIGHT
    assert all(
        0 <= tile.x <= plate.width - TILE_WIDTH and 0 <= tile.y <= plate.height - TILE_HEIGHT for tile in plate.tiles
    )
    assert plates(province_of(province, boards)) == (plate,)


def test_what_is_north_west_in_the_register_is_so_on_the_board(province: Province) -> None:
    corners: list[Board | None] = [Board(0, 0), Board(100, 0), Board(0, 100), Board(100, 100)]
    (plate,) = plates(province_of(province, corners))
    at = {tile.site.code: (tile.x, tile.y) for tile in plate.tiles}
    assert at["s000"][0] == at["s002"][0] < at["s001"][0] == at["s003"][0]
    assert at["s000"][1] == at["s001"][1] < at["s002"][1] == at["s003"][1]


def test_tiers_stand_in_their_order(ha_tinh: Province) -> None:
    made = plates(ha_tinh)
    assert [plate.tier.code for plate in made] == ["department", "district"]
    assert sum(len(plate.tiles) for plate in made) == len(ha_tinh.sites)


def test_names_leave_out_the_word_most_begin_with_and_fit(ha_tinh: Province) -> None:
    said = {code: lines for plate in plates(ha_tinh) for code, lines in labels(plate).items()}
    assert said["huong-khe"] == ["Hương Khê"]
    assert all(len(lines) <= 2 and all(len(line) <= 13 for line in lines) for lines in said.values())


def test_an_operator_sees_everything_and_a_viewer_what_is_below(ha_tinh: Province) -> None:
    everything = {site.code for site in ha_tinh.sites}
    assert visible(ha_tinh, Person("a", "operator")) == everything
    assert visible(ha_tinh, Person("a", "viewer", ha_tinh.hub.code)) == everything
    assert visible(ha_tinh, Person("a", "viewer", "huong-khe")) == {"huong-khe"}
    assert visible(ha_tinh, Person("a", "viewer", "gone")) == visible(ha_tinh, Person("a", "viewer")) == set()
    assert below(ha_tinh.sites, "gone") == set()


@pytest.mark.parametrize(
    ("points", "moves"), [([], 0), ([(0, 1)], 0), ([(0, 1), (60, 1)], 1), ([(0, 1), (60, 2), (600, 1), (660, 1)], 2)]
)
def test_a_gap_in_time_is_a_gap_in_the_curve(points: list[tuple[float, float]], moves: int) -> None:
    assert str(sparkline(points)["d"]).count("M") == moves
