"""What the next wave needs is staged at night; then the centre has no way out and the line is cut, and it goes on."""

from __future__ import annotations

import json
import os
import signal
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from tram.core.run import Ran, run
from tram.lab.lab import Lab
from tram.lab.network import UPLINK_MODULE
from tram.lab.process import find
from tram.ledger import Outcome, open_ledger
from tram.push.playbook import run_playbook

from ..conftest import REPO
from ..person import wait_until
from ..unit.rollout.province import new_rollout
from .test_site_cache import crossed, district

pytestmark = [pytest.mark.lab, pytest.mark.long]

SITE, HUB = "huong-khe", "trung-tam-hub1"
CACHE, FIRST, SECOND = (f"{SITE}-srv{number}" for number in (1, 2, 3))
VIETNAM = timedelta(hours=7)
SAYING_SO = 200_000
"""Bytes: to ask three hosts what they have, and to hear it, when nothing else is to travel."""
IDLE = 10_000
"""Bytes: what the hosts say to the hub by themselves in a few seconds."""
OVER = 1.1


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The hub with cache and mirror, and a district with a cache and two hosts that are to get antivirus; it is day."""
    hosts = (["dns", "site_cache"], ["antivirus"], ["antivirus"])
    with district(tmp_path_factory.mktemp("province"), "stage", *hosts) as found:
        inventory = found.province.folder
        quiet_hours(inventory, 6)
        # The caches first, as waves do it: the hub's, then the site's.
        caches = ["--limit", f"{HUB},{CACHE}"]
        assert run_playbook(REPO / "playbooks/antivirus.yml", inventory, extra=caches).failures() == []
        yield found


def quiet_hours(inventory: Path, begin: int) -> None:
    """Lines are left to people but for two hours, which begin so many hours from the one it is."""
    path = inventory / "rollout.yml"
    rules = yaml.safe_load(path.read_text(encoding="utf-8"))
    here = datetime.now(UTC) + VIETNAM + timedelta(hours=begin)
    rules["quiet"] = {"since": f"{here:%H}:00", "until": f"{here + timedelta(hours=2):%H}:00"}
    path.write_text(yaml.safe_dump(rules), encoding="utf-8")


def tram(lab: Lab, *words: str | Path, code: int = 0, within: timedelta = timedelta(minutes=15)) -> Ran:
    """The command, as an operator types it."""
    ran = run(
        [REPO / ".venv/bin/tram", *words, "-i", lab.province.folder],
        env={**os.environ, "LC_ALL": "en", "PIP_NO_INDEX": "1"}, check=False, timeout=within,
    )  # fmt: skip
    assert ran.code == code, ran
    return ran


def stage(lab: Lab, *words: str, code: int = 0) -> tuple[dict[str, Any], int]:
    """What `tram stage wave antivirus` says of the district, and what its line carried meanwhile."""
    before = crossed(lab)
    ran = tram(lab, "stage", "wave", "antivirus", "--limit", SITE, "--json", *words, code=code)
    return json.loads(ran.stdout), crossed(lab) - before


def on(lab: Lab, host: str, command: str) -> str:
    """A shell command on a host, past the network."""
    ran = lab.sh(host, ["sh", "-c", command], timeout=timedelta(minutes=9))
    assert ran.code == 0, ran
    return ran.stdout


def of(said: dict[str, Any], host: str) -> dict[str, Any]:
    """What is said of one cache."""
    return next(one for one in said["caches"] if one["host"] == host)


def test_a_dry_run_says_what_would_come_and_how_much(lab: Lab) -> None:
    said, carried = stage(lab, "--dry-run")
    missing = of(said, CACHE)["missing"]
    print(f"the district lacks {missing / 1e6:.1f} MB; saying so cost {carried / 1e3:.0f} kB")
    assert missing > 10_000_000
    assert [of(said, host)["fetched"] for host in (HUB, CACHE)] == [0, 0]
    assert carried <= SAYING_SO


def test_by_day_the_hub_gets_it_and_the_line_is_left_to_people(lab: Lab) -> None:
    said, carried = stage(lab, code=1)
    assert of(said, HUB)["waits_for"] is None
    assert of(said, CACHE)["waits_for"] == "hours"
    assert {host["waits_for"] for host in said["hosts"]} == {"hours"}
    assert carried <= SAYING_SO


def test_a_cap_leaves_the_rest_for_the_next_time(lab: Lab) -> None:
    said, carried = stage(lab, "--now", "--max-bytes", "3000000", code=1)
    cache = of(said, CACHE)
    assert cache["waits_for"] == "cap"
    assert 0 < cache["fetched"] <= 3_000_000
    assert {host["waits_for"] for host in said["hosts"]} == {"cap"}
    assert carried <= 3_000_000 * OVER + SAYING_SO


def test_at_night_the_next_wave_of_a_rollout_is_staged_and_each_file_crosses_the_line_once(lab: Lab) -> None:
    quiet_hours(lab.province.folder, 0)
    ledger = open_ledger("lab")
    rollout = new_rollout(ledger, [[HUB], [CACHE, FIRST, SECOND]], stack="antivirus")
    ledger.rollouts.set_wave(rollout, 1, "passed")
    before = crossed(lab)
    # What the timer calls.
    (said,) = json.loads(tram(lab, "stage", "night", "--json").stdout)
    carried = crossed(lab) - before
    lists = max(host["lists"] for host in said["hosts"])
    wanted = of(said, CACHE)["fetched"] + lists + SAYING_SO
    print(f"{wanted / 1e6:.1f} MB for three hosts: {carried / 1e6:.1f} MB on the line, {carried / wanted:.3f} copies")
    assert said["ready"]
    assert carried <= OVER * wanted
    rows = {row.host: row for row in ledger.show(ledger.runs()[0].run).hosts}
    assert {row.outcome for row in rows.values()} == {Outcome.DONE}
    assert rows[CACHE].bytes_down == of(said, CACHE)["fetched"]
    before = crossed(lab)
    assert json.loads(tram(lab, "stage", "night", "--json").stdout) == []
    print(f"an hour later: {crossed(lab) - before} bytes on the line")
    assert crossed(lab) - before <= IDLE
    ledger.rollouts.set_state(rollout, "aborted")


def test_the_second_time_nothing_is_sent(lab: Lab) -> None:
    said, carried = stage(lab, "--now")
    print(f"again: {carried / 1e3:.0f} kB on the line")
    assert said["ready"]
    assert [of(said, host)["fetched"] for host in (HUB, CACHE)] == [0, 0]
    assert carried <= SAYING_SO


def test_a_host_installs_python_packages_from_its_own_cache(lab: Lab, tmp_path: Path) -> None:
    wheel = tmp_path / "cong_van-1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("cong_van.py", "so = 1203\n")
        made.writestr("cong_van-1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: cong-van\nVersion: 1.2\n")
        made.writestr("cong_van-1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        made.writestr("cong_van-1.2.dist-info/RECORD", "")
    line = f"cong-van==1.2 --hash=sha256:{sha256(wheel.read_bytes()).hexdigest()}"
    asked = tmp_path / "cong-van.txt"
    asked.write_text(f"{line}\n", encoding="utf-8")
    words = ("stage", "wheels", asked, "--find-links", tmp_path, "--json")
    assert json.loads(tram(lab, *words).stdout)["sent"] == wheel.stat().st_size
    assert json.loads(tram(lab, *words).stdout)["sent"] == 0
    on(lab, FIRST, "apt-get -qq install -y --no-install-recommends python3-venv >/dev/null && python3 -m venv /tmp/v")
    on(lab, FIRST, "umask 077; cat /etc/ssl/tram/host.key /etc/ssl/tram/host-chain.crt >/tmp/me.pem")
    on(lab, FIRST, f"echo '{line}' >/tmp/asked")
    pip = "/tmp/v/bin/pip install -q --disable-pip-version-check --no-cache-dir --require-hashes -r /tmp/asked"
    index = f"--index-url https://srv1.{SITE}.tinh.example:8443/wheels/simple --cert /etc/ssl/tram/ca.crt"
    assert lab.sh(FIRST, ["sh", "-c", f"{pip} {index}"]).code != 0, "without its certificate it gets nothing"
    on(lab, FIRST, f"{pip} {index} --client-cert /tmp/me.pem; rm /tmp/me.pem")
    assert on(lab, FIRST, "/tmp/v/bin/python -c 'import cong_van; print(cong_van.so)'").strip() == "1203"


def test_with_the_line_cut_a_host_installs_from_its_sites_cache(lab: Lab) -> None:
    lab.cut(SITE)
    try:
        on(lab, SECOND, "DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends clamav-daemon")
    finally:
        lab.mend(SITE)
    wait_until("the line carries again", lambda: lab.sh(FIRST, ["ping", "-c1", "-W2", "192.0.2.10"]).code == 0,
               timedelta(minutes=1))  # fmt: skip


def test_without_the_centres_way_out_the_wave_is_delivered_and_the_line_carries_little(lab: Lab) -> None:
    for pid in find(UPLINK_MODULE, "--lab", lab.paths.name):
        os.kill(pid, signal.SIGKILL)
    before = crossed(lab)
    tram(lab, "deliver", "antivirus", "--install", "--limit", FIRST, "--limit", SECOND, within=timedelta(minutes=25))
    carried = crossed(lab) - before
    print(f"antivirus on two hosts, without the centre's way out: {carried / 1e3:.0f} kB on the line")
    assert "answers" in on(lab, FIRST, "tram-antivirus status --json")
    assert carried <= 400_000
