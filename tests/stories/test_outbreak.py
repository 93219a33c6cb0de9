"""A sample found at one office protects all others: in effect everywhere at once, after a cut too."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tram.core.run import Ran, run
from tram.lab.lab import Lab

from ..conftest import LAB, REPO
from ..malware import EICAR, EICAR_NAME, archive
from ..person import wait_until

DISTRICT, DISTRICT_HOST, DEPARTMENT, DEPARTMENT_HOST = "huong-khe", "huong-khe-srv1", "so-noi-vu", "so-noi-vu-srv1"
HUB_HOST = "trung-tam-hub1"
ZONE = "signatures.tinh.example"
SHARE = "/srv/van-ban"
NAMES = ["Công văn số 12.docm", "hai\ndòng.bin", "-rf", "khoảng trắng  đôi"]
KNOWN = "thử nghiệm.zip"
"""The test file every scanner knows, in an archive."""
SMALL = """mkdir -p /run/small && mount -t tmpfs -o size=8m,mode=0755 small /run/small
chown clamav:clamav /run/small && cp -a /var/lib/clamav/. /run/small && mount --bind /run/small /var/lib/clamav"""
LARGE = "umount /var/lib/clamav; umount /run/small; rmdir /run/small"
CAUGHT_UP = timedelta(minutes=2)
"""From the return of a site's line."""


@pytest.fixture
def lab(hardened: Lab) -> Iterator[Lab]:
    """Lines mended afterwards."""
    yield hardened
    hardened.mend(DISTRICT)


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A file nobody has seen before; harmless."""
    path = tmp_path / "mẫu.bin"
    path.write_bytes(f"harmless {uuid.uuid4().hex}\n".encode() * 40)
    return path


def tram(*words: str | Path) -> Ran:
    """The command, as an operator runs it."""
    argv = [REPO / ".venv/bin/tram", *words, "-i", LAB, "--json"]
    return run(argv, env={**os.environ, "LC_ALL": "en"}, timeout=timedelta(minutes=6), check=False)


def declare(sample: Path, name: str, *words: str) -> tuple[int, dict[str, str | None], int]:
    """Exit code of `tram outbreak declare`, the state of each host, and the serial."""
    ran = tram("outbreak", "declare", sample, "--name", name, *words)
    assert ran.stdout, ran
    said = json.loads(ran.stdout)
    return ran.code, said["hosts"], said["serial"]


def statuses() -> dict[str, dict[str, Any]]:
    """What `tram antivirus status` says of each host."""
    return {one["host"]: one for one in json.loads(tram("antivirus", "status").stdout)}


def crossed(lab: Lab, site: str) -> int:
    """Bytes a site's line has carried both ways."""
    state = lab.link(site)
    return int(state.down["bytes"]) + int(state.up["bytes"])


def write(lab: Lab, host: str, path: str, content: bytes) -> None:
    """A file on a host, whatever its name."""
    program = "import sys; open(bytes.fromhex(sys.argv[1]), 'wb').write(bytes.fromhex(sys.argv[2]))"
    ran = lab.sh(host, ["python3", "-c", program, path.encode().hex(), content.hex()])
    assert ran.code == 0, ran


def exists(lab: Lab, host: str, path: str) -> bool:
    return lab.sh(host, ["test", "-e", path]).code == 0


def left(lab: Lab) -> list[str]:
    """Which of the infected files lie on the share."""
    return [file for file in NAMES if exists(lab, DISTRICT_HOST, f"{SHARE}/{file}")]


def test_a_sample_declared_at_the_centre_is_in_effect_on_every_host_and_costs_each_line_little(
    lab: Lab, sample: Path
) -> None:
    before = {site: crossed(lab, site) for site in (DISTRICT, DEPARTMENT)}
    began = time.monotonic()
    code, hosts, serial = declare(sample, f"Tinh.Thu.{uuid.uuid4().hex[:8]}", "--no-sweep", "--wait", "180")
    seconds = time.monotonic() - began
    cost = {site: crossed(lab, site) - bytes_before for site, bytes_before in before.items()}
    print(f"release {serial} in effect on {len(hosts)} hosts after {seconds:.0f} s; bytes on the lines: {cost}")
    assert (code, set(hosts.values())) == (0, {"active"})
    assert max(cost.values()) <= 20_000
    assert {one["active"] for one in statuses().values()} == {serial}


def test_what_lies_on_a_share_is_found_whatever_its_name_put_away_and_given_back(lab: Lab, sample: Path) -> None:
    name = f"Tinh.Thu.{uuid.uuid4().hex[:8]}"
    lab.sh(DISTRICT_HOST, ["mkdir", "-p", SHARE])
    for file in NAMES:
        write(lab, DISTRICT_HOST, f"{SHARE}/{file}", sample.read_bytes())
    write(lab, DISTRICT_HOST, f"{SHARE}/sạch.docm", sample.read_bytes()[:-1])
    known = f"{SHARE}/{KNOWN}"
    write(lab, DISTRICT_HOST, known, archive({"mẫu.com": EICAR}))
    assert declare(sample, name, "--sweep", "--wait", "180")[0] == 0
    wait_until("the sweep has put them away", lambda: not left(lab), timedelta(minutes=4))
    wait_until("the test file, too", lambda: not exists(lab, DISTRICT_HOST, known), timedelta(minutes=1))
    assert exists(lab, DISTRICT_HOST, f"{SHARE}/sạch.docm"), "what differs by a byte is another file"
    found = [one for one in statuses()[DISTRICT_HOST]["findings"] if one["name"] == f"Tram.{name}"]
    assert len(found) == len(NAMES)
    test_files = [one for one in statuses()[DISTRICT_HOST]["findings"] if one["path"] == known]
    found.append(test_files[-1])
    assert found[-1]["name"] == EICAR_NAME
    assert {one["action"] for one in found} == {"quarantined"}
    for one in found:
        ran = lab.sh(DISTRICT_HOST, ["tram-antivirus", "quarantine", "restore", one["id"]])
        assert ran.code == 0, ran
    assert left(lab) == NAMES
    assert exists(lab, DISTRICT_HOST, known)
    lab.sh(DISTRICT_HOST, ["rm", "-rf", SHARE])


def test_a_site_that_was_cut_off_catches_up_by_itself(lab: Lab, sample: Path) -> None:
    lab.cut(DISTRICT)
    # As after hours: its name server has asked in vain, in every way it knows.
    lab.sh(DISTRICT_HOST, ["rndc", "refresh", ZONE])
    code, hosts, serial = declare(sample, f"Tinh.Thu.{uuid.uuid4().hex[:8]}", "--no-sweep", "--wait", "60")
    assert (code, hosts[DISTRICT_HOST], hosts[DEPARTMENT_HOST]) == (1, None, "active")
    gave_up = ["sh", "-c", f"journalctl -u named --since -2min | grep '{ZONE}/IN: refresh: retry limit'"]
    wait_until("named has asked in vain", lambda: lab.sh(DISTRICT_HOST, gave_up).code == 0, timedelta(minutes=1))
    lab.mend(DISTRICT)
    began = time.monotonic()
    wait_until("it has caught up", lambda: statuses()[DISTRICT_HOST]["active"] == serial, CAUGHT_UP)
    print(f"in effect {time.monotonic() - began:.0f} s after the line's return")


def test_a_release_that_was_tampered_with_is_refused_and_the_old_one_stays_in_effect(lab: Lab, sample: Path) -> None:
    before = statuses()[DISTRICT_HOST]["active"]
    place = "/var/lib/tram-mirror/signatures/release.json"
    lab.sh(HUB_HOST, ["sh", "-c", f"cp -p {place} {place}.kept && sed -i 's/serial/Serial/' {place}"])
    try:
        ran = lab.sh(DISTRICT_HOST, ["tram-antivirus", "fetch"])
        assert ran.code != 0
        assert "signature" in ran.stderr + ran.stdout
        assert statuses()[DISTRICT_HOST]["active"] == before
    finally:
        lab.sh(HUB_HOST, ["mv", f"{place}.kept", place])
    assert lab.sh(DISTRICT_HOST, ["tram-antivirus", "fetch"]).code == 0


def test_a_host_whose_disk_is_full_keeps_what_it_has_and_says_why(lab: Lab, sample: Path) -> None:
    before = statuses()[DISTRICT_HOST]["active"]
    try:
        ran = lab.sh(DISTRICT_HOST, ["sh", "-ec", SMALL])
        assert ran.code == 0, ran
        code, hosts, serial = declare(sample, f"Tinh.Thu.{uuid.uuid4().hex[:8]}", "--no-sweep", "--wait", "40")
        assert (code, hosts[DISTRICT_HOST], hosts[DEPARTMENT_HOST]) == (1, "refused", "active")
        said = statuses()[DISTRICT_HOST]
        assert said["active"] == before
        assert "too little disk" in said["error"]
    finally:
        lab.sh(DISTRICT_HOST, ["sh", "-c", LARGE])
    wait_until("there is room again", lambda: statuses()[DISTRICT_HOST]["active"] == serial, timedelta(minutes=6))
