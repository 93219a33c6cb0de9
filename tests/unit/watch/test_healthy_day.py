"""A healthy day of a site with everything, minute by minute as its agent sends it: no rule fires."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # promtool reckons a day

REPO = Path(__file__).parents[3]
MINUTES = 1440
REGISTER = {
    'tram_register_site_info{site="a",name="a",provider="A",hub="no"}': "1",
    'tram_register_host_info{site="a",host="a-srv1"}': "1",
    'tram_register_link_rtt_seconds{site="a"}': "0.06",
    'tram_register_link_loss_ratio{site="a"}': "0.005",
    'up{site="a",host="a-srv1"}': "1",
    'tram_watch_dropped_total{site="a",host="a-srv1"}': "0",
    'tram_watch_series_over{site="a",host="a-srv1"}': "0",
}


def day() -> dict[str, list[str]]:
    """The values of each series, a minute each."""
    spec = importlib.util.spec_from_file_location("page", REPO / "bench/watch/page.py")
    assert spec
    assert spec.loader
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    series: dict[str, list[str]] = defaultdict(list)
    for minute in range(MINUTES + 1):
        for line in module.page(minute, 0).splitlines():
            name, value = line.rsplit(" ", 1)
            plain, _, inner = name.partition("{")
            whose = 'site="a",host="a-srv1"'
            series[f"{plain}{{{whose},{inner or '}'}".replace(",}", "}")].append(f"{float(value):f}")
    return series


def fired(folder: Path, series: dict[str, list[str]]) -> tuple[str, str]:
    """How many alerts fired in the day, and how many were only near it; promtool's word for the rest."""
    rules = sorted(str(path) for path in (REPO / "monitoring/rules").glob("*.yml"))
    held = {name: f"{value}x{MINUTES}" for name, value in REGISTER.items()}
    told = held | {name: " ".join(values) for name, values in series.items()}
    count = "count(count_over_time(ALERTS{alertstate='firing',severity!='daily'}[24h])) or vector(0)"
    seen = "count({site='a',__name__!~'ALERTS.*|tram:.*|tram_register.*'})"
    test = {
        "rule_files": rules,
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in told.items()],
                "promql_expr_test": [
                    {"eval_time": "24h", "expr": expr, "exp_samples": [{"labels": "{}", "value": -1}]}
                    for expr in (count, seen)
                ],
            }
        ],
    }
    (folder / "day.yml").write_text(json.dumps(test), encoding="utf-8")
    words = ["promtool", "test", "rules", str(folder / "day.yml")]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    # Asked to be -1, promtool says what they are.
    found = re.findall(r"got:\s*\{\}\s*([\d.E+]+)", (ran.stdout + ran.stderr).replace('"', ""))
    assert len(found) == 2, ran.stdout + ran.stderr
    return found[0], found[1]


def test_a_healthy_day_raises_no_alarm(tmp_path: Path) -> None:
    alarms, series = fired(tmp_path, day())
    print(f"{float(series):.0f} series, {MINUTES} minutes: {float(alarms):.0f} false alarms")
    assert float(series) >= 150
    assert float(alarms) == 0


def test_the_same_day_with_one_disk_filling_does(tmp_path: Path) -> None:
    series = day()
    name = next(one for one in series if one.startswith("node_filesystem_avail_bytes") and 'mountpoint="/"' in one)
    series[name][600:] = ["1000000"] * (MINUTES + 1 - 600)
    assert float(fired(tmp_path, series)[0]) >= 1
