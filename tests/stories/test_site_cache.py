"""A site of three hosts with a cache of its own: what all need crosses the line once, also when the line breaks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tram.core.run import Ran, run
from tram.lab.lab import Lab
from tram.push.playbook import run_playbook

from ..conftest import REPO
from ..person import wait_until
from ..small_lab import own_lab, write_inventory

pytestmark = pytest.mark.long

SITE, HUB = "huong-khe", "trung-tam-hub1"
HOSTS = [f"{SITE}-srv{number}" for number in (1, 2, 3)]
CACHE = "srv1.huong-khe.tinh.example"
SERVED = "/var/lib/tram-mirror/bundles"
BYTES = 6_000_000
OVER = 1.1
"""What all hosts together may cost the line, in copies of what one of them needs."""


@contextmanager
def district(folder: Path, name: str, *of_hosts: list[str]) -> Iterator[Lab]:
    """A lab of its own: the hub with caches, mirror and signatures, and a district whose hosts have these functions.

    Everything up to names is applied.
    """
    hosts = {
        "trung-tam": [{"functions": ["hub_cache", "dns", "pki", "mirror", "antivirus_mirror"]}],
        SITE: [{"functions": functions} for functions in of_hosts],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAM_LEDGER", f"sqlite:///{folder}/ledger.db")
        with own_lab(write_inventory(folder, hosts), name, "base", "pki", "dns") as found:
            yield found


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The hub with its mirror, and a district of three hosts, the first of them with the site's cache."""
    hosts = (["dns", "site_cache", "antivirus"], ["antivirus"], ["antivirus"])
    with district(tmp_path_factory.mktemp("province"), "cache", *hosts) as found:
        assert run_playbook(REPO / "playbooks/antivirus.yml", found.province.folder).failures() == []
        yield found


def crossed(lab: Lab) -> int:
    """Bytes the site's line has carried both ways."""
    state = lab.link(SITE)
    return int(state.down["bytes"]) + int(state.up["bytes"])


def everywhere(lab: Lab, command: str) -> list[Ran]:
    """A shell command on the site's hosts, on all at once."""
    with ThreadPoolExecutor(len(HOSTS)) as pool:
        return list(pool.map(lambda host: lab.sh(host, ["sh", "-c", command], timeout=timedelta(minutes=9)), HOSTS))


def fetch(name: str, address: str) -> str:
    """Fetch a file through the site's cache, again and again until it is whole."""
    tls = "--cacert /etc/ssl/tram/ca.crt --cert /etc/ssl/tram/host-chain.crt --key /etc/ssl/tram/host.key"
    where = f"--resolve {CACHE}:8443:{address} https://{CACHE}:8443/bundles/{name}"
    return (
        f"rm -f /tmp/{name}; for n in 1 2 3 4 5 6 7 8; do curl -s -f -C - {tls} --speed-time 20 -o /tmp/{name} {where} "
        f"&& break; sleep 2; done; sha256sum /tmp/{name} | cut -c 1-64"
    )


def put(lab: Lab, name: str) -> str:
    """A file of random bytes at the mirror; its SHA-256."""
    made = lab.sh(HUB, ["sh", "-c", f"head -c {BYTES} /dev/urandom >{SERVED}/{name}; sha256sum {SERVED}/{name}"])
    assert made.code == 0, made
    return made.stdout[:64]


def test_a_file_that_three_hosts_ask_for_at_once_crosses_the_line_once(lab: Lab) -> None:
    wanted, before = put(lab, "one"), crossed(lab)
    got = everywhere(lab, fetch("one", "203.0.113.10"))
    copies = (crossed(lab) - before) / BYTES
    print(f"{BYTES / 1e6:.0f} MB to three hosts: {copies:.3f} copies on the line")
    assert {ran.stdout.strip() for ran in got} == {wanted}
    assert copies <= OVER


def test_a_cut_in_the_middle_costs_a_piece_and_not_the_file(lab: Lab) -> None:
    wanted, before = put(lab, "two"), crossed(lab)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(everywhere, lab, fetch("two", "203.0.113.10"))
        wait_until("half of it is there", lambda: crossed(lab) - before > BYTES / 2, timedelta(minutes=2))
        lab.cut(SITE)
        time.sleep(30)
        lab.mend(SITE)
        got = asked.result(timeout=540)
    copies = (crossed(lab) - before) / BYTES
    print(f"{BYTES / 1e6:.0f} MB to three hosts, line cut in the middle: {copies:.3f} copies on the line")
    assert {ran.stdout.strip() for ran in got} == {wanted}
    # One piece of 1 MiB may have been begun twice.
    assert copies <= OVER + 1_048_576 / BYTES


def test_a_package_that_three_hosts_install_crosses_the_line_once(lab: Lab) -> None:
    everywhere(lab, "apt-get clean; apt-get -qq update")
    size = int(lab.sh(HOSTS[0], ["sh", "-c", "apt-cache show vim-runtime | sed -n 's/^Size: //p' | head -1"]).stdout)
    before = crossed(lab)
    got = everywhere(lab, "cd /tmp && apt-get -qq download vim-runtime && stat -c %s vim-runtime_*.deb")
    copies = (crossed(lab) - before) / size
    print(f"{size / 1e6:.1f} MB package to three hosts: {copies:.3f} copies on the line")
    assert {ran.stdout.strip() for ran in got} == {str(size)}
    # One copy, not none: it was in no cache before.
    assert 1 <= copies <= OVER


def test_a_release_reaches_three_hosts_for_the_price_of_one_and_each_is_known_at_the_hub(lab: Lab) -> None:
    before = crossed(lab)
    tram = [REPO / ".venv/bin/tram", "outbreak", "declare", "ab" * 32, "--name", "Tinh.Thu.Cache", "--no-sweep"]
    inventory = lab.province.folder
    ran = run([*tram, "--wait", "180", "-i", inventory], env={**os.environ, "LC_ALL": "en"}, check=False,
              timeout=timedelta(minutes=6))  # fmt: skip
    print(f"a release on three hosts: {crossed(lab) - before} bytes on the line\n{ran.stderr}")
    assert ran.code == 0, ran
    assert crossed(lab) - before <= 20_000
