"""An account without rights on a district's host, and root there, try what security/threats.md says they cannot.

Each try is shown not to be empty: root, or whoever has the right, gets through by the same way. $TRAM_TEST_LAB names a
lab of yours with playbooks/site.yml and playbooks/harden.yml applied, which is used as it is.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tram.core.run import Ran
from tram.lab.lab import Lab

from ..conftest import REPO
from .threats.tries import ELSEWHERE, TRIES, Try

pytestmark = pytest.mark.lab

DISTRICT, NEIGHBOUR, HUB = "huong-khe-srv1", "so-noi-vu-srv1", "trung-tam-hub1"
STRANGERS = ("khach", "www-data")
OPERATOR = "tram"


@pytest.fixture(scope="module")
def district(hardened: Lab) -> Iterator[Lab]:
    """With somebody on the district's host who has an account and no rights."""
    hardened.sh(DISTRICT, ["sh", "-c", "useradd -m -s /bin/bash khach && touch /tmp/cua-root"])
    yield hardened
    hardened.sh(DISTRICT, ["sh", "-c", "pkill -u khach; userdel -r khach; rm -f /tmp/cua-root"])


def root(lab: Lab, host: str, script: str, minutes: int = 1) -> Ran:
    """Whoever is root at a site types this."""
    return lab.sh(host, ["bash", "-c", script], timeout=timedelta(minutes=minutes))


def address(lab: Lab, host: str) -> str:
    return next(str(h.address) for site in lab.province.sites for h in site.hosts if h.inventory_name == host)


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("tried", TRIES, ids=lambda tried: f"{tried.threat}-{tried.what.replace(' ', '-')}")
def test_an_account_without_rights_is_refused(district: Lab, tried: Try, stranger: str) -> None:
    got = district.sh(DISTRICT, ["runuser", "-u", stranger, "--", "bash", "-c", tried.shell])
    assert got.code != 0, f"{stranger} {tried.what}: {got.stdout}"
    by_right = root(district, DISTRICT, tried.right or tried.shell)
    assert by_right.code == 0, f"empty: not even root {tried.what}: {by_right.stderr}"


def test_a_stranger_with_a_key_of_its_own_gets_no_session(district: Lab) -> None:
    """T3.8."""
    script = """cd ~khach && install -d -o khach -m 700 .ssh && rm -f .ssh/own
    runuser -u khach -- ssh-keygen -q -t ed25519 -N '' -f .ssh/own && cp .ssh/own.pub .ssh/authorized_keys
    chown khach .ssh/authorized_keys && chmod 600 .ssh/authorized_keys && cat .ssh/own"""
    key = root(district, DISTRICT, script).stdout
    assert "PRIVATE KEY" in key
    script = f"""umask 077; cat >/run/khach <<'KEY'
{key}KEY
    ssh -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i /run/khach \
      khach@{address(district, DISTRICT)} true; code=$?; rm /run/khach; exit $code"""
    for host in (DISTRICT, HUB):
        got = root(district, host, script)
        assert got.code == 255, f"from {host}: {got.stdout}{got.stderr}"
        assert re.search("Permission denied|refused|timed out", got.stderr), got.stderr
    centre = ["ssh", "-F", str(district.paths.state / "ssh_config"), "-o", "ControlPath=none", DISTRICT, "true"]
    assert subprocess.run(centre, check=False).returncode == 0, "the centre gets in by the same way"


def test_a_port_that_a_stranger_opens_is_reached_by_nobody(district: Lab) -> None:
    """T2.4."""
    listen = "import socket; s = socket.create_server(('0.0.0.0', 8099)); s.settimeout(60); s.accept()"
    started = "systemd-run -q --uid=khach --unit=cong-la --collect python3 -c " + shlex.quote(listen)
    assert root(district, DISTRICT, started).code == 0
    try:
        reach = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{address(district, DISTRICT)}/8099'"
        here = "for i in $(seq 50); do ss -Hltn sport = :8099 | grep -q . && exit 0; sleep 0.1; done; exit 1"
        assert root(district, DISTRICT, here).code == 0, "it listens"
        for host in (HUB, NEIGHBOUR):
            assert root(district, host, reach).code != 0, f"{host} reaches it"
    finally:
        root(district, DISTRICT, "systemctl stop cong-la")


def test_no_key_on_a_sites_disk_opens_any_other_host(hardened: Lab) -> None:
    """T7.2, T8.1."""
    found = root(hardened, DISTRICT, "grep -rlsI 'PRIVATE KEY-----' /etc /root /home /var/lib /srv | sort", 3)
    keys = found.stdout.split()
    assert keys, "the host's own keys at least"
    ssh = "ssh -n -o BatchMode=yes -o IdentitiesOnly=yes -o ConnectTimeout=3 -o UserKnownHostsFile=/dev/null"
    for host in (HUB, NEIGHBOUR):
        for who in ("root", OPERATOR):
            for key in keys:
                to = f"{ssh} -o StrictHostKeyChecking=no -i {key} {who}@{address(hardened, host)} true"
                got = root(hardened, DISTRICT, to)
                assert got.code == 255, f"{key} opens {who}@{host}"
        centre = ["ssh", "-F", str(hardened.paths.state / "ssh_config"), "-o", "ControlPath=none", host, "true"]
        assert subprocess.run(centre, check=False).returncode == 0, "the centre's key does"
    print(f"{len(keys)} private keys on {DISTRICT} open nothing at 2 other hosts")


def test_a_site_reaches_no_port_of_another_site_that_no_function_needs(hardened: Lab) -> None:
    """T7.11."""
    for host, port in ((NEIGHBOUR, 22), (NEIGHBOUR, 143), (NEIGHBOUR, 9100), (HUB, 5432)):
        reach = f"timeout 3 bash -c 'exec 3<>/dev/tcp/{address(hardened, host)}/{port}'"
        assert root(hardened, DISTRICT, reach).code != 0, f"{DISTRICT} reaches {host}:{port}"
    cache = f"timeout 5 bash -c 'exec 3<>/dev/tcp/{address(hardened, HUB)}/3142'"
    assert root(hardened, DISTRICT, cache).code == 0, "what a function needs it does reach"


def test_what_other_sites_were_given_is_not_on_a_sites_disk(hardened: Lab) -> None:
    """T7.9."""
    domain = next(site.domain for site in hardened.province.sites if site.code == "huong-khe")
    secrets = hardened.province.secrets_dir
    others = [path for path in (secrets / "mail").rglob("*") if path.is_file() and path.parent.name != domain]
    patterns = {
        line for path in others for line in path.read_text().splitlines() if len(line) > 11 and "---" not in line
    }
    assert patterns
    search = "grep -rlsF -f /run/patterns /etc /var /home /root /srv /opt /usr/local"
    lay = "umask 077; cat >/run/patterns"
    given = "\n".join(patterns) + "\n"
    machine = hardened.machine(DISTRICT)
    machine.sh(["sh", "-c", lay], stdin=given)
    try:
        assert machine.sh(["sh", "-c", search], timeout=timedelta(minutes=3)).stdout == ""
        machine.sh(["sh", "-c", "head -n1 /run/patterns >/root/thu"])
        assert machine.sh(["sh", "-c", search], timeout=timedelta(minutes=3)).stdout == "/root/thu\n"
    finally:
        machine.sh(["rm", "-f", "/run/patterns", "/root/thu"])


DNS = """
import socket, struct, sys
def name(text): return b"".join(bytes([len(part)]) + part.encode() for part in text.split(".")) + b"\\0"
def ask(server, message, tcp=False):
    s = socket.create_connection((server, 53), 5) if tcp else socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(5)
    if tcp:
        s.sendall(struct.pack(">H", len(message)) + message)
        return s.recv(65535)[2:]
    s.sendto(message, (server, 53))
    return s.recv(4096)
server, zone = sys.argv[1:]
head = lambda op, *counts: struct.pack(">HHHHHH", 7, op << 11, *counts)
new = name("gia-mao." + zone) + struct.pack(">HHIH", 1, 1, 60, 4) + bytes([203, 0, 113, 66])
update = ask(server, head(5, 1, 0, 1, 0) + name(zone) + struct.pack(">HH", 6, 1) + new)
whole = ask(server, head(0, 1, 0, 0, 0) + name(zone) + struct.pack(">HH", 252, 1), tcp=True)
soa = ask(server, head(0, 1, 0, 0, 0) + name(zone) + struct.pack(">HH", 6, 1))
print("update", update[3] & 15, "transfer", whole[3] & 15, "soa", soa[3] & 15)
"""


def test_a_site_changes_no_name_of_the_province_and_copies_no_zone_without_its_key(hardened: Lab) -> None:
    """T7.8 (RFC 2136, RFC 5936): rcode 5 is REFUSED, 9 NOTAUTH."""
    neighbour = next(site.domain for site in hardened.province.sites if site.code == "so-noi-vu")
    for zone in (hardened.province.domain, neighbour):
        asked = ["python3", "-c", DNS, address(hardened, HUB), zone]
        got = re.match(r"update (\d+) transfer (\d+) soa (\d+)", hardened.sh(DISTRICT, asked).stdout)
        assert got is not None
        update, transfer, soa = map(int, got.groups())
        assert update in (5, 9), f"{zone} was changed"
        assert transfer in (5, 9), f"{zone} was copied"
        assert soa == 0, "the same server answers what it may"


def test_a_site_does_not_steer_the_hubs_package_cache(hardened: Lab) -> None:
    """T7.10: what is to be installed comes signed, and the cache's own page asks who it is."""
    url = f"http://{address(hardened, HUB)}:3142"
    code = "curl -s -m 10 -o /dev/null -w '%{http_code}' "
    assert root(hardened, DISTRICT, f"{code} {url}/").stdout not in ("", "000"), "the cache is reached"
    assert root(hardened, DISTRICT, f"{code} '{url}/acng-report.html?doExpire=Start'").stdout in ("401", "403", "404")
    put = f"{code} -X PUT --data x {url}/debian/dists/stable/Release"
    assert not root(hardened, DISTRICT, put).stdout.startswith("2")


def test_packages_that_nobody_signed_are_not_taken_whoever_serves_them(hardened: Lab) -> None:
    """T7.10, T6.3."""
    update = """apt-get update -o Dir::Etc::SourceParts=- -o Dir::Etc::SourceList="$d/list" \
      -o Dir::State::Lists="$d/l" -o Dir::Cache="$d/c" -o APT::Sandbox::User=root 2>&1"""
    script = f"""set -e; d=$(mktemp -d); trap 'rm -r "$d"' EXIT
    mkdir -p "$d/repo" "$d/l/partial" "$d/c/archives/partial"
    printf 'Package: bash\\nVersion: 99\\nArchitecture: amd64\\nFilename: x.deb\\nSize: 1\\n' >"$d/repo/Packages"
    printf 'Suite: la\\n' >"$d/repo/Release"
    echo "deb $1 file:$d/repo ./" >"$d/list"; {update}"""
    plain = hardened.sh(NEIGHBOUR, ["bash", "-c", script, "apt", ""])
    assert plain.code != 0, plain.stdout
    assert "is not signed" in plain.stdout
    trusted = hardened.sh(NEIGHBOUR, ["bash", "-c", script, "apt", "[trusted=yes]"])
    assert "is not signed" not in trusted.stdout, "only the signature was missing"


def test_every_claim_about_strangers_and_taken_sites_is_tried_somewhere() -> None:
    text = (REPO / "security/threats.md").read_text(encoding="utf-8")
    here = (REPO / "tests/stories/test_threats.py").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (T[0-9.]+) \|(.*)\|$", text, re.MULTILINE)
    tried = {one.threat for one in TRIES} | set(re.findall(r"T\d\.\d+", here)) | set(ELSEWHERE)
    named = {code for code, row in rows if "tests/" in row or "(the same" in row}
    assert {code for code, _ in rows if code[:2] in ("T2", "T3", "T7")} - tried - named == set()
    assert tried - {code for code, _ in rows} == set(), "tried, and claimed nowhere"
    files = {word for _, row in rows for word in re.findall(r"tests/[a-z_/]+(?:\.py)?", row)}
    files |= {word for why in ELSEWHERE.values() for word in re.findall(r"tests/[a-z_/]+(?:\.py)?", why)}
    assert [file for file in sorted(files) if not (REPO / file).exists()] == []
