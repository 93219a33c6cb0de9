"""The line as the site sees it, and whose fault an outage was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tram_exporters import link
from tram_exporters.link import Target, collect
from tram_exporters.textfile import Page, Unreadable

from .conftest import NOW, MachineMaker, values

HUB = Target("hub", "192.0.2.1")
ROUTE = (
    "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
    "eth0 00000000 0100007F 0003 0 0 0 00000000 0 0 0\n"
)
FILES = {
    "/proc/sys/kernel/random/boot_id": "a",
    "/proc/net/route": ROUTE,
    "/sys/class/net/eth0/carrier_changes": "2",
    "/sys/class/net/eth0/carrier": "1",
}
MARK = "/var/lib/tram-exporters/shut-down"
SS = (
    "0 0 192.0.2.7:40000 192.0.2.1:8427\n\t cubic rtt:181.5/12.1 ato:40 mss:1408 pmtu:1452 minrtt:31.5 lastsnd:4\n"
    "0 0 192.0.2.7:22 192.0.2.10:51000\n\t cubic rtt:900/1 pmtu:9000 minrtt:1\n"
)


def probe(*answers: float | None) -> object:
    def ask(_address: str) -> Sequence[float | None]:
        return answers

    return ask


def outages(page: Page) -> dict[str, float]:
    found = {key: value for key, value in values(page).items() if "outage" in key and value}
    return {key.split('"')[1]: value for key, value in found.items()}


def test_round_trips_loss_and_what_the_kernel_measured(machine: MachineMaker, tmp_path: Path) -> None:
    page = collect([HUB], tmp_path, machine(FILES, {"ss": SS}), probe(0.03, None, 0.05))  # type: ignore[arg-type]
    said = values(page)
    assert said['tram_link_rtt_seconds{quantile="0.5",target="hub"}'] == 0.04
    assert said['tram_link_rtt_seconds{quantile="0.95",target="hub"}'] == 0.05
    assert said['tram_link_jitter_seconds{target="hub"}'] == 0.02
    assert round(said['tram_link_loss_ratio{target="hub"}'], 3) == 0.333
    assert said["tram_link_bufferbloat_seconds"] == 0.15
    assert said['tram_link_path_mtu_bytes{target="hub"}'] == 1452
    assert said['tram_link_carrier_changes_total{device="eth0"}'] == 2
    assert page.failed == {}


def test_a_dead_line_has_no_round_trip(machine: MachineMaker, tmp_path: Path) -> None:
    collect([HUB], tmp_path, machine(FILES), probe(0.03, 0.03, 0.03))  # type: ignore[arg-type]
    said = values(collect([HUB], tmp_path, machine(FILES), probe(None, None, None)))  # type: ignore[arg-type]
    assert said['tram_link_up{target="hub"}'] == 0
    assert [key for key in said if key.startswith(("tram_link_rtt", "tram_link_jitter"))] == []


def test_what_may_not_be_probed_is_unknown_not_down(machine: MachineMaker, tmp_path: Path) -> None:
    def forbidden(_address: str) -> Sequence[float | None]:
        raise Unreadable("not permitted")

    page = collect([HUB], tmp_path, machine(FILES), forbidden)
    assert list(page.failed) == ["probe hub"]
    assert 'tram_link_up{target="hub"}' not in values(page)
    assert outages(page) == {}


@pytest.mark.parametrize(
    ("seconds", "files", "programs", "up", "cause"),
    [
        (60, {}, {}, False, {"link": 60}),
        (60, {}, {}, True, {}),
        (60, {"/sys/class/net/eth0/carrier": "0"}, {}, False, {"unknown": 60}),
        (60, {}, {"upsc -l": "u", "upsc u": "ups.status: OB\n"}, False, {"power": 60}),
        (3600, {"/proc/sys/kernel/random/boot_id": "b"}, {}, True, {"power": 3600}),
        (3600, {"/proc/sys/kernel/random/boot_id": "b", MARK: f"{NOW + 5:.0f}"}, {}, True, {"host": 3600}),
        (3600, {}, {}, True, {"unknown": 3600}),
        (-3600, {}, {}, False, {}),
        (-NOW + 100, {}, {}, False, {}),
    ],
)  # fmt: skip
def test_an_outage_is_kept_under_its_cause(  # noqa: PLR0917 (fixtures)
    machine: MachineMaker,
    tmp_path: Path,
    seconds: float,
    files: dict[str, str],
    programs: dict[str, str],
    up: bool,
    cause: dict[str, float],
) -> None:
    collect([HUB], tmp_path, machine(FILES), probe(0.03))  # type: ignore[arg-type]
    there = machine({**FILES, **files}, programs, now=NOW + seconds)
    page = collect([HUB], tmp_path, there, probe(0.03 if up else None))  # type: ignore[arg-type]
    assert outages(page) == cause


def test_a_broken_record_is_said_and_begun_anew(machine: MachineMaker, tmp_path: Path) -> None:
    (tmp_path / "link.json").write_text('{"probes": [')
    assert list(collect([HUB], tmp_path, machine(FILES), probe(0.1)).failed) == ["history"]  # type: ignore[arg-type]
    assert collect([HUB], tmp_path, machine(FILES), probe(0.1)).failed == {}  # type: ignore[arg-type]


@pytest.mark.parametrize("rtts", [False, True], ids=["icmplib-2-of-both-debians", "icmplib-3"])
def test_round_trips_need_nothing_that_one_icmplib_has_and_another_has_not(
    rtts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import icmplib  # type: ignore[import-untyped]  # noqa: PLC0415

    class Door:
        """A socket whose answers take 20 ms; the second never comes."""

        def __init__(self, **_: object) -> None:
            pass

        def __enter__(self) -> Door:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def send(self, request: object) -> None:
            request._time = 100.0  # type: ignore[attr-defined]

        def receive(self, request: object, _timeout: float) -> object:
            if request.sequence == 1:  # type: ignore[attr-defined]
                raise icmplib.TimeoutExceeded(2)
            return icmplib.ICMPReply("192.0.2.1", 4, 1, 0, 0, 0, 44, 100.02)

    monkeypatch.setattr(icmplib, "ICMPv4Socket", Door)
    monkeypatch.setattr(link, "PAUSE_SECONDS", 0)
    if not rtts:  # 2.1.1's Host tells three figures, not single round trips
        monkeypatch.delattr(icmplib.Host, "rtts")
    found = link.icmp("192.0.2.1")
    assert [one if one is None else round(one, 6) for one in found] == [0.02, None, 0.02]
