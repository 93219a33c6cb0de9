"""Whatever smartctl prints: no crash, and nothing that is not either judged or unknown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tram_exporters.risk import Constants, judge, together
from tram_exporters.smart import parse, read
from tram_exporters.textfile import Page, Unreadable

from .conftest import NOW, READINGS, clean_by_promtool, reading

pytestmark = pytest.mark.slow
NAMES = sorted(path.stem for path in READINGS.glob("*.json"))
PLAIN = st.sampled_from([None, True, 65535, 2**64, -1, [], {}, ""])
JUNK = st.one_of(PLAIN, st.integers(), st.floats(), st.text(max_size=8))
relaxed = settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])


def fine(document: Any, constants: Constants) -> None:
    disk = read(document)
    flags, _looked = judge(disk, constants, grown=frozenset(disk.counters), year=2026)
    assert all(0 < flag.p < 1 for flag in flags)
    assert 0 <= together(flag.p for flag in flags) <= 1
    assert flags or disk.unknown
    assert disk.readable or disk.unknown
    page = Page("x")
    for flag in flags:
        page.gauge("tram_x_ratio", "Anything.", flag.p, disk=disk.name, signal=flag.signal)
    page.text(now=NOW)


def paths(node: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value of a document."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [way, *(one for key, value in inner for one in paths(value, (*way, key)))]


@relaxed
@given(name=st.sampled_from(NAMES), data=st.data())
def test_a_reading_with_values_replaced_or_gone(name: str, data: st.DataObject, constants: Constants) -> None:
    document = json.loads(reading(name))
    for _times in range(data.draw(st.integers(1, 4))):
        way = data.draw(st.sampled_from([one for one in paths(document) if one and one != ("smartctl",)]))
        node = document
        for step in way[:-1]:
            node = node[step]
        if data.draw(st.booleans()):
            node[way[-1]] = data.draw(JUNK)
        else:
            del node[way[-1]]
    fine(document, constants)


@relaxed
@given(name=st.sampled_from(NAMES), cut=st.floats(0, 1), noise=st.binary(max_size=6))
def test_a_reading_cut_off_or_with_noise_in_it(name: str, cut: float, noise: bytes, constants: Constants) -> None:
    whole = reading(name).encode()
    place = int(len(whole) * cut)
    for data in (whole[:place], whole[:place] + noise + whole[place:]):
        try:
            document = parse(data)
        except Unreadable:
            continue
        fine(document, constants)


@settings(deadline=None, max_examples=25)
@given(st.text(max_size=60))
def test_any_text_is_a_label_promtool_takes(label: str) -> None:
    page = Page("x")
    page.gauge("tram_x_ratio", "Anything.", 1, disk=label)
    assert clean_by_promtool(page.text(now=NOW)) == ""
