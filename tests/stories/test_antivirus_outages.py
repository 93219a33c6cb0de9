"""A scanner that is killed, starved or hangs while mail comes: mail waits. None lost, none doubled, none unscanned."""

from __future__ import annotations

import contextlib
import signal
import smtplib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from tram.lab.lab import Lab
from tram.lab.memory import NoMemoryGroups, memory_group, pids_of, send

from ..malware import HUB_HOST, SHAPES, Sample, headers, letter, new_sample, post, signature_of, told, wait_active
from ..person import Person, queued, wait_until

pytestmark = pytest.mark.lab

DISTRICT, DEPARTMENT = "huong-khe", "so-noi-vu"
DISTRICT_HOST, DEPARTMENT_HOST = "huong-khe-srv1", "so-noi-vu-srv1"
HOSTS = [DISTRICT_HOST, DEPARTMENT_HOST, HUB_HOST]
WATCH = "tram-antivirus-watch.service"
STARVED_BYTES = 3_000_000
KILLS = 3
EVERY_FOURTH = 4
"""Letter has malware."""


@pytest.fixture(scope="module")
def sample(hardened: Lab) -> Iterator[Sample]:
    """A sample that only the district knows: what is sent to it there has passed everybody else."""
    found = new_sample()
    elsewhere = [host for host in HOSTS if host != DISTRICT_HOST]
    try:
        for host in elsewhere:
            hardened.sh(host, ["systemctl", "stop", WATCH])
        with signature_of(hardened, found) as serial:
            wait_active(hardened, [DISTRICT_HOST], serial)
            yield found
    finally:
        for host in elsewhere:
            hardened.sh(host, ["systemctl", "start", WATCH])


@pytest.fixture
def lab(hardened: Lab) -> Iterator[Lab]:
    """The province; the district's scanner runs again afterwards, and what it and Postfix said is attached."""
    yield hardened
    send(hardened.machine(DISTRICT_HOST), "clamd", signal.SIGCONT)
    hardened.sh(DISTRICT_HOST, ["systemctl", "start", "clamav-daemon.service", "clamav-milter.service", WATCH])
    units = [f"--unit={unit}" for unit in ("clamav-daemon", "clamav-milter", "tram-antivirus-watch")]
    print(hardened.sh(DISTRICT_HOST, ["journalctl", "-q", "--no-pager", "-n", "25", *units]).stdout)


@pytest.fixture
def token() -> str:
    """A word that marks one story's messages."""
    return f"trongluc{uuid.uuid4().hex[:10]}"


class Sender(threading.Thread):
    """Somebody who sends letter after letter, some with malware, and tries again what was put off."""

    def __init__(self, person: Person, to: Person, token: str, sample: Sample) -> None:
        super().__init__(daemon=True)
        self.person, self.to, self.token, self.sample = person, to, token, sample
        self.clean: set[str] = set()
        self.taken: set[str] = set()
        self.refused = 0
        self.put_off = 0
        self._enough = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._enough.is_set():
            number += 1
            ill = number % EVERY_FOURTH == 0
            message_id = f"<{self.token}.{self.person.site.code}.{number}{'.doc' if ill else ''}@story.example>"
            content = self.sample.content if ill else f"sạch {message_id}".encode()
            said = self._until_answered(message_id, content)
            if not said:
                (self.taken if ill else self.clean).add(message_id)
            elif ill:
                self.refused += 1
            time.sleep(0.5)

    def _until_answered(self, message_id: str, content: bytes) -> str:
        # The same letter each time, date and all: a mail program's outbox.
        attached = SHAPES["in a zip"](content)
        message = letter(self.person, self.to.address, self.token, message_id, attached)
        deadline = time.monotonic() + 1200
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                said = post(self.person, message)
                if not said.startswith("4"):
                    return said
            self.put_off += 1
            time.sleep(1)
        raise AssertionError(f"{message_id} was put off for 20 min")

    def wait_for(self, count: int) -> None:
        """Wait until that many letters were answered for good."""
        wait_until(f"{count} answered", lambda: len(self.clean) >= count, timedelta(minutes=5))

    def __enter__(self) -> Sender:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        # The last letter is answered, too.
        self.join(300)


def again_and_again(what: Callable[[list[int]], object], lab: Lab, during: timedelta) -> None:
    """Do something to each scanner the district has, as often as there is a new one."""
    until, known = time.monotonic() + during.total_seconds(), set()
    while time.monotonic() < until:
        fresh = [pid for pid in pids_of(lab.machine(DISTRICT_HOST), "clamd") if pid not in known]
        known |= set(fresh)
        what(fresh)
        time.sleep(0.05)
    assert known


def killed(lab: Lab) -> str:
    """Killed for half a minute, each time it comes back."""
    count = 0

    def kill(_: list[int]) -> None:
        nonlocal count
        count += send(lab.machine(DISTRICT_HOST), "clamd", signal.SIGKILL)

    again_and_again(kill, lab, timedelta(seconds=30))
    return f"killed {count} times in 30 s"


SLOWLY = """ln -sf /bin/sh /run/clamd-waits
mkdir -p /run/systemd/system/clamav-daemon.service.d
cat >/run/systemd/system/clamav-daemon.service.d/zz-story.conf <<'END'
[Service]
ExecStart=
ExecStart=/run/clamd-waits -c 'sleep 1; exec /usr/sbin/clamd --foreground=true'
END
systemctl daemon-reload"""
AS_BEFORE = """rm -rf /run/clamd-waits /run/systemd/system/clamav-daemon.service.d/zz-story.conf
systemctl daemon-reload
systemctl restart clamav-daemon.service"""


def starved(lab: Lab) -> str:
    """Less memory than it needs: the kernel kills it each time, three times at least."""
    machine = lab.machine(DISTRICT_HOST)
    assert lab.sh(DISTRICT_HOST, ["sh", "-c", SLOWLY]).code == 0
    try:
        with memory_group(machine, "starved") as group:
            group.bound(STARVED_BYTES)
            send(machine, "clamd", signal.SIGKILL)
            began = time.monotonic()
            # Who died often waits up to a minute before it is started again.
            while group.kills < KILLS and time.monotonic() - began < KILLS * 90:
                # Before it is the scanner: all that it takes is counted.
                for pid in pids_of(machine, "clamd-waits"):
                    group.add(pid)
                time.sleep(0.1)
            kills, during = group.kills, time.monotonic() - began
    except NoMemoryGroups as reason:
        pytest.skip(str(reason))
    finally:
        lab.sh(DISTRICT_HOST, ["sh", "-c", AS_BEFORE])
    assert kills >= KILLS
    return f"out of memory {kills} times in {during:.0f} s"


def hangs(lab: Lab) -> str:
    """It hangs until the host itself does something about it."""
    machine = lab.machine(DISTRICT_HOST)
    hung = pids_of(machine, "clamd")
    began = time.monotonic()
    send(machine, "clamd", signal.SIGSTOP)
    wait_until("the host kills it", lambda: not set(hung) & set(pids_of(machine, "clamd")), timedelta(minutes=6))
    return f"hung until the host killed it after {time.monotonic() - began:.0f} s"


def hangs_for_ten_minutes(lab: Lab) -> str:
    """Whatever the host does about it: the next one hangs, too, from its first instant."""

    def stop(fresh: list[int]) -> None:
        if fresh:
            send(lab.machine(DISTRICT_HOST), "clamd", signal.SIGSTOP)

    again_and_again(stop, lab, timedelta(minutes=10))
    return "hung for 10 min, each new one again"


def milter_away(lab: Lab) -> str:
    """What stands between mail and scanner is stopped for half a minute."""
    lab.sh(DISTRICT_HOST, ["systemctl", "stop", "clamav-milter.service"])
    time.sleep(30)
    lab.sh(DISTRICT_HOST, ["systemctl", "start", "clamav-milter.service"])
    return "clamav-milter away for 30 s"


LONG = [pytest.param(fault, marks=pytest.mark.long) for fault in (hangs, starved, milter_away, hangs_for_ten_minutes)]


@pytest.mark.parametrize("fault", [killed, *LONG])
def test_mail_waits_for_its_scanner(lab: Lab, sample: Sample, token: str, fault: Callable[[Lab], str]) -> None:
    at_district, at_department = Person(lab, DISTRICT, "chuyen-vien"), Person(lab, DEPARTMENT, "chuyen-vien")
    up = Sender(at_district, at_department, token, sample)
    down = Sender(at_department, at_district, token, sample)
    with up, down:
        up.wait_for(5)
        down.wait_for(5)
        what = fault(lab)
        mended = time.monotonic()
        up.wait_for(len(up.clean) + 2)
        again = time.monotonic() - mended
    assert not up.is_alive()
    assert not down.is_alive()
    there_up = at_department.wait_received(token, up.clean, timedelta(minutes=15))
    there_down = at_district.wait_received(token, down.clean, timedelta(minutes=15))
    wait_until("queues empty", lambda: sum(queued(lab, host) for host in HOSTS) == 0, timedelta(minutes=5))
    drained = time.monotonic() - mended
    there_up, there_down = at_department.received(token), at_district.received(token)
    lost = len(up.clean - set(there_up)) + len(down.clean - set(there_down))
    doubled = sum(there_up.values()) + sum(there_down.values()) - len(there_up) - len(there_down)
    unscanned = set(there_up) | set(there_down)
    unscanned -= up.clean | down.clean
    bounced = sum(told(at_department, message_id) for message_id in down.taken)
    print(
        f"{what}: {len(up.clean) + len(down.clean)} clean letters sent, {lost} lost, {doubled} doubled; "
        f"{up.refused} with malware refused, {len(down.taken)} stopped on their way ({bounced} senders told), "
        f"{len(unscanned)} came; {up.put_off} tries put off; people send again after {again:.0f} s, queues empty "
        f"after {drained:.0f} s"
    )
    assert (lost, doubled, unscanned, up.taken) == (0, 0, set(), set())
    assert bounced == len(down.taken) > 0
    for person in (at_department, at_district):
        assert set(headers(person, token, "X-Virus-Status")) == {"Clean"}
        (by,) = headers(person, token, "X-Virus-Scanned")
        assert by.endswith(person.site.domain)
        person.forget(token)
