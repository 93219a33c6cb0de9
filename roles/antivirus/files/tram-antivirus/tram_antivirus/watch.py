"""Hear the hub's announcements, bring what is announced, kill a scanner that hangs.

Runs all day, so it is small: what needs memory (TLS, the JSON of a release) is done by a process of its own that ends.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import syslog
import time
from pathlib import Path

from tram_antivirus import state
from tram_antivirus.clamd import Clamd
from tram_antivirus.settings import Failed, Settings

REFUSED = 65
"""What `tram-antivirus fetch` ends with when a release is not to be taken (EX_DATAERR of sysexits.h)."""
ANNOUNCED = re.compile(r'"v=1 serial=(\d{1,12})"')
LONGEST_UNREACHED_SECONDS = 60
LONGEST_REFUSED_SECONDS = 600
BUSY_SHARE = 0.1
"""A scanner that does not answer but computes at least this share of the time is reading signatures: it gets longer."""
BUSY_TIMES = 10


def watch(settings: Settings) -> None:
    """Until told to stop."""
    ear, guard = Ear(settings), Guard(settings)
    _notify("READY=1")
    while True:
        ear.turn()
        guard.turn()
        _notify("WATCHDOG=1")
        time.sleep(settings.poll_seconds)


class Ear:
    """What was heard, and when to try again."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.heard = 0
        self.fails = 0
        self.not_before = 0.0
        self.fetching: subprocess.Popen[bytes] | None = None
        self.official: subprocess.Popen[bytes] | None = None

    def turn(self) -> None:
        """Listen; start a fetch when there is reason to, and hear how the last one ended. Never waits for one."""
        heard = announced(self.settings.announced_in)
        if heard is not None:
            if heard != self.heard:
                self.heard, self.fails, self.not_before = heard, 0, 0.0
            state.write(self.settings.heard, {"heard": state.now(), "serial": heard})
        if self.fetching and (code := self.fetching.poll()) is not None:
            self.fetching = None
            self.ended(code)
        if not self.fetching and time.monotonic() >= self.not_before and self.reason():
            self.fetching = _own("fetch", "--spread")
        if self.official and self.official.poll() is not None:
            self.official = None
        if not self.official and self.sets_due():
            self.official = _own("official")

    def reason(self) -> bool:
        """Whether to ask the hub now."""
        facts = state.read(self.settings.release / "state.json")
        active = facts.get("active", 0)
        if self.heard > active or facts.get("reported", 0) != active:
            return True
        asked = state.seconds_since(facts.get("asked"))
        # A clock that was set back is no reason never to ask again.
        return asked is None or asked < 0 or asked > self.settings.ask_minutes * 60

    def ended(self, code: int) -> None:
        """After a failure wait longer each time, up to a bound."""
        self.fails = self.fails + 1 if code else 0
        longest = LONGEST_REFUSED_SECONDS if code == REFUSED else LONGEST_UNREACHED_SECONDS
        wait = min(self.settings.poll_seconds * 2 ** min(self.fails - 1, 10), longest) if code else 0
        self.not_before = time.monotonic() + wait

    def sets_due(self) -> bool:
        """Whether it is the time of ClamAV's own sets, which a fetch left word of."""
        at = state.read(self.settings.release / "official").get("at")
        return isinstance(at, int) and time.time() >= at


def _own(*command: str) -> subprocess.Popen[bytes]:
    """Another part of this program, in a process of its own."""
    return subprocess.Popen([sys.argv[0], *command, "--quiet"])


def announced(name: str) -> int | None:
    """The highest serial announced in DNS; None when no answer came, or none that can be read."""
    try:
        seen = subprocess.run(
            ["dig", "+short", "+time=3", "+tries=1", "TXT", name],
            capture_output=True, text=True, errors="replace", timeout=20, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return max((int(found) for found in ANNOUNCED.findall(seen.stdout)), default=None)


class Guard:
    """Whether the scanner answers; one that hangs is killed, and its unit starts it again."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clamd = Clamd(settings.socket, seconds=10)
        self.silent_since: float | None = None
        self.cpu = 0.0

    def turn(self) -> None:
        """Ask it."""
        if not self.settings.resident or self.clamd.ping():
            self.silent_since = None
            return
        pid, now = scanner(), time.monotonic()
        if not pid:
            # None runs: its unit starts it.
            self.silent_since = None
            return
        if self.silent_since is None:
            self.silent_since, self.cpu = now, cpu_seconds(pid)
            return
        silent = now - self.silent_since
        busy = cpu_seconds(pid) - self.cpu > silent * BUSY_SHARE
        if silent > self.settings.hung_seconds * (BUSY_TIMES if busy else 1):
            state.journal(syslog.LOG_ERR, event="hung", pid=pid, silent_seconds=round(silent))
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError as error:
                state.journal(syslog.LOG_ERR, event="hung", error=f"it cannot be killed: {error}")
            self.silent_since = None


def scanner() -> int:
    """Number of clamd's process; 0 when none runs."""
    try:
        seen = subprocess.run(
            ["systemctl", "show", "--property=MainPID", "--value", "clamav-daemon.service"],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return int(seen.stdout) if seen.stdout.strip().isdigit() else 0


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _notify(word: str) -> None:
    """Tell systemd. Source: sd_notify(3)."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(word.encode(), "\0" + path[1:] if path.startswith("@") else path)
        except OSError as error:
            raise Failed(f"systemd does not hear: {error}") from error
