"""Two lists of ports say the same: what role firewall opens for a function, and what the baseline lets it listen on."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from tram.register.shape import FUNCTIONS

REPO = Path(__file__).parents[3]


def test_what_the_firewall_opens_for_a_function_the_baseline_knows() -> None:
    doors = yaml.safe_load((REPO / "roles/firewall/vars/main.yml").read_text(encoding="utf-8"))["__firewall_doors"]
    controls = yaml.safe_load((REPO / "security/baselines/network.yml").read_text(encoding="utf-8"))["controls"]
    (known,) = (check["by_function"] for one in controls for check in one["check"] if "by_function" in check)
    lacking = [
        f"{function}: {door['proto']}/{port}"
        for door in doors
        for function in FUNCTIONS
        if function == str(door.get("at", "")).split(" ")[0]
        for port in (re.search(r"\d+", str(given)) for given in door["ports"])
        if port and f"{door['proto']}/{port[0]}" not in known.get(function, [])
    ]
    assert lacking == []
