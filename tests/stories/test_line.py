"""The emulated line is what it was asked to be, as ping and a timed transfer see it."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tram.core.run import run
from tram.lab import netem
from tram.lab.lab import Lab
from tram.lab.process import find

pytestmark = [pytest.mark.lab, pytest.mark.apart]

SITE, HOST = "huong-khe", "huong-khe-srv1"
HUB = "trung-tam-hub1"
PINGS = 400
# On a hardened host nothing answers at a port that no function declares.
OPEN = "nft -ea insert rule inet tram input tcp dport 5001 accept 2>/dev/null | sed -n 's/.*# handle //p'"


@pytest.fixture
def line(province_lab: Lab) -> Iterator[Lab]:
    """The lab, whose line to the district is put back to the register's afterwards."""
    before = province_lab.link(SITE).line
    assert before is not None
    yield province_lab
    province_lab.set_link(
        SITE, down_bps=before.down_bps, up_bps=before.up_bps, rtt=before.rtt, loss=before.loss, cut=False
    )


def ping(lab: Lab, count: int, interval: float) -> tuple[float, float]:
    """Median round trip in ms, and the fraction lost."""
    said = lab.sh(HUB, ["ping", "-n", "-c", str(count), "-i", str(interval), "-W", "2", "203.0.113.10"]).stdout
    times = [float(found) for found in re.findall(r"time=([\d.]+)", said)]
    return (statistics.median(times) if times else float("inf")), 1 - len(times) / count


def transfer(lab: Lab, source: str, target: str, address: str, size: int) -> float:
    """bit/s of a bulk TCP transfer between two hosts, IP and TCP headers counted."""
    receiver = "import socket;s=socket.create_server(('0.0.0.0',5001));c,_=s.accept()\nwhile c.recv(65536): pass"
    sender = (
        f"import socket,time;s=socket.create_connection(('{address}',5001),20);b=time.monotonic();"
        f"s.sendall(bytes({size}));s.shutdown(1);s.recv(1);print(time.monotonic()-b)"
    )
    unit = f"sink{time.monotonic_ns()}"
    lab.sh(
        target,
        ["systemd-run", "--quiet", "--collect", f"--unit={unit}", "-p", "RuntimeMaxSec=120", "python3", "-c", receiver],
    )
    deadline = time.monotonic() + 10
    while ":5001" not in lab.sh(target, ["ss", "-ltn"]).stdout and time.monotonic() < deadline:
        time.sleep(0.05)
    seconds = float(lab.sh(source, ["python3", "-c", sender], timeout=timedelta(minutes=2)).stdout)
    return size * (1500 / 1448) * 8 / seconds


@pytest.fixture
def door(province_lab: Lab) -> Iterator[None]:
    """The port of the timed transfer is open on both hosts meanwhile."""
    handles = {host: province_lab.sh(host, ["sh", "-c", OPEN]).stdout.strip() for host in (HUB, HOST)}
    yield
    for host, handle in handles.items():
        if handle:
            province_lab.sh(host, ["nft", "delete", "rule", "inet", "tram", "input", "handle", handle])


@pytest.mark.parametrize("rtt_ms", [20, 120])
def test_the_round_trip_is_within_a_tenth_of_what_was_asked(line: Lab, rtt_ms: int) -> None:
    line.set_link(SITE, rtt=rtt_ms / 1000, loss=0.0, down_bps=20_000_000, up_bps=20_000_000)
    median, lost = ping(line, 50, 0.05)
    print(f"{'netem' if netem.available() else 'userspace'}: asked {rtt_ms} ms, ping says {median:.1f} ms")
    assert lost == 0
    assert median == pytest.approx(rtt_ms, rel=0.1)


def test_the_loss_is_what_was_asked(line: Lab) -> None:
    line.set_link(SITE, rtt=0.01, loss=0.2, down_bps=20_000_000, up_bps=20_000_000)
    _, lost = ping(line, PINGS * 2, 0.01)
    print(f"asked 20 %, ping says {lost:.1%} of {PINGS * 2}")
    # Seeded, so the same packets are lost each time; the bound is two standard errors of 800 draws beside the tenth.
    assert lost == pytest.approx(0.2, abs=0.02 + 0.028)


@pytest.mark.usefixtures("door")
@pytest.mark.parametrize(("down", "up"), [(4_000_000, 512_000), (2_000_000, 1_000_000)])
def test_a_timed_transfer_takes_the_rate_that_was_asked(line: Lab, down: int, up: int) -> None:
    line.set_link(SITE, rtt=0.02, loss=0.0, down_bps=down, up_bps=up)
    measured_down = transfer(line, HUB, HOST, "203.0.113.10", down)
    measured_up = transfer(line, HOST, HUB, "192.0.2.10", up)
    print(f"asked {down / 1e6} down {up / 1e6} up, got {measured_down / 1e6:.2f} and {measured_up / 1e6:.2f} Mbit/s")
    assert measured_down == pytest.approx(down, rel=0.1)
    assert measured_up == pytest.approx(up, rel=0.1)


def test_a_cut_line_carries_nothing_and_a_mended_one_does_again(line: Lab) -> None:
    line.cut(SITE)
    carried = line.link(SITE).down["packets"]
    assert ping(line, 3, 0.1)[1] == 1
    assert line.link(SITE).down["packets"] == carried
    line.mend(SITE)
    assert ping(line, 3, 0.1)[1] == 0


def test_a_line_whose_emulator_does_not_answer_is_unknown_and_comes_back(province_lab: Lab) -> None:
    if netem.available():
        pytest.skip("the kernel's netem has no process that could die")
    (pid,) = find("tram.lab.wire", "--lab", province_lab.paths.name, "--site", SITE)
    run(["kill", "-STOP", str(pid)])
    try:
        assert province_lab.link(SITE).line is None
    finally:
        run(["kill", "-CONT", str(pid)])
    # Whoever asked has gone meanwhile; the line must outlive that.
    state = province_lab.mend(SITE)
    assert state.line is not None
    assert not state.line.cut
