"""A lab comes, goes, and leaves nothing behind, whatever happened to it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tram.core.errors import BadInput
from tram.core.run import run
from tram.lab.cgroup import hierarchies
from tram.lab.host import Machine
from tram.lab.lab import Lab, LabNotUp, down, open_lab, up
from tram.lab.namespace import namespaces
from tram.lab.network import helpers
from tram.lab.process import find_prefix

from ..person import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.apart]

INVENTORY = Path(__file__).parents[2] / "inventories/lab"
FIRST, SECOND = f"one{os.getpid()}", f"two{os.getpid()}"


@pytest.fixture
def clean() -> Iterator[None]:
    yield
    for name in (FIRST, SECOND):
        down(name)


def left_of(lab: Lab) -> list[str]:
    """Everything of a lab that can be found on this machine."""
    paths = lab.paths
    links = run(["ip", "-o", "link"]).stdout.splitlines()
    return [
        *(f"process {pid}" for pid in find_prefix(f"--machine={paths.prefix}")),
        *(f"helper {pid}" for pid in helpers(paths)),
        *(f"namespace {name}" for name in namespaces(paths.prefix)),
        *(f"group {group}" for tree in hierarchies() for group in tree.glob(f"{paths.prefix}*")),
        *(f"mount {line}" for line in Path("/proc/mounts").read_text().splitlines() if paths.prefix in line),
        *(f"mount {line}" for line in Path("/proc/mounts").read_text().splitlines() if str(paths.state) in line),
        *(f"interface {line}" for line in links if "lab" in line or "wan" in line),
        *(f"file {path}" for path in (paths.state, paths.run) if path.exists()),
    ]


def test_up_and_down_leaves_nothing_behind(clean: None) -> None:
    before = run(["ip", "-o", "link"]).stdout
    lab = up(INVENTORY, FIRST, print)
    assert left_of(lab)
    down(FIRST)
    assert left_of(lab) == []
    assert run(["ip", "-o", "link"]).stdout == before
    with pytest.raises(LabNotUp):
        open_lab(FIRST)


def test_down_leaves_nothing_behind_after_a_host_was_killed_and_a_line_died(clean: None) -> None:
    lab = up(INVENTORY, FIRST, print)
    lab.power_cut("huong-khe-srv1")
    os.kill(helpers(lab.paths)[0], signal.SIGKILL)
    (lab.paths.state / "lab.json").unlink()
    down(FIRST)
    assert left_of(lab) == []


def test_down_of_a_lab_that_never_was_is_no_error() -> None:
    down("never")


def test_two_labs_run_side_by_side_on_the_same_addresses(clean: None) -> None:
    one, two = up(INVENTORY, FIRST, print), up(INVENTORY, SECOND, print)
    one.cut("huong-khe")
    ping = ["ping", "-c1", "-W2", "203.0.113.10"]
    assert one.sh("trung-tam-hub1", ping).code != 0
    assert two.sh("trung-tam-hub1", ping).code == 0
    down(FIRST)
    assert two.sh("trung-tam-hub1", ping).code == 0


def test_a_host_is_up_again_within_three_seconds_of_power_and_its_disk_has_stayed(province_lab: Lab) -> None:
    host = "so-noi-vu-srv1"
    province_lab.sh(host, ["sh", "-c", "echo kept >/root/note && sync"])
    province_lab.power_cut(host)
    assert {h.host: h.state for h in province_lab.hosts()}[host] == "off"
    address = next(h.address for h in province_lab.hosts() if h.host == host)
    assert province_lab.sh("trung-tam-hub1", ["ping", "-c1", "-W2", address]).code == 1, "nobody answers for it"
    began = time.monotonic()
    province_lab.power_on(host)
    print(f"{host} was up after {time.monotonic() - began:.1f} s")
    assert province_lab.sh(host, ["cat", "/root/note"]).stdout == "kept\n"


WATCHER = """
import os, socket
line = socket.socket(socket.AF_UNIX)
line.connect("/run/systemd/private")
try:
    line.recv(1)
finally:
    os.fsync(os.open("/root/saw", os.O_CREAT | os.O_WRONLY))
"""


def test_when_the_power_goes_nobody_sees_another_die_first(province_lab: Lab) -> None:
    host = "so-noi-vu-srv1"
    for _ in range(5):
        province_lab.sh(host, ["systemd-run", "--quiet", "python3", "-c", WATCHER])
        wait_until(
            "it is connected",
            lambda: province_lab.sh(host, ["sh", "-c", "ss -xH state connected | grep -q systemd/private"]).code == 0,
            timedelta(seconds=20),
        )
        province_lab.power_cut(host)
        province_lab.power_on(host)
        assert province_lab.sh(host, ["test", "-e", "/root/saw"]).code == 1


def test_a_service_of_one_host_is_not_the_same_named_service_of_another(province_lab: Lab) -> None:
    groups = set()
    for machine in province_lab.machines.values():
        pid = machine.init_pid()
        groups.add(Path(f"/proc/{pid}/cgroup").read_text())
    assert len(groups) == len(province_lab.machines)


def test_up_completes_a_lab_whose_host_is_off(province_lab: Lab) -> None:
    province_lab.power_cut("huong-khe-srv1")
    up(INVENTORY, province_lab.paths.name, print)
    assert Machine(province_lab.paths, "huong-khe-srv1").init_pid() is not None


def test_up_refuses_an_inventory_whose_hosts_are_real() -> None:
    with pytest.raises(BadInput, match="is not a lab"):
        up(INVENTORY.parent / "ha-tinh", FIRST, print)


def test_a_lab_name_that_could_not_be_a_machine_name_is_refused() -> None:
    with pytest.raises(BadInput, match="only a-z and 0-9"):
        open_lab("Lab.1")


def test_a_host_sets_kernel_values_of_its_own_and_loads_them_again_after_a_power_cut(province_lab: Lab) -> None:
    """The kernel that all hosts share, and the machine's own network, never notice."""
    host, keys = "so-noi-vu-srv1", ["kernel.sysrq", "vm.mmap_min_addr", "net.ipv4.conf.all.log_martians"]
    real = [Path("/proc/sys", *key.split(".")) for key in keys[1:]]
    before = [path.read_text() for path in real]
    file = "/etc/sysctl.d/99-zz-story.conf"  # after what hardening may have put there
    province_lab.sh(host, ["sh", "-c", f"printf '{keys[0]}=0\n{keys[1]}=65000\n{keys[2]}=1\n' >{file} && sync"])
    for _ in range(2):
        province_lab.power_cut(host)
        province_lab.power_on(host)
        assert province_lab.sh(host, ["systemctl", "is-active", "systemd-sysctl"]).stdout.strip() == "active"
        assert province_lab.sh(host, ["sysctl", "-n", *keys]).stdout.split() == ["0", "65000", "1"]
        everything = province_lab.sh(host, ["timeout", "20", "sysctl", "-ae"]).stdout.splitlines()
        assert len(everything) == len(set(everything)), "no key is listed twice"
        drift = ["sysctl", "-qw", "kernel.sysrq=438", "net.ipv4.conf.all.log_martians=0"]
        assert province_lab.sh(host, drift).code == 0
    boots = province_lab.sh(host, ["cat", "/proc/sys/kernel/random/boot_id"]).stdout
    assert boots != Path("/proc/sys/kernel/random/boot_id").read_text()
    assert [path.read_text() for path in real] == before
    province_lab.sh(host, ["rm", file])
