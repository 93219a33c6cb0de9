"""What the kernel holds beside any file: read so that it can be set again, and set again whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tram.site import addresses, kernel_values

REDIRECTS, FORWARD = "net/ipv4/conf/all/accept_redirects", "net/ipv4/ip_forward"


def test_a_value_that_another_one_changed_while_it_was_brought_back_is_brought_back_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {FORWARD: "0", REDIRECTS: "0"}
    for name in before:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1\n")
    seen = iter([{FORWARD: "1", REDIRECTS: "0"}, {FORWARD: "0", REDIRECTS: "1"}])
    monkeypatch.setattr(kernel_values, "_ROOT", tmp_path)
    monkeypatch.setattr(kernel_values, "kernel_values", lambda: next(seen))
    assert kernel_values.bring_back_values(before, set()) == []
    assert [(tmp_path / name).read_text() for name in before] == ["0\n", "0\n"]


def test_a_gateway_outside_of_every_network_can_be_set_again(monkeypatch: pytest.MonkeyPatch) -> None:
    link = {"ifname": "eth0", "flags": ["UP"], "addr_info": []}
    address = {"local": "192.0.2.2", "prefixlen": 32, "scope": "global"}
    route = {"dst": "default", "gateway": "198.51.100.1", "dev": "eth0", "flags": ["onlink"]}

    def asked(*words: str) -> list[dict[str, Any]]:
        return [{**link, "addr_info": [address]}] if words[0] == "address" else [route] if words[0] == "-4" else []

    monkeypatch.setattr(addresses, "_asked", asked)
    monkeypatch.setattr("shutil.which", lambda _name: "/sbin/ip")
    assert addresses.addresses() == [
        "link set dev eth0 up",
        "address replace 192.0.2.2/32 dev eth0",
        "-4 route replace default via 198.51.100.1 dev eth0 onlink",
    ]
