"""The register as data for a host: nothing lost on the way, and only for the host that shows it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tram.register import load
from tram.register.inventory import entries
from tram.register.plain import from_plain, to_plain

HA_TINH = Path(__file__).parents[3] / "inventories/ha-tinh"


def test_a_province_comes_back_as_it_was() -> None:
    province = load(HA_TINH)
    told = json.loads(json.dumps(to_plain(province)))
    again = from_plain(told, province.folder)
    assert again == replace(province, operator="", tiers=dict(province.tiers))
    assert province.operator not in told.values()
    assert str(province.folder) not in json.dumps(told)


@pytest.mark.parametrize("key", ["sites", "tiers", "code"])
def test_what_is_no_register_is_not_read(key: str) -> None:
    told = to_plain(load(HA_TINH))
    del told[key]
    with pytest.raises(KeyError):
        from_plain(told, HA_TINH)


def test_only_the_host_of_the_board_is_given_all_of_it() -> None:
    province = load(HA_TINH)
    assert not any("tram_register" in entry.variables for entry in entries(province))
    hub = province.hub
    host = replace(hub.hosts[0], functions=(*hub.hosts[0].functions, "board"))
    hub = replace(hub, hosts=(host, *hub.hosts[1:]))
    shown = replace(province, sites=tuple(hub if site.is_hub else site for site in province.sites), hub=hub)
    assert [entry.name for entry in entries(shown) if "tram_register" in entry.variables] == [host.inventory_name]
