"""Records of a far host are at the hub whatever happens to the line: once, in order, and not changed unseen."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from tram.core.run import Ran
from tram.lab.lab import Lab
from tram.push.playbook import run_playbook

from ..conftest import LAB
from ..person import wait_until

pytestmark = [pytest.mark.lab, pytest.mark.apart]

DISTRICT, DISTRICT_HOST, DEPARTMENT_HOST, HUB_HOST = "huong-khe", "huong-khe-srv1", "so-noi-vu-srv1", "trung-tam-hub1"
DISTRICT_NAME, DEPARTMENT_NAME = "srv1.huong-khe.tinh.example", "srv1.so-noi-vu.tinh.example"
LOGS, CHECK = "/var/lib/tram-logs", "/usr/local/lib/tram-log/check.py"


@pytest.fixture(scope="module")
def logging(converged: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The province with role audit_log on every host."""
    playbook = tmp_path_factory.mktemp("logs") / "logs.yml"
    play = {"hosts": "all", "become": True, "gather_facts": False, "roles": ["audit_log"]}
    playbook.write_text(yaml.safe_dump([play]))
    assert run_playbook(playbook, LAB).failures() == []
    return converged


@pytest.fixture
def lab(logging: Lab) -> Iterator[Lab]:
    """Lines mended and hosts on again afterwards."""
    yield logging
    logging.mend(DISTRICT)
    logging.power_on(DISTRICT_HOST)


@pytest.fixture
def token() -> str:
    """A word that marks one story's records."""
    return f"chuyen{uuid.uuid4().hex[:10]}"


def done(ran: Ran) -> Ran:
    """The same, when it went well."""
    assert ran.code == 0, ran
    return ran


def log(lab: Lab, host: str, token: str, numbers: range) -> None:
    """Log numbered records, as sshd or sudo would."""
    many = f"seq -f '{token} %g' {numbers.start} {numbers.stop - 1} | logger -p authpriv.notice -t chuyen"
    done(lab.sh(host, ["sh", "-c", many]))


def at_the_hub(lab: Lab, name: str, token: str) -> list[int]:
    """The numbers of the records with the word in a host's log at the hub, as they stand there."""
    text = lab.sh(HUB_HOST, ["sh", "-c", f"cat {LOGS}/{name}/*.log"]).stdout
    return [int(number) for number in re.findall(rf"chuyen\[\d+\]: {token} (\d+)$", text, re.MULTILINE)]


def check(lab: Lab, directory: str, *words: str) -> tuple[int, str]:
    """What the check command says of the logs."""
    ran = lab.sh(HUB_HOST, ["python3", "-B", CHECK, directory, *words])
    return ran.code, ran.stdout


def test_line_cut_and_power_cut_lose_nothing_double_nothing_and_keep_the_order(lab: Lab, token: str) -> None:
    lab.cut(DISTRICT)
    began = time.monotonic()
    log(lab, DISTRICT_HOST, token, range(1, 101))
    # What journald had not written yet a power cut may take (ADR 15); a busy machine lets it lag behind.
    done(lab.sh(DISTRICT_HOST, ["journalctl", "--sync"]))
    lab.power_cut(DISTRICT_HOST)
    lab.power_on(DISTRICT_HOST)
    wait_until("booted", lambda: systemd(lab, DISTRICT_HOST) in {"running", "degraded"}, timedelta(minutes=2))
    log(lab, DISTRICT_HOST, token, range(101, 201))
    wait_until("the line was cut for a minute", lambda: time.monotonic() - began > 60, timedelta(seconds=90))
    assert at_the_hub(lab, DISTRICT_NAME, token) == []
    lab.mend(DISTRICT)
    mended = time.monotonic()
    wait_until("all there", lambda: 200 in at_the_hub(lab, DISTRICT_NAME, token), timedelta(minutes=5))
    there = at_the_hub(lab, DISTRICT_NAME, token)
    print(f"200 records were at the hub {time.monotonic() - mended:.0f} s after the line was mended")
    assert there == list(range(1, 201))
    assert check(lab, LOGS, DISTRICT_NAME)[0] == 0


def systemd(lab: Lab, host: str) -> str:
    """Systemd's own word on a host."""
    return next(state.state for state in lab.hosts() if state.host == host)


def test_a_line_that_is_changed_at_the_hub_is_found_and_so_is_one_that_is_taken_out(lab: Lab, token: str) -> None:
    log(lab, DEPARTMENT_HOST, token, range(1, 6))
    wait_until("there", lambda: len(at_the_hub(lab, DEPARTMENT_NAME, token)) == 5, timedelta(minutes=2))
    for change in (f"s/{token} 3/{token} 4/", f"/{token} 3/d", f"/{token} 3/,$d"):
        script = f"""rm -rf /run/forged && cp -a {LOGS} /run/forged && cd /run/forged/{DEPARTMENT_NAME} || exit 9
        sed -i '{change}' *.log"""
        done(lab.sh(HUB_HOST, ["sh", "-c", script]))
        code, said = check(lab, "/run/forged", DEPARTMENT_NAME)
        assert (code, "TAMPERED" in said) == (1, True), change
    lab.sh(HUB_HOST, ["rm", "-r", "/run/forged"])
    assert check(lab, LOGS, DEPARTMENT_NAME)[0] == 0


def test_whoever_rewrites_a_whole_log_with_new_seals_is_found_by_the_seal_the_host_keeps(lab: Lab, token: str) -> None:
    log(lab, DEPARTMENT_HOST, token, range(1, 6))
    wait_until("there", lambda: len(at_the_hub(lab, DEPARTMENT_NAME, token)) == 5, timedelta(minutes=2))
    forge = f"""import sys, json, datetime; from pathlib import Path; sys.path.insert(0, {str(Path(CHECK).parent)!r})
import chain
top, name = Path("/run/forged"), {DEPARTMENT_NAME!r}
lines = [line for file in chain.days(Path({LOGS!r}, name)) for line in file.read_text().splitlines()]
n = json.loads(Path({LOGS!r}, "status.json").read_text())["hosts"][name]["n"]
(top / name).mkdir(parents=True)
book, now = chain.Book(top, name), datetime.datetime.now().astimezone()
while book.head.number < n + 5:
    book.append([line for line in lines if line[0] != "#" and {token!r} not in line], "", now)
heard = {{"heard": 9999999999, "n": book.head.number, "seal": book.head.seal}}
(top / "status.json").write_text(json.dumps({{"full": False, "hosts": {{name: heard}}}}))
"""
    lab.sh(HUB_HOST, ["rm", "-rf", "/run/forged"])
    done(lab.sh(HUB_HOST, ["python3", "-B", "-c", forge]))
    assert check(lab, "/run/forged", DEPARTMENT_NAME)[0] == 0
    kept = json.loads(lab.sh(DEPARTMENT_HOST, ["cat", "/var/lib/private/tram-log/seal"]).stdout)
    code, said = check(lab, "/run/forged", DEPARTMENT_NAME, "--seal", f"{kept['n']}:{kept['seal']}")
    assert (code, "not the log of which the host keeps seal" in said) == (1, True)
    lab.sh(HUB_HOST, ["rm", "-r", "/run/forged"])
    assert check(lab, LOGS, DEPARTMENT_NAME, "--seal", f"{kept['n']}:{kept['seal']}")[0] == 0


SPEAK = """import json, socket, ssl, sys, time, zlib
sys.path.insert(0, "/usr/local/lib/tram-log")
import record
key, chain, word = sys.argv[1:]
context = ssl.create_default_context(cafile="/etc/ssl/tram/ca.crt")
context.load_cert_chain(chain, key)
plain = socket.create_connection(("192.0.2.10", 6514), 20)
with context.wrap_socket(plain, server_hostname="hub1.tinh.example") as sock:
    sock.settimeout(20)
    hello = json.loads(record.read_frame(sock))
    other = "2026-01-01T00:00:00.000000+07:00 srv1.huong-khe.tinh.example authpriv.notice chuyen[1]:"
    forged = f"{word} 1\\n{other} {word} 2"
    body = record.dumps({"cursor": hello["cursor"], "gap": 0})
    body += b"\\n" + record.dumps([time.time_ns() // 1000, 5, 10, "chuyen", 1, 0, forged])
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    sock.sendall(record.frame(packer.compress(body) + packer.flush(zlib.Z_SYNC_FLUSH)))
    print(record.read_frame(sock))
"""


def test_root_of_one_host_cannot_write_into_the_log_of_another(lab: Lab, token: str) -> None:
    def speak(key: str, chain: str) -> int:
        return lab.sh(DEPARTMENT_HOST, ["python3", "-B", "-c", SPEAK, key, chain, token]).code

    # With its own certificate: what it claims to be within a record stays one line in its own log.
    assert speak("/etc/ssl/tram/host.key", "/etc/ssl/tram/host-chain.crt") == 0
    text = lab.sh(HUB_HOST, ["sh", "-c", f"grep -rF {token} {LOGS}"]).stdout
    assert [line.split("/")[4] for line in text.splitlines()] == [DEPARTMENT_NAME]
    # With a certificate it made itself in the other's name: refused.
    make = f"""cd /run && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout forged.key \
      -out forged.crt -subj /CN={DISTRICT_NAME} -addext subjectAltName=DNS:{DISTRICT_NAME} 2>/dev/null"""
    done(lab.sh(DEPARTMENT_HOST, ["sh", "-c", make]))
    assert speak("/run/forged.key", "/run/forged.crt") != 0
    assert token not in lab.sh(HUB_HOST, ["sh", "-c", f"cat {LOGS}/{DISTRICT_NAME}/*.log"]).stdout
    lab.sh(DEPARTMENT_HOST, ["rm", "/run/forged.key", "/run/forged.crt"])
    assert check(lab, LOGS, DEPARTMENT_NAME)[0] == 0
