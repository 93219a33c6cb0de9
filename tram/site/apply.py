"""The executor as a process of its own: started once, followed line by line, found again when we were killed meanwhile.

Its events go to a file, not a pipe: the executor does not notice when this process dies, and whoever comes next reads
on where the last one stopped. `TRAM_RUN` in its environment is how it is found.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from tram.core import events
from tram.core.run import run as run_program
from tram.site import durable
from tram.site.limits import EXECUTOR_QUIET_SECONDS, MAX_EVENTS_OF_A_RUN, POLL_SECONDS
from tram.site.place import Config, Place
from tram.site.runs import Run
from tram.site.tail import Tail

_TASK_FIELDS = ("at", "task", "status", "seconds", "item", "diff", "message", "path")
_TEXT_CHARS = {"diff": 2048, "message": 2048}
_BAD = ("failed", "unreachable")
STATES = {"apply": "applying", "verify": "verifying"}
_DEATHS = 3  # of the executor, by a signal, that one process sees before it calls the run failed


@dataclass(slots=True)
class Ended:
    """How the executor ended. `failures`: the tasks that failed, as "task: message"; empty text for none known."""

    code: int
    stats: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


def execute(place: Place, config: Config, run: Run, phase: str, *, check: bool = False) -> Ended:
    """Run one playbook of the run's tree (`phase` "apply": playbook.yml, "verify": verify.yml) to its end.

    Called again after we were killed, it goes on with an executor that still runs, takes the result of one that ended
    meanwhile, and starts another attempt only when the last one was cut off.
    """
    if (done := run.document(f"{phase}.json")) is not None:
        return Ended(**done)
    attempt = Attempt(place, config, run, phase, int(run.journal().get(f"{phase}_attempt", 1)))
    process: subprocess.Popen[bytes] | int | None = attempt.alive()
    for _ in range(_DEATHS):
        if process is None and attempt.lines.exists() and attempt.stats() is None:
            attempt = attempt.next()
        if not attempt.lines.exists():
            process = attempt.start(check)
        ended = attempt.follow(process)
        if attempt.stats() is not None or ended.code > 0:
            break
        process = None  # a signal ended it, not itself: the machine goes down, or is short of memory
    run.put(f"{phase}.json", asdict(ended))
    return ended


class Attempt:
    """One start of the executor for one playbook."""

    def __init__(self, place: Place, config: Config, run: Run, phase: str, number: int) -> None:
        self.place = place
        self.config = config
        self.run = run
        self.phase = phase
        self.number = number
        self.lines = run.path / f"{phase}.{number}.jsonl"
        self.token = f"{run.path}:{phase}:{number}"

    def next(self) -> Attempt:
        """The attempt after one that was cut off: nothing of it runs any more, and dpkg is brought back in order."""
        self.run.tell("note", message="cut off in the middle; applied again, what is done already is found so")
        if self.phase == "apply" and self.config.system == Path("/"):
            env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
            argv = ["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"]
            ran = run_program(argv, check=False, timeout=timedelta(minutes=30), env=env)
            if ran.code != 0:
                self.run.tell("note", message=f"dpkg --configure -a: exit {ran.code}: {ran.stderr.strip()[-500:]}")
        return Attempt(self.place, self.config, self.run, self.phase, self.number + 1)

    def start(self, check: bool) -> subprocess.Popen[bytes]:
        """Journal the attempt and start the executor in a process group of its own."""
        state = STATES[self.phase]
        self.run.note(state=state, **{f"{self.phase}_attempt": self.number})
        self.run.tell("state", state=state, **({"attempt": self.number} if self.number > 1 else {}))
        fd = os.open(self.lines, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        durable.sync_directory(self.run.path)
        argv = [*self._program(), str(self.run.path), "--playbook", f"{self._playbook()}.yml", "--events", str(fd)]
        argv += ["--notified", str(self.place.root / "notified.json"), *(["--check"] if check else [])]
        with (self.run.path / "log").open("ab") as log:
            try:
                return subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(fd,),
                    cwd=self.run.tree,
                    env=self._environment(),
                    start_new_session=True,
                    umask=0o022,  # what roles are written for; ours is narrower
                )
            finally:
                os.close(fd)

    def _program(self) -> Sequence[str]:
        if self.config.executor:
            return self.config.executor
        launch = self.config.runtimes / self.run.order.runtime / "launch.py"
        return ["/usr/bin/python3", "-I", str(launch), "tram.site.executor"]

    def _playbook(self) -> str:
        return "playbook" if self.phase == "apply" else "verify"

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": os.environ.get("HOME", "/root"),
            "LC_ALL": "C.UTF-8",
            "TRAM_RUN": self.token,
        }

    def alive(self) -> int | None:
        """The pid of this attempt's executor if it still runs: the leader of a session that has our token."""
        wanted = f"TRAM_RUN={self.token}".encode()
        for path in Path("/proc").iterdir():
            if path.name.isdigit():
                with suppress(OSError, ProcessLookupError):
                    pid = int(path.name)
                    if os.getsid(pid) == pid and wanted in (path / "environ").read_bytes().split(b"\0"):
                        return pid
        return None

    def stats(self) -> dict[str, Any] | None:
        """The executor's last line, which it writes when it is through; None when it was cut off."""
        found = [line for line in Tail(self.lines).fresh() if line.get("kind") == "stats"]
        return found[-1] if found else None

    def follow(self, process: subprocess.Popen[bytes] | int | None) -> Ended:
        """Turn the executor's lines into events until it has ended."""
        tail, told, failures, quiet_since = Tail(self.lines), self._told(), list[str](), time.monotonic()
        budget = MAX_EVENTS_OF_A_RUN - self.run.last_seq()
        while True:
            ended = _ended(process)  # looked at before the lines, so that the last ones are not missed
            fresh = tail.fresh()
            happened = []
            for line in fresh:
                if line.get("kind") == "progress":
                    self._progress(line)
                    continue
                if (body := self._body(line)) is None:
                    continue
                if line["kind"] == "task" and body.get("status") in _BAD:
                    failures.append(f"{body.get('task', '')}: {' '.join(str(body.get('message', '')).split())[:500]}")
                if told > 0:
                    told -= 1  # an event already, from before we were killed
                elif budget > 0:
                    happened.append((line["kind"], body))
                    budget -= 1
                    if budget == 0:
                        happened.append(
                            ("note", {"message": f"more than {MAX_EVENTS_OF_A_RUN} events: no more tasks are told"})
                        )
            if happened:
                events.append_all(self.run.events_file, self.run.name, self.run.order.host, happened)
            if ended:
                break
            if fresh:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > EXECUTOR_QUIET_SECONDS:
                failures.append(f"the executor said nothing for {EXECUTOR_QUIET_SECONDS / 3600:.0f} h and was ended")
                _end(process)
            time.sleep(POLL_SECONDS / 5)
        return self._result(process, failures)

    def _told(self) -> int:
        """How many of this attempt's lines are events already: all that came after its state was told."""
        marker, count = False, 0
        state = STATES[self.phase]
        for event in events.read(self.run.events_file):
            if event.kind == "state":
                marker = event.body.get("state") == state and event.body.get("attempt", 1) == self.number
                count = 0
            elif marker:
                count += 1
        return count

    def _body(self, line: dict[str, Any]) -> dict[str, Any] | None:
        if line.get("kind") not in ("task", "note"):
            return None
        body = {key: line[key] for key in _TASK_FIELDS if key in line}
        for key, value in body.items():
            if isinstance(value, str):
                body[key] = value[: _TEXT_CHARS.get(key, 400)]
        return body if self.phase == "apply" else {**body, "phase": self.phase}

    def _progress(self, line: dict[str, Any]) -> None:
        """For whoever watches; of no use after a power cut, so not waited for."""
        found = {key: line.get(key) for key in ("done", "of", "task")}
        new = self.run.path / ".progress.new"
        new.write_text(json.dumps(found))
        new.replace(self.run.path / "progress.json")

    def _result(self, process: subprocess.Popen[bytes] | int | None, failures: list[str]) -> Ended:
        last = self.stats() or {}
        stats = {str(key): int(value) for key, value in (last.get("stats") or {}).items()}
        if isinstance(process, subprocess.Popen):
            code = process.returncode
        else:  # not our child: its own account tells
            code = -1 if not last else 2 if stats.get("failed") or stats.get("unreachable") else 0
        seconds, cpu = float(last.get("seconds") or 0), float(last.get("cpu_seconds") or 0)
        if code != 0 and not failures:
            failures = [_last_words(self.run.path / "log") or f"the executor ended with {code}"]
        return Ended(code, stats, seconds, cpu, failures[:20])


def _ended(process: subprocess.Popen[bytes] | int | None) -> bool:
    if isinstance(process, subprocess.Popen):
        return process.poll() is not None
    if process is None:
        return True
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return True


def _end(process: subprocess.Popen[bytes] | int | None) -> None:
    pid = process.pid if isinstance(process, subprocess.Popen) else process
    if pid is not None:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGTERM)
            time.sleep(5)
            os.killpg(pid, signal.SIGKILL)


def _last_words(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:500] if lines else ""
