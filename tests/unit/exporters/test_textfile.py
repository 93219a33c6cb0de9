"""Files for node_exporter: whole or not at all, clean, and honest about what failed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tram_exporters.textfile import Absent, Page, Unreadable, put

from .conftest import NOW, clean_by_promtool, values

NASTY = 'Huyện "Hương Khê"\\\nđĩa\r\x00\x07 1\udcff'


def test_labels_survive_vietnamese_quotes_and_newlines() -> None:
    page = Page("x")
    page.gauge("tram_x_ratio", "Anything.", 1, disk=NASTY)
    text = page.text(now=NOW)
    [sample] = [
        one for family in text_string_to_metric_families(text) for one in family.samples if one.name == "tram_x_ratio"
    ]
    assert sample.labels["disk"] == 'Huyện "Hương Khê"\\\nđĩa 1?'
    if shutil.which("promtool"):
        assert clean_by_promtool(text) == ""


def test_a_failed_reading_is_counted_by_name_and_leaves_nothing() -> None:
    page = Page("x")
    with page.reading("good"):
        page.gauge("tram_x_ratio", "Anything.", 1)
    with page.reading("bad"):
        page.gauge("tram_y_ratio", "Anything.", float("nan"))
    with page.reading("sensor 7"):
        raise Unreadable("65535")
    with page.reading("not here"):
        raise Absent
    said = values(page)
    failed = 'tram_exporter_readings_failed{exporter="x",reading="%s"}'
    assert (said[failed % "good"], said[failed % "bad"], said[failed % "sensor 7"]) == (0, 1, 1)
    assert "tram_y_ratio" not in said
    assert failed % "not here" not in said


def test_a_count_below_nought_is_no_count() -> None:
    with pytest.raises(Unreadable):
        Page("x").counter("tram_x_total", "Anything.", -1)


@pytest.mark.parametrize(("now", "success", "last"), [(NOW, True, NOW), (NOW, False, 7.0), (86_400.0, True, 7.0)])
def test_the_last_success_is_kept_by_a_run_without_one(tmp_path: Path, now: float, success: bool, last: float) -> None:
    before = 'tram_exporter_last_success_timestamp_seconds{exporter="x"} 7.0\n'
    (tmp_path / "tram_x.prom").write_text(before)
    written = Page("x").write(tmp_path, success=success, now=now).read_text()
    assert f'tram_exporter_last_success_timestamp_seconds{{exporter="x"}} {last!r}' in written.replace(
        "1.795e+09", repr(NOW)
    )
    assert f'tram_exporter_success{{exporter="x"}} {float(last == NOW)}' in written


def test_a_file_is_put_in_place_whole_and_readable(tmp_path: Path) -> None:
    path = Page("x").write(tmp_path, now=NOW)
    assert (path.stat().st_mode & 0o777, [one.name for one in tmp_path.iterdir()]) == (0o644, ["tram_x.prom"])


def test_halves_of_runs_that_were_killed_go_and_that_of_one_under_way_stays(tmp_path: Path) -> None:
    old, fresh = (tmp_path / f".tram_x.prom.{name}.half" for name in ("old", "fresh"))
    for half in (old, fresh):
        half.write_text("")
    os.utime(old, (NOW - 86_400, 0))
    put(tmp_path / "tram_x.prom", "x 1\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == [fresh.name, "tram_x.prom"]
