"""Mail with malware is refused, whichever way it comes and however it is wrapped; the sender hears, nothing is lost."""

from __future__ import annotations

import itertools
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from tram.lab.lab import Lab
from tram.lab.memory import pids_of, send

from ..malware import (
    EICAR,
    EICAR_NAME,
    HUB_HOST,
    SHAPES,
    Sample,
    archive,
    bounce,
    headers,
    letter,
    locked,
    new_sample,
    signature_of,
    submit,
    wait_active,
)
from ..person import Person, queued, wait_until

pytestmark = pytest.mark.lab

DISTRICT, DEPARTMENT = "huong-khe", "so-noi-vu"
DISTRICT_HOST, DEPARTMENT_HOST = "huong-khe-srv1", "so-noi-vu-srv1"
HOSTS = [DISTRICT_HOST, DEPARTMENT_HOST, HUB_HOST]
WAYS = [(DISTRICT, DEPARTMENT), (DEPARTMENT, DISTRICT), (DISTRICT, DISTRICT)]
THERE = timedelta(minutes=3)
CHAINS = """postconf smtpd_milters non_smtpd_milters
postconf -P | grep -E '/n?o?n?_?smtpd_milters'
[ ! -e /etc/postfix/milters.cidr ] || sed -n 's/^[0-9]/milter for &/p' /etc/postfix/milters.cidr"""
DRAINED = timedelta(minutes=15)


@pytest.fixture
def lab(hardened: Lab) -> Iterator[Lab]:
    """The province with its mail and scanners; whoever was stopped runs again afterwards."""
    yield hardened
    for host in HOSTS:
        send(hardened.machine(host), "clamd", signal.SIGCONT)
        units = ["clamav-daemon.service", "clamav-milter.service", "tram-antivirus-watch.service"]
        hardened.sh(host, ["systemctl", "start", *units])


@pytest.fixture(autouse=True)
def attached(lab: Lab) -> Iterator[None]:
    """For whoever reads of a failure."""
    yield
    units = [f"--unit={unit}" for unit in ("clamav-daemon", "clamav-milter", "tram-antivirus-watch")]
    for host in HOSTS:
        print(host, lab.sh(host, ["journalctl", "-q", "--no-pager", "-n", "15", *units]).stdout)


@pytest.fixture(scope="module")
def sample(hardened: Lab) -> Iterator[Sample]:
    """A sample whose signature the hub has published and every host has in effect."""
    found = new_sample()
    with signature_of(hardened, found) as serial:
        wait_active(hardened, HOSTS, serial)
        yield found


@pytest.fixture
def token() -> str:
    """A word that marks one story's messages."""
    return f"tailieu{uuid.uuid4().hex[:10]}"


@pytest.mark.parametrize(("here", "there"), WAYS)
def test_malware_is_refused_and_clean_mail_of_the_same_shape_comes(
    lab: Lab, sample: Sample, token: str, here: str, there: str
) -> None:
    sender, receiver = Person(lab, here, "van-thu"), Person(lab, there, "lanh-dao")
    clean, refused = set(), 0
    for (shape, packed), (content, known_as) in itertools.product(
        SHAPES.items(), [(EICAR, EICAR_NAME), (sample.content, sample.name)]
    ):
        said = submit(sender, receiver.address, token, f"<{token}.{refused}@story.example>", packed(content))
        assert said.startswith("550 5.7.1 Thu bi tu choi"), f"{known_as} {shape}: {said or 'taken'}"
        assert known_as in said
        refused += 1
        clean.add(message_id := f"<{token}.{refused}.sach@story.example>")
        other = content[:-1] + b"~"
        assert submit(sender, receiver.address, token, message_id, packed(other)) == "", shape
    assert receiver.wait_received(token, clean, THERE) == dict.fromkeys(clean, 1)
    by = receiver.site.mail_host
    assert by is not None
    scanned = headers(receiver, token, "X-Virus-Scanned")
    print(f"{here} -> {there}: {refused} with malware refused, {len(clean)} of the same shapes came; {dict(scanned)}")
    assert all(word.endswith(f"at {by.name}.{receiver.site.domain}") for word in scanned)
    receiver.forget(token)


@pytest.mark.parametrize("knows", [HUB_HOST, DEPARTMENT_HOST])
def test_what_a_site_does_not_know_yet_is_stopped_on_its_way_and_the_sender_is_told(
    lab: Lab, token: str, knows: str
) -> None:
    sender, receiver = Person(lab, DISTRICT, "van-thu"), Person(lab, DEPARTMENT, "lanh-dao")
    late = [host for host in HOSTS if host != knows]
    found, message_id = new_sample(), f"<{token}@story.example>"
    try:
        for host in late:
            lab.sh(host, ["systemctl", "stop", "tram-antivirus-watch.service"])
        with signature_of(lab, found) as serial:
            wait_active(lab, [knows], serial)
            assert submit(sender, receiver.address, token, message_id, SHAPES["in a zip"](found.content)) == ""
            news = bounce(sender, message_id)
            # By now the sender's own scanner may know it: the news itself has nothing in it to be refused for.
    finally:
        for host in late:
            lab.sh(host, ["systemctl", "start", "tram-antivirus-watch.service"])
    assert found.name in news
    for word in ("KHÔNG đến được", "could NOT be delivered", "mã độc"):
        assert word in news
    assert found.content[:30] not in news.encode()
    assert receiver.received(token) == {}
    wait_until("queues empty", lambda: sum(queued(lab, host) for host in HOSTS) == 0, THERE)


def test_what_a_program_of_the_host_itself_sends_is_scanned_too(lab: Lab, token: str) -> None:
    sender, receiver = Person(lab, DISTRICT, "van-thu"), Person(lab, DISTRICT, "lanh-dao")
    expected = {f"<{token}.sach@story.example>"}
    for content, message_id in ((EICAR, f"<{token}.doc@story.example>"), (b"so lieu", *expected)):
        message = letter(sender, receiver.address, token, message_id, ("số liệu.csv", content))
        argv = ["sendmail", "-f", sender.address, receiver.address]
        ran = lab.machine(DISTRICT_HOST).sh(argv, stdin=message.as_bytes().decode())
        assert ran.code == 0, ran
    assert receiver.wait_received(token, expected, THERE) == dict.fromkeys(expected, 1)
    assert EICAR_NAME in bounce(sender, f"<{token}.doc@story.example>")
    assert set(receiver.received(token)) == expected
    receiver.forget(token)


def test_the_scanner_stands_once_in_every_chain(lab: Lab) -> None:
    for host in HOSTS:
        said = lab.sh(host, ["sh", "-c", CHAINS]).stdout.splitlines()
        print(host, said)
        assert len(said) >= 2
        assert [line.count(":7357") for line in said if "milter" in line] == [1] * len(said)


def bomb() -> bytes:
    """A file that is enormous once it is unpacked."""
    return archive({"0": bytes(300_000_000)})


def deep(layers: int) -> bytes:
    """Archives in archives, the innermost with malware."""
    content = EICAR
    for _ in range(layers):
        content = archive({"lớp.zip": content})
    return content


BAD: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "a password": ("mật.zip", lambda: locked(b"van ban mat"), "Heuristics.Encrypted.Zip"),
    "one enormous file": ("bom.zip", bomb, "Heuristics.Limits.Exceeded"),
    "a bomb in layers": (
        "bom.zip",
        lambda: archive({"1.zip": bomb()}),
        "Heuristics.Limits",
    ),
    "forty layers": ("sâu.zip", lambda: deep(40), "Heuristics.Limits.Exceeded.MaxRecursion"),
    "ten layers": ("sâu.zip", lambda: deep(10), EICAR_NAME),
    "too many files": (
        "nhiều.zip",
        lambda: archive(dict.fromkeys(map(str, range(12_000)), b"0")),
        "Heuristics.Limits.Exceeded.MaxFiles",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_scanned_to_the_end_is_refused_with_the_reason(lab: Lab, token: str, case: str) -> None:
    sender, receiver = Person(lab, DISTRICT, "van-thu"), Person(lab, DISTRICT, "lanh-dao")
    before = pids_of(lab.machine(DISTRICT_HOST), "clamd")
    name, make, reason = BAD[case]
    said = submit(sender, receiver.address, token, f"<{token}@story.example>", (name, make()))
    print(f"{case}: {said}")
    assert said.startswith("550 5.7.1")
    assert reason in said
    assert pids_of(lab.machine(DISTRICT_HOST), "clamd") == before, "clamd did not live through it"


def test_mail_as_large_as_it_may_be_is_scanned_and_larger_is_refused_by_its_size(lab: Lab, token: str) -> None:
    sender, receiver = Person(lab, DISTRICT, "van-thu"), Person(lab, DISTRICT, "lanh-dao")
    filler = os.urandom(18_500_000)
    began = time.monotonic()
    content = archive({"a.bin": filler, "b.doc": EICAR})
    said = submit(sender, receiver.address, token, f"<{token}.doc@story.example>", ("lớn.zip", content))
    print(f"{len(content)} bytes: {said or 'taken'} after {time.monotonic() - began:.1f} s")
    assert EICAR_NAME in said
    assert submit(sender, receiver.address, token, f"<{token}@story.example>", ("lớn.bin", filler)) == ""
    assert f"<{token}@story.example>" in receiver.wait_received(token, {f"<{token}@story.example>"}, THERE)
    with sender.smtp() as session:
        session.ehlo()
        code, text = session.mail(sender.address, ["size=2147483648"])
    assert (code, text[:5]) == (552, b"5.3.4")
    # Who does not say how large it is says it all, and hears the same.
    with sender.smtp() as session:
        session.ehlo()
        session.mail(sender.address)
        session.rcpt(receiver.address)
        assert session.docmd("DATA")[0] == 354
        for _ in range(300):
            session.sock.sendall((b"x" * 998 + b"\r\n") * 1000)
        code, text = session.docmd(".")
    assert (code, text[:5]) == (552, b"5.3.4")
    assert len(receiver.received(token)) == 1
    receiver.forget(token)
