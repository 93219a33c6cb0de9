"""A place where this host's archives are, borg's words about it, and what is remembered between runs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

FOLDER = Path("/etc/tram-backup")
STATE = Path("/var/lib/tram-backup-site")


class Failed(Exception):
    """It could not be done; the message says why and what to do."""


class InTheWay(Failed):
    """Nothing was changed: something has to be decided or made room for first."""


class LineGone(Exception):
    """The line broke, or the other side is busy: the next try goes on."""


class OutOfTime(Exception):
    """The night or its bytes are used up: the next night goes on."""


class Repository:
    """One place where archives are: the hub, or a disk of this host."""

    def __init__(self, settings: dict[str, Any], url: str, *, remote: bool) -> None:
        self.settings, self.url, self.remote = settings, url, remote

    def environment(self) -> dict[str, str]:
        """For borg; the passphrase is read from its file by borg's own helper, it is in no command line."""
        hub = self.settings["hub"]
        words = ["ssh", "-F", "none", "-p", str(hub["port"]), "-i", str(FOLDER / "id_ed25519")]
        options = {
            "IdentitiesOnly": "yes", "UserKnownHostsFile": str(FOLDER / "known_hosts"), "GlobalKnownHostsFile": "none",
            "StrictHostKeyChecking": "yes", "BatchMode": "yes", "ConnectTimeout": "30", "ServerAliveInterval": "15",
            "ServerAliveCountMax": "8", "Compression": "no", "UpdateHostKeys": "no",
        }  # fmt: skip
        for name, value in options.items():
            words += ["-o", f"{name}={value}"]
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root",
            "BORG_BASE_DIR": str(STATE / "borg"),
            "BORG_PASSCOMMAND": f"cat {FOLDER / 'passphrase'}", "BORG_RSH": " ".join(words), "BORG_REPO": self.url,
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "no", "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "no",
        }  # fmt: skip

    def borg(self, words: list[str], *, cwd: Path = Path("/"), watch: Watch | None = None) -> str:
        """What borg prints.

        Raises: LineGone, OutOfTime, Failed.
        """
        command = ["borg", "--lock-wait", "150", *words]
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
            # In a session of its own: whoever stops us stops borg by us, once, and it writes a checkpoint.
            process = subprocess.Popen(
                command, env=self.environment(), cwd=cwd, stdout=out, stderr=errors, start_new_session=True
            )
            try:
                reason = watch.over(process) if watch else ""
                code = process.wait()
            finally:
                if process.poll() is None:
                    end(process, 60)
            out.seek(0)
            errors.seek(0)
            said = errors.read()
            if reason:
                raise OutOfTime(reason)
            if code not in (0, 1):
                found = explained(self, code, said)
                raise explained(self, code, self.door()) if isinstance(found, LineGone) else found
            if code == 1:
                print(said.strip()[-2000:], file=sys.stderr)
            return out.read()

    def door(self) -> str:
        """What ssh itself says: borg, when it is quick, does not pass on why it was not let in."""
        hub = self.settings["hub"]
        command = [*self.environment()["BORG_RSH"].split(), f"{hub['user']}@{hub['address']}", "true"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        return f"{ran.stderr.strip()} connection closed"

    def archives(self) -> list[dict[str, Any]]:
        """Complete archives, oldest first."""
        found: list[dict[str, Any]] = json.loads(self.borg(["list", "--json", "--format", "{comment}{NL}"]))["archives"]
        return [one for one in found if ".checkpoint" not in one["name"]]


_SAID: tuple[tuple[tuple[str, ...], str], ...] = (
    (("passphrase supplied", "repository key type"),
     "the passphrase does not open this backup: wrong key, or its key was replaced; the centre has a copy in secrets, "
     "backup/passphrases: deliver role backup again. Nothing was changed"),
    (("repository access aborted", "previously located at", "pathnotallowed", "not allowed"),
     "this is the backup of another host, or {where} gave it another place: {last}. Nothing was changed"),
    (("information obtained from the security directory is newer", "this is either an attack"),
     "{where} has an older state than this host knows of: after a rollback there, run tram-backup forget"),
    (("newer version", "not supported by this borg version"),
     "the backup at {where} has a format that this host's borg is too old for ({last}): update borgbackup. "
     "Nothing was changed"),
    # Its address begins with ssh:, which is no word about the line.
    (("repository already exists",), "{where} has a backup of this host already: {last}"),
    (("repository does not exist", " does not exist."),
     "{where} has no backup of this host any more, though it had one: ask the centre, tram backup list"),
    (("no space left", "quota", "insufficient free space"), "{where} has no room for this host's backup: {last}"),
    (("integrityerror", "data integrity", "integrity check", "integrity error"),
     "the backup at {where} is damaged: {last}. Go back to a kept state: tram-backup-hub rollback"),
    (("host key verification failed",),
     "the hub shows another key than the centre knows; nothing was sent. Deliver role backup again"),
    (("permission denied (publickey)",),
     "the hub does not know this host's key yet: run playbooks/backup.yml for the hub, too"),
)  # fmt: skip
"""Borg's words, in small letters, and ours."""
_LINE = ("lock", "connection closed", "ssh:", "broken pipe", "timed out", "unreachable", "connection reset")


def explained(repository: Repository, code: int, said: str) -> Exception:
    """What to make of borg's last words."""
    last, low = " ".join(said.split())[-400:], said.lower()
    where = "the hub" if repository.remote else repository.url
    for phrases, message in _SAID:
        if any(phrase in low for phrase in phrases):
            return Failed(message.format(where=where, last=last))
    if repository.remote and (code < 0 or any(phrase in low for phrase in _LINE)):
        return LineGone(last)
    return Failed(f"borg ended with {code}: {last}")


class Watch:
    """Ends borg, with what it has sent kept, when the night or its bytes are over; counts what went over the line."""

    def __init__(self, until: float | None, cap: int) -> None:
        self.until, self.cap, self.bytes = until, cap, 0
        self._before = 0

    def over(self, process: subprocess.Popen[str]) -> str:
        """Stay by it to its end; why it was ended, or nothing."""
        reason = ""
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
            self.bytes = max(self.bytes, self._before + crossed(process.pid))
            if not reason and self.cap and self.bytes > self.cap:
                reason = f"the {self.cap} bytes of a night are used up"
            if not reason and self.until and time.time() > self.until:
                reason = "the quiet hours are over"
            if reason:
                end(process, 180)
        self._before = self.bytes
        return reason


def end(process: subprocess.Popen[str], seconds: float) -> None:
    """Have borg write a checkpoint and end; it is killed when it does not."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    process.kill()


def crossed(parent: int) -> int:
    """Bytes the ssh of a process has carried both ways: each is read and written once."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            if (
                int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == parent
                and (entry / "comm").read_text() == "ssh\n"
            ):
                counted = dict(line.split(": ") for line in (entry / "io").read_text().splitlines())
                total += (int(counted["rchar"]) + int(counted["wchar"])) // 2
    return total


def read_state() -> dict[str, Any]:
    """What is remembered between runs."""
    try:
        found: dict[str, Any] = json.loads((STATE / "state.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = {}
    return {"known": {}, "services": {}, "proof": 0} | found


def write_state(state: dict[str, Any]) -> None:
    """Remember it, whole or not at all."""
    half = STATE / ".state.half"
    half.write_text(json.dumps(state, indent=1, sort_keys=True), encoding="utf-8")
    half.replace(STATE / "state.json")
